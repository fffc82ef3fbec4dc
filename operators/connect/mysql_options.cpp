#include "operators/connect/mysql_options.hpp"

#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "operators/connect/tls.hpp"
#include "task/context.hpp"

namespace sluice::connect {

namespace {

using Json = nlohmann::json;

std::string text_in(const Json& object, const char* key) {
    const auto found = object.find(key);
    return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

/// libpq's names, and those of MySQL's own clients.
MysqlTls tls_of(const task::Connection& connection, const Json& extra) {
    std::string mode = text_in(extra, "sslmode");
    if (mode.empty()) mode = text_in(extra, "ssl_mode");
    if (mode.empty() || mode == "verify-full" || mode == "VERIFY_IDENTITY") return MysqlTls::verify;
    if (mode == "require" || mode == "REQUIRED") return MysqlTls::encrypt;
    if (mode == "disable" || mode == "DISABLED") return MysqlTls::off;
    throw Error(
        ErrorCode::invalid,
        "connection \"" + connection.id + "\": sslmode is verify-full (default), require or " +
            "disable, not \"" + mode + "\""
    );
}

}  // namespace

MysqlOptions mysql_options(const task::Connection& connection) {
    Json extra = Json::parse(connection.extra, nullptr, false);
    if (!extra.is_object()) extra = Json::object();
    MysqlOptions options;
    options.socket = text_in(extra, "unix_socket");
    if (options.socket.empty() && connection.host.starts_with('/'))
        options.socket = connection.host;
    // A socket has no TLS, and needs none.
    options.tls = options.socket.empty() ? tls_of(connection, extra) : MysqlTls::off;
    // Airflow: {"ssl": {"ca": ..., "cert": ..., "key": ...}}, also as text.
    Json ssl = extra.value("ssl", Json::object());
    if (ssl.is_string()) ssl = Json::parse(ssl.get<std::string>(), nullptr, false);
    if (!ssl.is_object()) ssl = Json::object();
    const auto file = [&](const char* ours, const char* airflows) {
        const std::string path = text_in(extra, ours);
        return path.empty() ? text_in(ssl, airflows) : path;
    };
    options.ca = file("sslrootcert", "ca");
    options.certificate = file("sslcert", "cert");
    options.key = file("sslkey", "key");
    if (options.ca.empty()) options.ca = system_authorities();
    const Json patience = extra.value("connect_timeout", Json());
    if (patience.is_number_unsigned()) options.connect_timeout = patience.get<unsigned>();
    return options;
}

}  // namespace sluice::connect
