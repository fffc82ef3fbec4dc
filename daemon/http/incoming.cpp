#include "http/incoming.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cctype>
#include <cstdint>
#include <ctime>
#include <random>

namespace sluice::http {
namespace {

bool is_plain_id(std::string_view id) {
    if (id.empty() || id.size() > 64) return false;
    return std::ranges::all_of(id, [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_' || c == '.';
    });
}

std::string new_request_id() {
    static std::atomic<std::uint64_t> counter{std::random_device{}()};
    return "req-" + std::to_string(counter.fetch_add(1));
}

std::string lower(std::string_view text) {
    std::string out(text);
    for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return out;
}

}  // namespace

void set_target(Request& request, std::string_view target) {
    for (const std::string_view scheme : {"http://", "https://"}) {
        if (!target.starts_with(scheme)) continue;
        target.remove_prefix(scheme.size());
        const auto slash = target.find('/');
        target = slash == std::string_view::npos ? std::string_view("/") : target.substr(slash);
    }
    target = target.substr(0, target.find('#'));
    const auto mark = target.find('?');
    if (target.starts_with('/')) request.path = std::string(target.substr(0, mark));
    if (mark != std::string_view::npos) request.query_text = std::string(target.substr(mark + 1));
    request.query = parse_query(request.query_text);
}

void add_header(Request& request, std::string_view name, std::string_view value) {
    request.headers.emplace_back(lower(name), value);
}

std::string request_id_of(const Request& request) {
    for (const std::string_view name : {"x-request-id", "correlation-id"})
        if (is_plain_id(request.header(name))) return std::string(request.header(name));
    return new_request_id();
}

std::string http_date() {
    const std::time_t now = std::time(nullptr);
    std::tm utc{};
    gmtime_r(&now, &utc);
    std::array<char, 40> text{};
    const auto size = std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &utc);
    return {text.data(), size};
}

}  // namespace sluice::http
