#include "shop_api.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <fstream>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <vector>

#include <nlohmann/json.hpp>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "base/error.hpp"
#include "base/instant.hpp"
#include "home.hpp"
#include "http/router.hpp"
#include "http/server.hpp"

namespace sluice {
namespace {

namespace fs = std::filesystem;
using Steady = std::chrono::steady_clock;
using nlohmann::json;

constexpr std::chrono::seconds token_life{300};
constexpr std::int64_t most_per_page = 1'000;
constexpr std::size_t most_pages_known = 100'000;

http::Reply problem(int status, const char* error, const std::string& description) {
    return http::json_reply(
        status, json{{"error", error}, {"error_description", description}}.dump()
    );
}

bool equal(std::string_view a, std::string_view b) {
    return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::string decode_base64(std::string_view text) {
    if (text.empty() || text.size() % 4 != 0) return {};
    std::string out(text.size() / 4 * 3, '\0');
    const int size = EVP_DecodeBlock(
        reinterpret_cast<unsigned char*>(out.data()),
        reinterpret_cast<const unsigned char*>(text.data()),
        static_cast<int>(text.size())
    );
    if (size < 0) return {};
    const auto padding =
        static_cast<std::size_t>(std::ranges::count(text.substr(text.size() - 2), '='));
    out.resize(static_cast<std::size_t>(size) - padding);
    return out;
}

std::optional<std::int64_t> number(const std::optional<std::string>& text, std::int64_t otherwise) {
    if (!text) return otherwise;
    std::int64_t value = 0;
    const auto [end, failed] = std::from_chars(text->data(), text->data() + text->size(), value);
    if (failed != std::errc{} || end != text->data() + text->size() || value < 1)
        return std::nullopt;
    return value;
}

/// Where each line of a file begins, and where the last one ends.
using Lines = std::vector<std::int64_t>;

Lines lines_of(const fs::path& file) {
    std::ifstream in(file, std::ios::binary);
    Lines lines{0};
    std::string buffer(std::size_t{1} << 20, '\0');
    std::int64_t base = 0;
    while (in.read(buffer.data(), static_cast<std::streamsize>(buffer.size())), in.gcount() > 0) {
        const std::string_view part(buffer.data(), static_cast<std::size_t>(in.gcount()));
        for (auto at = part.find('\n'); at != std::string_view::npos; at = part.find('\n', at + 1))
            lines.push_back(base + static_cast<std::int64_t>(at) + 1);
        base += in.gcount();
    }
    return lines;
}

std::string slice_of(const fs::path& file, std::int64_t begin, std::int64_t end) {
    std::ifstream in(file, std::ios::binary);
    std::string text(static_cast<std::size_t>(end - begin), '\0');
    in.seekg(begin);
    in.read(text.data(), end - begin);
    text.resize(static_cast<std::size_t>(in.gcount()));
    return text;
}

}  // namespace

class ShopApi::Impl {
public:
    Impl(fs::path orders, Secret client_secret, std::uint16_t port)
        : orders_(std::move(orders)), client_secret_(std::move(client_secret)), router_(routes()) {
        const auto handle = [this](http::Request request) { return answer(request); };
        http::ServerOptions options{.port = port, .threads = 2, .max_connections = 64};
        try {
            server_.emplace(options, handle);
        } catch (const Error&) {
            if (port == 0) throw;
            options.port = 0;
            server_.emplace(options, handle);
        }
    }

    [[nodiscard]] std::uint16_t port() const { return server_->port(); }

private:
    std::vector<http::Route> routes() {
        return {
            {"POST",
             "/oauth/token",
             "",
             http::Access::open,
             [this](const auto& r) { return token(r); }},
            {"GET", "/v1/orders", "", http::Access::open, [this](const auto& r) { return list(r); }
            },
        };
    }

    http::Reply answer(http::Request& request) {
        auto match = router_.match(request.method, request.path);
        if (match.route == nullptr)
            return problem(
                match.allowed.empty() ? 404 : 405, "not_found", "there is no such route"
            );
        return match.route->handler(request);
    }

    /// RFC 6749, 4.4: login by the header or in the form.
    http::Reply token(const http::Request& request) {
        std::string id;
        std::string secret;
        std::string grant;
        for (const auto& [name, value] : http::parse_query(request.body)) {
            if (name == "client_id") id = value;
            if (name == "client_secret") secret = value;
            if (name == "grant_type") grant = value;
        }
        const std::string_view header = request.header("authorization");
        if (header.starts_with("Basic ")) {
            const std::string login = decode_base64(header.substr(6));
            const auto colon = std::min(login.find(':'), login.size());
            id = login.substr(0, colon);
            secret = login.substr(std::min(colon + 1, login.size()));
        }
        if (grant != "client_credentials")
            return problem(400, "unsupported_grant_type", "only client_credentials");
        if (!equal(id, client_id) || !equal(secret, client_secret_.reveal()))
            return problem(401, "invalid_client", "unknown client, or a wrong secret");
        const std::string made = random_hex(24);
        const std::lock_guard lock(mutex_);
        const auto now = Steady::now();
        std::erase_if(tokens_, [&](const auto& token) { return token.second < now; });
        tokens_[made] = now + token_life;
        auto reply = http::json_reply(
            200,
            json{
                {"access_token", made}, {"token_type", "Bearer"}, {"expires_in", token_life.count()}
            }.dump()
        );
        reply.set_header("Cache-Control", "no-store");
        return reply;
    }

