#include "api/app.hpp"

#include <pwd.h>
#include <spdlog/spdlog.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "api/failure.hpp"
#include "api/json.hpp"
#include "api/live.hpp"
#include "api/log_view.hpp"
#include "api/metrics.hpp"
#include "api/openapi.hpp"
#include "api/pages.hpp"
#include "api/session.hpp"
#include "api/ui.hpp"
#include "api/v2.hpp"
#include "base/error.hpp"
#include "http/forward.hpp"
#include "http/later.hpp"

namespace sluice::api {
namespace {

using http::Reply;
using http::Request;

Node this_node() {
    Node node;
    utsname names{};
    if (::uname(&names) == 0) node.hostname = names.nodename;
    if (const passwd* entry = ::getpwuid(::geteuid()); entry != nullptr) node.user = entry->pw_name;
    return node;
}

Reply failed(const Failure& failure) {
    Reply reply = http::json_reply(failure.status(), "{\"detail\":" + failure.detail() + "}");
    if (failure.status() == 401) reply.set_header("WWW-Authenticate", "Bearer");
    if (failure.status() == 503) reply.set_header("Retry-After", "2");
    if (failure.status() == 429) reply.set_header("Retry-After", "30");
    return reply;
}

Reply failed(const Error& error) {
    switch (error.code()) {
        case ErrorCode::invalid:
            return failed(failure(400, error.what()));
        case ErrorCode::not_found:
            return failed(failure(404, error.what()));
        case ErrorCode::conflict:
            return failed(failure(409, error.what()));
        case ErrorCode::unauthorized:
            return failed(failure(401, error.what()));
        case ErrorCode::forbidden:
            return failed(failure(403, error.what()));
        case ErrorCode::unavailable:
            return failed(failure(503, error.what()));
        case ErrorCode::limit:
            return failed(failure(429, error.what()));
        case ErrorCode::internal:
            break;
    }
    spdlog::error("internal error while answering: {}", error.what());
    return failed(failure(500, "Internal Server Error"));
}

/// Viewers read; only administrators and operators touch connections and variables.
void check_role(const Request& request, const Caller& caller) {
    const bool reads = request.method == "GET" || request.method == "HEAD";
    const bool of_privacy =
        request.path.starts_with("/ui/v1/vault/") || request.path.starts_with("/ui/v1/lake/holds/");
    if (!reads && (caller.role == "viewer" || (caller.role == "privacy" && !of_privacy)))
        throw failure(403, "Forbidden");
    const bool guarded = request.path.starts_with("/api/v2/connections") ||
                         request.path.starts_with("/api/v2/variables");
    if (guarded && caller.role != "admin" && caller.role != "op") throw failure(403, "Forbidden");
}

bool is_api(std::string_view path) {
    return path.starts_with("/api/") || path.starts_with("/ui/") || path.starts_with("/auth/");
}

}  // namespace

class App::Impl {
public:
    Impl(
        runtime::Runtime& runtime,
        store::Queries& queries,
        store::Admin& admin,
        const Clock& clock,
        Instance instance,
        Versions::ReadVersion read_version
    )
        : instance_(std::move(instance)),
          auth_(admin, clock),
          versions_(runtime.registry(), queries, std::move(read_version)),
          live_(runtime, queries, versions_, clock),
          services_{
              runtime, queries, admin, auth_, versions_, live_, clock, instance_, this_node()
          },
          pages_(instance_.web_dir),
          router_(routes()) {
        live_.tell_progress(instance_.progress);
    }

    Reply handle(Request request) {
        Reply reply = settle(request, [&] {
            // What changes something is the owner's to do; a session belongs to every node.
            const bool own = reads(request) || request.path.starts_with("/auth/") ||
                             request.path == "/ui/v1/login" || request.path == "/ui/v1/logout";
            if (!own) services_.runtime.need_owner();
            return route(request);
        });
        if (reply.later)
            reply.later->finish_by([this, kept = std::make_shared<Request>(std::move(request))](
                                       const http::Later::Make& make
                                   ) { return settle(*kept, make); });
        return reply;
    }

    void set_server_counters(const http::ServerCounters* counters) { server_ = counters; }
    void stop() {
        live_.stop();
        forwarder_.stop();
    }

private:
    static bool reads(const Request& request) {
        return request.method == "GET" || request.method == "HEAD" || request.method == "OPTIONS";
    }

    static bool was_handed_on(const Request& request) {
        return !request.header(http::Forwarder::mark).empty();
    }

    /// To the owner, one hop: with none, or when this was not meant for a standby, 503.
    Reply hand_on(const Request& request, const runtime::StandsBy& other) {
        try {
            if (other.owner().empty() || was_handed_on(request)) throw other;
            Reply reply = forwarder_.forward(request, other.owner());
            counters_.count(request, reply.status);
            return reply;
        } catch (const Error& error) {
            Reply reply = failed(failure(503, error.what()));
            counters_.count(request, reply.status);
            return reply;
        }
    }

    /// To the node that has the file; when it does not answer, what this one can tell.
    Reply hand_on(Request request, const LogElsewhere& other) {
        try {
            Reply reply = forwarder_.forward(request, other.address);
            counters_.count(request, reply.status);
            return reply;
        } catch (const Error&) {
            request.headers.emplace_back(http::Forwarder::mark, "unanswered");
            return answer_here(request, [&] { return route(request); });
        }
    }

