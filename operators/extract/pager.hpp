// pager.hpp — which page of an HTTP API comes next, by `pagination`. Decides only; sends nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "operators/extract/raw_json.hpp"

namespace sluice::extract {

/// Says what is wrong with `pagination`: {key, sentence}; empty if nothing is.
std::vector<std::pair<std::string, std::string>> pagination_problems(
    const nlohmann::json& pagination
);

/// A page as it came.
struct Page {
    std::string_view body;     // valid JSON, or empty
    std::string_view content;  // the text of its records, as it came
    std::int64_t records{0};
    std::string link;  // its Link header
    std::string url;   // that was asked
};

class Pager {
public:
    /// `pagination` null: one page.
    explicit Pager(const nlohmann::json& pagination);

    /// Parameters of the page that is to be asked for now; none where `url` says all.
    [[nodiscard]] std::vector<std::pair<std::string, std::string>> parameters() const;
    /// The whole address, where the server told it.
    [[nodiscard]] const std::string& url() const { return url_; }

    /// Takes the page that came for the current request; false if it is the last. Throws
    /// Failure(permanent) for a page that repeats, or an address on another server.
    bool advance(const Page& page);

    /// Everything, for a checkpoint.
    [[nodiscard]] nlohmann::json state() const;
    void restore(const nlohmann::json& state);

private:
    enum class Type { none, page, offset, cursor, link, next_url };

    bool short_page(const Page& page) const;
    bool next_cursor(const Page& page);
    bool next_address(const Page& page, const std::optional<std::string>& reference);
    void refuse_repeated(const Page& page);

    Type type_{Type::none};
    std::string param_;
    std::string size_param_;
    std::int64_t size_{0};
    bool stop_when_empty_{true};
    JsonPath cursor_path_;

    // Where it stands: a checkpoint has these.
    std::int64_t at_{0};  // page or offset
    std::string cursor_;
    std::string url_;
    std::int64_t pages_{0};
    std::string last_;  // hash of the page before
    std::string
        mark_;  // hash of the page whose number is the last power of two: finds longer rings
};

}  // namespace sluice::extract
