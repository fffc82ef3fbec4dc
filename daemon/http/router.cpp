#include "http/router.hpp"

#include <algorithm>
#include <numeric>

namespace sluice::http {
namespace {

bool is_parameter(std::string_view segment) { return segment.starts_with('{'); }
bool takes_rest(std::string_view segment) { return segment.ends_with("...}"); }

std::string_view parameter_name(std::string_view segment) {
    segment.remove_prefix(1);
    segment.remove_suffix(takes_rest(segment) ? 4 : 1);
    return segment;
}

template <class Text>
std::vector<Text> split(std::string_view path) {
    std::vector<Text> segments;
    if (path.starts_with('/')) path.remove_prefix(1);
    while (true) {
        const auto end = path.find('/');
        segments.emplace_back(path.substr(0, end));
        if (end == std::string_view::npos) return segments;
        path.remove_prefix(end + 1);
    }
}

/// A literal sorts before a parameter, and that before one that takes the rest.
int rank(std::string_view segment) {
    if (!is_parameter(segment)) return 0;
    return takes_rest(segment) ? 2 : 1;
}

bool before(const std::vector<std::string>& a, const std::vector<std::string>& b) {
    return std::lexicographical_compare(
        a.begin(),
        a.end(),
        b.begin(),
        b.end(),
        [](const std::string& x, const std::string& y) { return rank(x) < rank(y); }
    );
}

bool fits(
    const std::vector<std::string>& pattern,
    const std::vector<std::string_view>& path,
    std::vector<Pair>& params
) {
    params.clear();
    const bool rest = takes_rest(pattern.back());
    if (rest ? path.size() < pattern.size() : path.size() != pattern.size()) return false;
    for (std::size_t i = 0; i < pattern.size(); ++i) {
        if (!is_parameter(pattern[i])) {
            if (percent_decode(path[i], Plus::literal) != pattern[i]) return false;
            continue;
        }
        if (takes_rest(pattern[i])) {
            std::string tail(path[i]);
            for (std::size_t j = i + 1; j < path.size(); ++j) tail.append("/").append(path[j]);
            params.emplace_back(parameter_name(pattern[i]), percent_decode(tail, Plus::literal));
            return true;
        }
        if (path[i].empty()) return false;
        params.emplace_back(parameter_name(pattern[i]), percent_decode(path[i], Plus::literal));
    }
    return true;
}

}  // namespace

Router::Router(std::vector<Route> routes) {
    std::vector<std::vector<std::string>> segments;
    segments.reserve(routes.size());
    for (const Route& route : routes) segments.push_back(split<std::string>(route.pattern));
    std::vector<std::size_t> order(routes.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
        return before(segments[a], segments[b]);
    });
    for (const std::size_t index : order) {
        routes_.push_back(std::move(routes[index]));
        segments_.push_back(std::move(segments[index]));
    }
}

Router::Match Router::match(std::string_view method, std::string_view path) const {
    const std::string_view wanted = method == "HEAD" ? std::string_view("GET") : method;
    const auto parts = split<std::string_view>(path);
    Match match;
    std::vector<Pair> params;
    for (std::size_t i = 0; i < routes_.size(); ++i) {
        if (!fits(segments_[i], parts, params)) continue;
        if (routes_[i].method == wanted) {
            match.route = &routes_[i];
            match.params = std::move(params);
            match.allowed.clear();
            return match;
        }
        // The page that takes every path must not hide that an API path has other methods.
        if (!takes_rest(segments_[i].back())) match.allowed.push_back(routes_[i].method);
    }
    return match;
}

}  // namespace sluice::http