    /// The reply that `make` makes, here or by another node.
    template <class Make>
    Reply settle(Request& request, const Make& make) {
        try {
            return answer_here(request, make);
        } catch (const runtime::StandsBy& other) {
            return hand_on(request, other);
        } catch (const LogElsewhere& other) {
            return hand_on(request, other);
        }
    }

    template <class Make>
    Reply answer_here(const Request& request, const Make& make) {
        Reply reply = answer(make);
        if (reply.later) return reply;
        if (!reply.stream && reply.status == 200 && request.method == "GET" &&
            !request.path.starts_with("/static/") && !request.path.starts_with("/metrics"))
            http::apply_etag(request, reply);
        http::apply_gzip(request, reply);
        if (request.path.starts_with("/ui/v1/")) keep_private(reply);
        counters_.count(request, reply.status);
        return reply;
    }

    /// What is thrown becomes a reply.
    template <class Make>
    static Reply answer(const Make& make) {
        try {
            return make();
        } catch (const Failure& failure) {
            return failed(failure);
        } catch (const runtime::StandsBy&) {
            throw;
        } catch (const Error& error) {
            return failed(error);
        }
    }

    Reply route(Request& request) {
        const auto match = router_.match(request.method, request.path);
        if (match.route == nullptr) return no_route(request, match.allowed);
        request.params = match.params;
        return match.route->handler(request);
    }

    static Reply no_route(const Request& request, const std::vector<std::string>& allowed) {
        if (!allowed.empty()) {
            Reply reply = http::json_reply(405, R"({"detail":"Method Not Allowed"})");
            std::string methods;
            for (const std::string& method : allowed)
                methods += (methods.empty() ? "" : ", ") + method;
            reply.set_header("Allow", methods);
            return reply;
        }
        if (request.path.starts_with("/api/"))
            return http::json_reply(404, R"({"error":"API route not found"})");
        return http::json_reply(404, R"({"detail":"Not Found"})");
    }

    static void keep_private(Reply& reply) {
        for (const auto& [name, value] : reply.headers)
            if (name == "Cache-Control") return;
        reply.set_header("Cache-Control", "no-store");
    }

    http::Handler wrap(Endpoint endpoint, http::Access access) {
        return [this, endpoint, access](const Request& request) {
            Caller caller;
            if (access == http::Access::signed_in) {
                caller = services_.auth.identify(request);
                check_role(request, caller);
            }
            return endpoint(services_, request, caller);
        };
    }

    std::vector<http::Route> routes() {
        std::vector<http::Route> routes;
        for (const auto& rows :
             {session_endpoints(),
              dag_endpoints(),
              run_endpoints(),
              task_endpoints(),
              mark_endpoints(),
              xcom_endpoints(),
              hitl_endpoints(),
              why_endpoints(),
              log_endpoints(),
              backfill_endpoints(),
              pool_endpoints(),
              asset_endpoints(),
              admin_endpoints(),
              meta_endpoints(),
              ui_endpoints(),
              status_endpoints()})
            for (const Row& row : rows)
                routes.push_back(
                    {row.method,
                     row.pattern,
                     row.operation,
                     row.access,
                     wrap(row.endpoint, row.access)}
                );
        const auto open = http::Access::open;
        routes.push_back({"GET", "/metrics", "", open, [this](const Request&) {
                              return http::Reply{
                                  200,
                                  "text/plain; version=0.0.4; charset=utf-8",
                                  metrics_text(services_, counters_, server_),
                                  {},
                                  nullptr,
                              };
                          }});
        routes.push_back({"GET", "/openapi.json", "", open, [this](const Request&) {
                              return http::json_reply(
                                  200, openapi_document(router_.routes(), instance_.version)
                              );
                          }});
        for (const char* pattern : {"/", "/{page...}"})
            routes.push_back({"GET", pattern, "", open, [this](const Request& request) {
                                  if (is_api(request.path)) return no_route(request, {});
                                  return pages_.page(request);
                              }});
        routes.push_back({"GET", "/static/{file...}", "", open, [this](const Request& request) {
                              return pages_.file(request);
                          }});
        return routes;
    }

    const Instance instance_;
    Auth auth_;
    Versions versions_;
    Live live_;
    Services services_;
    Pages pages_;
    http::Forwarder forwarder_;
    RequestCounters counters_;
    std::atomic<const http::ServerCounters*> server_{nullptr};
    http::Router router_;
};

App::App(
    runtime::Runtime& runtime,
    store::Queries& queries,
    store::Admin& admin,
    const Clock& clock,
    Instance instance,
    Versions::ReadVersion read_version
)
    : impl_(std::make_unique<Impl>(
          runtime, queries, admin, clock, std::move(instance), std::move(read_version)
      )) {}
App::~App() = default;
Reply App::handle(Request request) { return impl_->handle(std::move(request)); }
void App::set_server_counters(const http::ServerCounters* counters) {
    impl_->set_server_counters(counters);
}
void App::stop() { impl_->stop(); }

void App::ensure_user(
    store::Admin& admin,
    const Clock& clock,
    const std::string& name,
    const std::string& role,
    const Secret& password
) {
    auto user = admin.user(name);
    if (user && password_matches(user->password_hash, password)) return;
    AuditEntry entry;
    entry.at = clock.now();
    entry.event = user ? "change_password" : "create_user";
    entry.extra = "{}";
    store::User changed = user.value_or(store::User{});
    changed.name = name;
    changed.role = role;
    changed.password_hash = hash_password(password);
    changed.active = true;
    if (!user) changed.created_at = clock.now();
    admin.put_user(changed, entry);
}

}  // namespace sluice::api
