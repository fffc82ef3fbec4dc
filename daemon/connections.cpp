#include "connections.hpp"

#include <cstdlib>
#include <memory>

#include <boost/url.hpp>
#include <libpq-fe.h>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/json_text.hpp"
#include "object_store.hpp"
#include "shop_api.hpp"

extern char** environ;

namespace sluice {
namespace {

using Json = nlohmann::json;
constexpr std::string_view prefix = "SLUICE_CONN_";

std::string upper(std::string text) {
    for (char& c : text)
        if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    return text;
}

[[noreturn]] void refuse(const std::string& conn_id, const std::string& why) {
    throw Error(ErrorCode::invalid, "connection " + conn_id + ": " + why);
}

std::string canonical_type(const std::string& scheme) {
    if (scheme == "postgresql") return "postgres";
    if (scheme == "mariadb") return "mysql";
    if (scheme == "file") return "fs";
    return scheme;
}

task::Connection from_json(const std::string& conn_id, const std::string& text) {
    const Json json = Json::parse(text, nullptr, false);
    if (!json.is_object()) refuse(conn_id, "its value is neither a URI nor a JSON object");
    task::Connection connection{.id = conn_id};
    const auto read = [&](const char* key) {
        const auto found = json.find(key);
        if (found == json.end() || found->is_null()) return std::string{};
        if (!found->is_string()) refuse(conn_id, std::string(key) + " must be text");
        return found->get<std::string>();
    };
    connection.type = canonical_type(read("conn_type"));
    connection.host = read("host");
    connection.login = read("login");
    connection.password = Secret(read("password"));
    connection.schema = read("schema");
    const auto port = json.find("port");
    if (port != json.end() && port->is_number_integer()) connection.port = port->get<int>();
    const auto extra = json.find("extra");
    if (extra != json.end() && !extra->is_null()) connection.extra = text_of(*extra);
    if (connection.extra.empty()) connection.extra = "{}";
    return connection;
}

task::Connection from_uri(const std::string& conn_id, const std::string& text) {
    const auto parsed = boost::urls::parse_uri(text);
    if (!parsed) refuse(conn_id, "its URI cannot be read: " + parsed.error().message());
    const boost::urls::url_view url = *parsed;
    task::Connection connection{.id = conn_id};
    connection.type = canonical_type(url.scheme());
    // Airflow percent-encodes a socket folder into the host.
    connection.host = url.host_address();
    connection.login = url.user();
    connection.password = Secret(url.password());
    if (url.has_port()) connection.port = url.port_number();
    const std::string path = url.path();
    connection.schema = path.empty() ? "" : path.substr(1);
    Json extra = Json::object();
    for (const auto& parameter : url.params()) {
        if (parameter.key == "__extra__") {
            extra.update(Json::parse(parameter.value, nullptr, false));
        } else {
            extra[parameter.key] = parameter.value;
        }
    }
    if (connection.type == "fs" && !extra.contains("path")) extra["path"] = path;
    connection.extra = extra.dump();
    return connection;
}

task::Connection from_store(const store::StoredConnection& stored) {
    return {
        .id = stored.conn_id,
        .type = stored.conn_type,
        .host = stored.host,
        .port = stored.port.value_or(0),
        .login = stored.login,
        .password = stored.password,
        .schema = stored.schema,
        .extra = stored.extra,
    };
}

AuditEntry home_audit(const std::string& conn_id) {
    return {
        .at = std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now()),
        .actor = "",
        .source = "standalone",
        .event = "put_connection",
        .extra = Json{{"conn_id", conn_id}}.dump(),
    };
}

/// Writes only what differs, so that a restart leaves no audit rows.
void put_if_changed(store::Admin& admin, const store::StoredConnection& wanted) {
    const auto known = admin.connection(wanted.conn_id);
    if (known && known->conn_type == wanted.conn_type && known->host == wanted.host &&
        known->port == wanted.port && known->login == wanted.login &&
        known->password.reveal() == wanted.password.reveal() && known->schema == wanted.schema &&
        known->extra == wanted.extra)
        return;
    // Somebody pointed it elsewhere: theirs counts.
    if (known && Json::parse(known->extra, nullptr, false).value("managed", false) == false) return;
    admin.put_connection(wanted, home_audit(wanted.conn_id));
}

store::StoredConnection postgres_connection(const std::string& conn_id, const std::string& url) {
    store::StoredConnection connection{
        .conn_id = conn_id,
        .conn_type = "postgres",
        .description = "the private PostgreSQL of this home",
        .extra = Json{{"managed", true}}.dump(),
    };
    char* message = nullptr;
    const std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> options(
        PQconninfoParse(url.c_str(), &message), PQconninfoFree
    );
    if (!options) {
        const std::string why = message == nullptr ? "out of memory" : message;
        PQfreemem(message);
        refuse(conn_id, why);
    }
    for (const auto* option = options.get(); option->keyword != nullptr; ++option) {
        if (option->val == nullptr) continue;
        const std::string_view key = option->keyword;
        if (key == "host") connection.host = option->val;
        if (key == "user") connection.login = option->val;
        if (key == "dbname") connection.schema = option->val;
        if (key == "port") connection.port = std::atoi(option->val);
    }
    return connection;
}

store::StoredConnection folder_connection(
    const std::string& conn_id, const std::filesystem::path& path, std::string description
) {
    std::filesystem::create_directories(path);
    return {
        .conn_id = conn_id,
        .conn_type = "fs",
        .description = std::move(description),
        .extra = Json{{"managed", true}, {"path", path.string()}}.dump(),
    };
}

std::vector<store::StoredConnection> folder_connections(const std::filesystem::path& home) {
    return {
        folder_connection("lake", home / "lake", "the lake: raw, processed, curated"),
        folder_connection("landing", home / "sample" / "ecommerce", "files of the sample shop"),
        folder_connection("flights", home / "sample" / "nycflights13", "files of nycflights13"),
    };
}

}  // namespace