    bool may(const http::Request& request) {
        const std::string_view header = request.header("authorization");
        if (!header.starts_with("Bearer ")) return false;
        const std::lock_guard lock(mutex_);
        const auto found = tokens_.find(std::string(header.substr(7)));
        return found != tokens_.end() && found->second >= Steady::now();
    }

    http::Reply list(const http::Request& request) {
        if (!may(request)) {
            auto reply = problem(401, "invalid_token", "log in at /oauth/token");
            reply.set_header("WWW-Authenticate", "Bearer");
            return reply;
        }
        const auto since = parse_time(request.query_value("since").value_or(""));
        const auto until = parse_time(request.query_value("until").value_or(""));
        const auto page = number(request.query_value("page"), 1);
        const auto per_page = number(request.query_value("per_page"), 100);
        if (!since || !until)
            return problem(400, "invalid_request", "since and until must be ISO 8601 times");
        if (!page || !per_page)
            return problem(400, "invalid_request", "page and per_page must be 1 or more");
        std::error_code ignored;
        if (!fs::is_directory(orders_, ignored))
            return problem(404, "not_found", "there is no sample here: `sluice sample ecommerce`");
        if (auto trouble = trouble_of(request, *page)) return std::move(*trouble);
        return rows(since->at, until->at, *page, std::min(*per_page, most_per_page));
    }

    /// What every client of an API has to live with: pages 3 and 5 fail when they are asked for the
    /// first time.
    std::optional<http::Reply> trouble_of(const http::Request& request, std::int64_t page) {
        if (page != 3 && page != 5) return std::nullopt;
        const std::lock_guard lock(mutex_);
        if (asked_.size() >= most_pages_known) asked_.clear();
        if (!asked_.insert(request.query_text).second) return std::nullopt;
        if (page == 5) return problem(500, "server_error", "try again");
        auto reply = problem(429, "too_many_requests", "slow down");
        reply.set_header("Retry-After", "0");
        return reply;
    }

    /// The orders that were delivered on the days that begin in [since, until).
    http::Reply rows(Instant since, Instant until, std::int64_t page, std::int64_t per_page) {
        std::int64_t total = 0;
        std::string data;
        std::int64_t from = (page - 1) * per_page;
        std::int64_t left = per_page;
        for (const fs::path& file : files(since, until)) {
            const auto lines = index_of(file);
            const auto count = static_cast<std::int64_t>(lines->size()) - 1;
            total += count;
            const std::int64_t begin = std::min(from, count);
            const std::int64_t end = std::min(begin + left, count);
            from -= begin;
            left -= end - begin;
            if (end > begin)
                data += slice_of(
                    file,
                    (*lines)[static_cast<std::size_t>(begin)],
                    (*lines)[static_cast<std::size_t>(end)]
                );
        }
        if (!data.empty()) data.pop_back();
        std::ranges::replace(data, '\n', ',');
        return http::json_reply(
            200,
            R"({"data":[)" + data + R"(],"page":)" + std::to_string(page) + R"(,"per_page":)" +
                std::to_string(per_page) + R"(,"total":)" + std::to_string(total) + '}'
        );
    }

    [[nodiscard]] std::vector<fs::path> files(Instant since, Instant until) const {
        std::vector<fs::path> found;
        std::error_code ignored;
        for (const auto& entry : fs::directory_iterator(orders_, ignored)) {
            const auto day = parse_time(entry.path().stem().string());
            if (day && day->at >= since && day->at < until) found.push_back(entry.path());
        }
        std::ranges::sort(found);
        return found;
    }

    /// Kept for the days read last; made anew when the sample is.
    std::shared_ptr<const Lines> index_of(const fs::path& file) {
        std::error_code ignored;
        const auto written = fs::last_write_time(file, ignored);
        {
            const std::lock_guard lock(mutex_);
            for (const auto& known : indexes_)
                if (known.file == file && known.written == written) return known.lines;
        }
        auto made = std::make_shared<const Lines>(lines_of(file));
        const std::lock_guard lock(mutex_);
        std::erase_if(indexes_, [&](const auto& known) { return known.file == file; });
        indexes_.push_front({file, written, made});
        if (indexes_.size() > 16) indexes_.pop_back();
        return made;
    }

    struct Index {
        fs::path file;
        fs::file_time_type written;
        std::shared_ptr<const Lines> lines;
    };

    const fs::path orders_;
    const Secret client_secret_;
    const http::Router router_;
    std::mutex mutex_;  // guards tokens_, asked_ and indexes_
    std::map<std::string, Steady::time_point> tokens_;
    std::set<std::string> asked_;
    std::list<Index> indexes_;
    std::optional<http::Server> server_;  // last: its threads use all above
};

ShopApi::ShopApi(fs::path orders, Secret client_secret, std::uint16_t port)
    : impl_(std::make_unique<Impl>(std::move(orders), std::move(client_secret), port)) {}
ShopApi::~ShopApi() = default;
std::uint16_t ShopApi::port() const { return impl_->port(); }

}  // namespace sluice
