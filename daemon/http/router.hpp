// router.hpp — a table of routes: (method, path pattern) -> handler. Read-only once built, so any
// thread may route. In a path `+` is a literal plus and `%2F` stays inside its segment.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "http/message.hpp"

namespace sluice::http {

using Handler = std::function<Reply(const Request&)>;

/// Who may call a route.
enum class Access { open, signed_in };

struct Route {
    std::string method;
    std::string pattern;  // "/api/v2/dags/{dag_id}"; a last segment `{rest...}` takes what is left
    std::string operation;  // the OpenAPI operationId; "" = not part of the public document
    Access access{Access::signed_in};
    Handler handler;
};

class Router {
public:
    explicit Router(std::vector<Route> routes);

    struct Match {
        const Route* route{nullptr};       // null: no route
        std::vector<Pair> params;          // decoded
        std::vector<std::string> allowed;  // methods of the path when only the method is wrong
    };
    /// HEAD is served by GET's route.
    [[nodiscard]] Match match(std::string_view method, std::string_view path) const;
    [[nodiscard]] const std::vector<Route>& routes() const { return routes_; }

private:
    std::vector<Route> routes_;  // literal segments before parameters
    std::vector<std::vector<std::string>> segments_;
};

}  // namespace sluice::http