task::Connection parse_connection(const std::string& conn_id, const std::string& text) {
    const auto first = text.find_first_not_of(" \t\r\n");
    if (first != std::string::npos && text[first] == '{') return from_json(conn_id, text);
    return from_uri(conn_id, text);
}

std::optional<task::Connection> environment_connection(const std::string& conn_id) {
    const auto variable = std::string(prefix) + upper(conn_id);
    const char* text = std::getenv(variable.c_str());
    if (text == nullptr) return std::nullopt;
    return parse_connection(conn_id, text);
}

std::optional<task::Connection> Connections::find(const std::string& conn_id) const {
    if (auto known = environment_connection(conn_id))
        return with_environment(*std::move(known), home_);
    const auto stored = admin_.connection(conn_id);
    if (!stored) return std::nullopt;
    return with_environment(from_store(*stored), home_);
}

std::vector<std::string> Connections::ids() const {
    std::vector<std::string> ids;
    for (const auto& stored : admin_.connections()) ids.push_back(stored.conn_id);
    for (char** entry = environ; *entry != nullptr; ++entry) {
        const std::string_view text = *entry;
        if (!text.starts_with(prefix)) continue;
        const auto end = text.find('=');
        std::string id{text.substr(prefix.size(), end - prefix.size())};
        for (char& c : id)
            if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
        ids.push_back(std::move(id));
    }
    return ids;
}

void put_orders_api(store::Admin& admin, std::uint16_t port, const Secret& client_secret) {
    put_if_changed(
        admin,
        {
            .conn_id = orders_api_id,
            .conn_type = "http",
            .description = "the order service of the sample shop",
            .host = "127.0.0.1",
            .port = port,
            .login = ShopApi::client_id,
            .password = client_secret,
            .schema = "http",
            .extra =
                Json{
                    {"managed", true},
                    {"auth", "oauth2"},
                    {"token_url", "/oauth/token"},
                    {"scope", "orders:read"},
                }
                    .dump(),
        }
    );
}

void put_folder_connections(store::Admin& admin, const std::filesystem::path& home) {
    for (auto& connection : folder_connections(home))
        if (!admin.connection(connection.conn_id))
            admin.put_connection(connection, home_audit(connection.conn_id));
}

void put_home_connections(store::Admin& admin, const HomePlaces& places) {
    put_if_changed(admin, postgres_connection("shop", places.shop_url));
    put_if_changed(admin, postgres_connection("catalog", places.shop_url));
    put_if_changed(admin, postgres_connection("warehouse", places.warehouse_url));
    // Its own schema, and its own server where somebody points the connection elsewhere.
    put_if_changed(admin, postgres_connection("vault", places.warehouse_url));
    for (const auto& connection : folder_connections(places.home))
        put_if_changed(admin, connection);
}

}  // namespace sluice
