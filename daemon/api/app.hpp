// app.hpp — everything that the daemon serves over HTTP, as one function Request -> Reply.
// `handle` is called from many threads. Construct, then give `handle` to http::Server; stop the
// App before the server, so that streams say goodbye.
#pragma once

#include <functional>
#include <memory>

#include "api/services.hpp"
#include "http/message.hpp"
#include "http/server.hpp"

namespace sluice::api {

class App {
public:
    App(runtime::Runtime& runtime,
        store::Queries& queries,
        store::Admin& admin,
        const Clock& clock,
        Instance instance,
        Versions::ReadVersion read_version);
    ~App();
    App(const App&) = delete;
    App& operator=(const App&) = delete;

    /// Never throws what a caller can cause.
    http::Reply handle(http::Request request);
    /// For /metrics; the server lives longer than its use here, or null is set before it ends.
    void set_server_counters(const http::ServerCounters* counters);
    /// Ends the live streams with a `bye`.
    void stop();

    /// Makes user `name` with this password, or changes its password when it no longer fits.
    static void ensure_user(
        store::Admin& admin,
        const Clock& clock,
        const std::string& name,
        const std::string& role,
        const Secret& password
    );

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::api
