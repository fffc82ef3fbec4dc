#include "api/session.hpp"

#include "api/failure.hpp"
#include "api/input.hpp"
#include "api/live.hpp"

namespace sluice::api {
namespace {

using http::Reply;
using http::Request;

struct Login {
    std::string username;
    Secret password;
    std::string next;
    bool form{false};
};

/// A path of this server and nothing else: no host can come in through `next`.
std::string safe_next(const std::string& next) {
    if (!next.starts_with('/') || next.starts_with("//") || next.starts_with("/\\")) return "/";
    for (const char c : next)
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return "/";
    return next;
}

Login read_login(const Request& request) {
    Login login;
    if (request.header("content-type").starts_with("application/x-www-form-urlencoded")) {
        login.form = true;
        for (auto& [key, value] : http::parse_query(request.body)) {
            if (key == "username")
                login.username = value;
            else if (key == "password")
                login.password = Secret(std::move(value));
            else if (key == "next")
                login.next = safe_next(value);
        }
        return login;
    }
    const Json json = parse_sent(request.body);
    const auto text = [&](const char* key) -> std::string {
        // Airflow answers with one text here, not with a list.
        if (!json.is_object() || !json.contains(key))
            throw failure(422, std::string("Field required: ") + key);
        if (!json.at(key).is_string())
            throw failure(422, std::string("Input should be a valid string: ") + key);
        return json.at(key).get<std::string>();
    };
    login.username = text("username");
    login.password = Secret(text("password"));
    return login;
}

Reply token(Services& services, const Request& request, Auth::Life life) {
    const Login login = read_login(request);
    const auto user = services.auth.check_password(login.username, login.password, request);
    Json json;
    json["access_token"] = services.auth.access_token(user, life);
    Reply answer = reply(201, json);
    answer.set_header("Cache-Control", "no-store");
    return answer;
}

Reply post_token(Services& services, const Request& request, const Caller&) {
    return token(services, request, Auth::Life::day);
}

Reply post_cli_token(Services& services, const Request& request, const Caller&) {
    return token(services, request, Auth::Life::hour);
}

bool is_secure(const Request& request) { return request.header("x-forwarded-proto") == "https"; }

std::string session_cookie(const Request& request, const std::string& value) {
    std::string cookie =
        std::string(Auth::cookie_name) + "=" + value + "; Path=/; HttpOnly; SameSite=Lax";
    if (value.empty()) cookie += "; Max-Age=0";
    if (is_secure(request)) cookie += "; Secure";
    return cookie;
}

/// A login that another site's page sends would put its user into somebody else's session.
void check_origin(const Request& request) {
    const std::string_view origin = request.header("origin");
    if (origin.empty()) return;
    const std::string host(request.header("host"));
    if (origin != "http://" + host && origin != "https://" + host)
        throw failure(403, "This login came from another site");
}

Reply log_in(Services& services, const Request& request, const Caller&) {
    check_origin(request);
    const Login login = read_login(request);
    if (login.form) {
        try {
            const auto user = services.auth.check_password(login.username, login.password, request);
            Reply answer = http::redirect_reply(303, login.next.empty() ? "/" : login.next);
            answer.set_header(
                "Set-Cookie", session_cookie(request, services.auth.open_session(user).first)
            );
            return answer;
        } catch (const Failure& failure) {
            return http::redirect_reply(
                303,
                "/login?error=" + std::to_string(failure.status()) +
                    "&next=" + http::percent_encode(login.next.empty() ? "/" : login.next)
            );
        }
    }
    const auto user = services.auth.check_password(login.username, login.password, request);
    const auto [cookie, caller] = services.auth.open_session(user);
    Reply answer = reply(200, boot_view(services, caller));
    answer.set_header("Set-Cookie", session_cookie(request, cookie));
    return answer;
}

Reply log_out(Services& services, const Request& request, const Caller& caller) {
    services.auth.close_session(request);
    services.live.end_session(caller.session);
    Reply answer = no_content();
    answer.set_header("Set-Cookie", session_cookie(request, ""));
    return answer;
}

Reply go_to_login(Services&, const Request& request, const Caller&) {
    const std::string next = safe_next(request.query_value("next").value_or("/"));
    return http::redirect_reply(307, "/login?next=" + http::percent_encode(next));
}

Reply boot(Services& services, const Request&, const Caller& caller) {
    return reply(200, boot_view(services, caller));
}

}  // namespace

Json boot_view(Services& services, const Caller& caller) {
    Json json;
    json["user"]["name"] = caller.user;
    json["user"]["role"] = caller.role;
    json["csrf"] = caller.csrf;
    json["instance"] = services.instance.name;
    json["version"] = services.instance.version;
    json["tz"] = "UTC";
    json["server_ms"] = to_micros(services.clock.now()) / 1'000;
    json["seq"] = services.runtime.seq().value;
    return json;
}

Rows session_endpoints() {
    using http::Access;
    return {
        {"POST", "/auth/token", "", Access::open, post_token},
        {"POST", "/auth/token/cli", "", Access::open, post_cli_token},
        {"POST", "/auth/login", "", Access::open, log_in},
        {"GET", "/auth/login", "", Access::open, go_to_login},
        {"POST", "/auth/logout", "", Access::signed_in, log_out},
        {"GET", "/api/v2/auth/login", "login", Access::open, go_to_login},
        {"POST", "/ui/v1/login", "", Access::open, log_in},
        {"POST", "/ui/v1/logout", "", Access::signed_in, log_out},
        {"GET", "/ui/v1/boot", "", Access::signed_in, boot},
    };
}

}  // namespace sluice::api
