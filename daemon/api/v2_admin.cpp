// /api/v2/variables and /api/v2/connections. Secrets go in and never come out.
#include <algorithm>

#include "api/failure.hpp"
#include "api/input.hpp"
#include "api/v2.hpp"

namespace sluice::api {
namespace {

using http::Reply;
using http::Request;

template <class T, class View>
Reply paged(const char* name, const std::vector<T>& all, const store::PageOf& page, View view) {
    Json json;
    json[name] = Json::array();
    for (std::size_t i = 0; i < all.size(); ++i) {
        const auto place = static_cast<std::int64_t>(i);
        if (place >= page.offset && place < page.offset + page.limit)
            json[name].push_back(view(all[i]));
    }
    json["total_entries"] = all.size();
    return reply(200, json);
}

[[noreturn]] void taken() {
    Json detail;
    detail["reason"] = "Unique constraint violation";
    detail["statement"] = "hidden";
    detail["orig_error"] = "hidden";
    detail["message"] = "it exists already";
    throw Failure(409, dump(detail));
}

template <class T, class Key>
void sort_by_order(std::vector<T>& all, Query& query, const char* field_name, Key key) {
    for (const auto& [field, descending] : query.order()) {
        if (field != "id" && field != field_name) bad_order(field);
        std::ranges::sort(all, {}, key);
        if (descending) std::ranges::reverse(all);
    }
}

store::Variable find_variable(Services& services, const std::string& key) {
    auto variable = services.admin.variable(key);
    if (!variable) throw not_found("The Variable with key: `" + key + "` was not found");
    return *variable;
}

Reply get_variables(Services& services, const Request& request, const Caller&) {
    Query query(request);
    const auto page = query.page();
    const auto pattern = query.text_or_empty("variable_key_pattern");
    query.done();
    auto all = services.admin.variables();
    std::erase_if(all, [&](const auto& v) { return !matches_pattern(v.key, pattern); });
    sort_by_order(all, query, "key", &store::Variable::key);
    return paged("variables", all, page, variable_view);
}

Reply get_variable(Services& services, const Request& request, const Caller&) {
    return reply(200, variable_view(find_variable(services, request.param("variable_key"))));
}

struct VariableBody {
    std::optional<std::string> key;
    std::optional<std::string> value;
    std::optional<std::string> description;
};

VariableBody read_variable(const Request& request, bool whole) {
    Body body(request);
    VariableBody read;
    if (whole) body.require("key");
    read.key = body.text("key");
    if (whole) body.require("value");
    if (const auto value = body.value("value"))
        read.value = value->is_string() ? value->get<std::string>() : dump(*value);
    read.description = body.text("description");
    body.text("team_name");
    if (read.key && (read.key->empty() || read.key->size() > 250))
        body.error("string_too_long", "key", "String should have 1 to 250 characters");
    body.done();
    return read;
}

Reply post_variable(Services& services, const Request& request, const Caller& caller) {
    const VariableBody body = read_variable(request, true);
    if (services.admin.variable(*body.key)) taken();
    const store::Variable variable{*body.key, *body.value, body.description.value_or("")};
    services.admin.put_variable(variable, audit_of(services, request, caller, "post_variable"));
    return reply(201, variable_view(variable));
}

Reply patch_variable(Services& services, const Request& request, const Caller& caller) {
    const VariableBody body = read_variable(request, false);
    store::Variable variable = find_variable(services, request.param("variable_key"));
    if (body.key && *body.key != variable.key)
        throw failure(400, "Invalid body, key from request body doesn't match uri parameter");
    const auto mask = request.query_values("update_mask");
    const auto asked = [&](const char* field) {
        return mask.empty() || std::ranges::find(mask, field) != mask.end();
    };
    if (body.value && asked("value")) variable.value = *body.value;
    if (body.description && asked("description")) variable.description = *body.description;
    services.admin.put_variable(variable, audit_of(services, request, caller, "patch_variable"));
    return reply(200, variable_view(variable));
}

Reply delete_variable(Services& services, const Request& request, const Caller& caller) {
    const std::string& key = request.param("variable_key");
    if (!services.admin.remove_variable(
            key, audit_of(services, request, caller, "delete_variable")
        ))
        throw not_found("The Variable with key: `" + key + "` was not found");
    return no_content();
}

store::StoredConnection find_connection(Services& services, const std::string& id) {
    auto connection = services.admin.connection(id);
    if (!connection)
        throw not_found("The Connection with connection_id: `" + id + "` was not found");
    return *connection;
}

Reply get_connections(Services& services, const Request& request, const Caller&) {
    Query query(request);
    const auto page = query.page();
    const auto pattern = query.text_or_empty("connection_id_pattern");
    query.done();
    auto all = services.admin.connections();
    std::erase_if(all, [&](const auto& c) { return !matches_pattern(c.conn_id, pattern); });
    sort_by_order(all, query, "connection_id", &store::StoredConnection::conn_id);
    return paged("connections", all, page, connection_view);
}

Reply get_connection(Services& services, const Request& request, const Caller&) {
    return reply(200, connection_view(find_connection(services, request.param("connection_id"))));
}

bool is_connection_id(const std::string& id) {
    if (id.empty() || id.size() > 200) return false;
    return std::ranges::all_of(id, [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
               std::string_view("_.-#!()/:@").find(c) != std::string_view::npos;
    });
}

/// Writes what the body names into the connection. "***" is what a read showed: it changes nothing.
void read_connection(const Request& request, store::StoredConnection& connection, bool whole) {
    Body body(request);
    if (whole) body.require("connection_id");
    if (whole) body.require("conn_type");
    const auto id = body.text("connection_id");
    const auto type = body.text("conn_type");
    const auto take = [&](const char* key, std::string& into) {
        if (body.has(key))
            into = body.text(key).value_or("");
        else
            body.text(key);
    };
    take("description", connection.description);
    take("host", connection.host);
    take("login", connection.login);
    take("schema", connection.schema);
    const auto port = body.integer("port");
    if (body.has("port"))
        connection.port = port ? std::optional(static_cast<int>(*port)) : std::nullopt;
    const auto password = body.text("password");
    if (body.has("password") && password != "***")
        connection.password = Secret(password.value_or(""));
    const auto extra = body.text("extra");
    body.text("team_name");
    if (port && (*port < 0 || *port > 65'535))
        body.error("less_than_equal", "port", "Input should be a port number");
    if (extra && !extra->empty()) {
        Json json = Json::parse(*extra, nullptr, false);
        if (json.is_object()) {
            const Json before = stored_json(connection.extra);
            for (auto& [key, value] : json.items())
                if (value == "***" && before.is_object() && before.contains(key))
                    value = before.at(key);
            connection.extra = dump(json);
        } else {
            body.error("value_error", "extra", "Value error, extra must be a JSON object");
        }
    } else if (body.has("extra")) {
        connection.extra = "{}";
    }
    if (id && !is_connection_id(*id))
        body.error("string_pattern_mismatch", "connection_id", "Not a valid connection id");
    body.done();
    if (!whole && id && *id != connection.conn_id)
        throw failure(
            400, "The connection_id in the request body does not match the URL parameter"
        );
    if (id) connection.conn_id = *id;
    if (type) connection.conn_type = *type;
}

Reply post_connection(Services& services, const Request& request, const Caller& caller) {
    store::StoredConnection connection;
    read_connection(request, connection, true);
    if (services.admin.connection(connection.conn_id)) taken();
    services.admin.put_connection(
        connection, audit_of(services, request, caller, "post_connection")
    );
    return reply(201, connection_view(connection));
}

Reply patch_connection(Services& services, const Request& request, const Caller& caller) {
    auto connection = find_connection(services, request.param("connection_id"));
    read_connection(request, connection, false);
    services.admin.put_connection(
        connection, audit_of(services, request, caller, "patch_connection")
    );
    return reply(200, connection_view(connection));
}

Reply delete_connection(Services& services, const Request& request, const Caller& caller) {
    const std::string& id = request.param("connection_id");
    if (!services.admin.remove_connection(
            id, audit_of(services, request, caller, "delete_connection")
        ))
        throw not_found("The Connection with connection_id: `" + id + "` was not found");
    return no_content();
}

}  // namespace

Rows admin_endpoints() {
    constexpr auto in = http::Access::signed_in;
    return {
        {"GET", "/api/v2/variables", "get_variables", in, get_variables},
        {"POST", "/api/v2/variables", "post_variable", in, post_variable},
        {"GET", "/api/v2/variables/{variable_key}", "get_variable", in, get_variable},
        {"PATCH", "/api/v2/variables/{variable_key}", "patch_variable", in, patch_variable},
        {"DELETE", "/api/v2/variables/{variable_key}", "delete_variable", in, delete_variable},
        {"GET", "/api/v2/connections", "get_connections", in, get_connections},
        {"POST", "/api/v2/connections", "post_connection", in, post_connection},
        {"GET", "/api/v2/connections/{connection_id}", "get_connection", in, get_connection},
        {"PATCH", "/api/v2/connections/{connection_id}", "patch_connection", in, patch_connection},
        {"DELETE", "/api/v2/connections/{connection_id}", "delete_connection", in, delete_connection
        },
    };
}

}  // namespace sluice::api
