// input.hpp — reads query parameters and JSON bodies; all that is wrong is reported at once in the
// shape of Airflow's validation errors (422, a list of {type, loc, msg, input}).
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/json.hpp"
#include "base/instant.hpp"
#include "http/message.hpp"
#include "store/queries.hpp"

namespace sluice::api {

/// Collects validation errors; `check` throws them as one Failure(422).
class Problems {
public:
    void add(Json error) { list_.push_back(std::move(error)); }
    void add(
        std::string_view type, Json loc, std::string_view message, Json input, Json context = {}
    );
    void check() const;

private:
    Json list_ = Json::array();
};

/// Query parameters of a list. Reading one that is wrong adds a problem; `done` throws.
class Query {
public:
    explicit Query(const http::Request& request) : request_(request) {}

    std::optional<std::string> text(std::string_view name);
    std::string text_or_empty(std::string_view name) { return text(name).value_or(""); }
    std::vector<std::string> texts(std::string_view name) { return request_.query_values(name); }
    std::optional<std::int64_t> integer(std::string_view name);
    std::vector<std::int64_t> integers(std::string_view name);
    std::optional<bool> boolean(std::string_view name);
    std::optional<Instant> time(std::string_view name);
    /// name_gte, name_gt, name_lte, name_lt.
    store::TimeRange range(const std::string& name);
    /// limit (default 50, cut to 100) and offset.
    store::PageOf page();
    /// Repeated `order_by=field` / `-field` as (name, descending), as given.
    std::vector<std::pair<std::string, bool>> order();
    void done() { problems_.check(); }

private:
    std::optional<std::int64_t> whole(
        std::string_view name, const std::string& text, std::optional<std::int64_t> least
    );
    const http::Request& request_;
    Problems problems_;
};

/// "Ordering with 'x' is disallowed or the attribute does not exist on the model" (400).
[[noreturn]] void bad_order(const std::string& name);

/// A JSON object in a request's body. Unknown keys are errors. Read all fields, then `done`.
class Body {
public:
    /// An empty body counts as {}. Throws Failure(422) when it is not a JSON object.
    explicit Body(const http::Request& request);

    [[nodiscard]] bool has(std::string_view key) const;
    [[nodiscard]] bool is_null(std::string_view key) const;
    /// Adds "Field required" if the key is missing.
    void require(std::string_view key);
    std::optional<std::string> text(std::string_view key);
    std::optional<bool> boolean(std::string_view key);
    std::optional<std::int64_t> integer(std::string_view key);
    std::optional<double> number(std::string_view key);
    /// `aware`: a time without an offset is an error (else it is read as UTC).
    enum class Zone { required, optional };
    std::optional<Instant> time(std::string_view key, Zone zone = Zone::optional);
    /// The keys name_gte, name_gt, name_lte and name_lt.
    store::TimeRange range(const std::string& name);
    std::optional<Json> object(std::string_view key);
    std::optional<Json> list(std::string_view key);
    std::optional<std::vector<std::string>> texts(std::string_view key);
    std::optional<std::string> one_of(
        std::string_view key, std::initializer_list<std::string_view> names
    );
    /// Any JSON.
    std::optional<Json> value(std::string_view key);
    void error(
        std::string_view type, std::string_view key, std::string_view message, Json context = {}
    );
    /// Throws Failure(422) with everything that was wrong, unknown keys included.
    void done();

private:
    const Json* find(std::string_view key);
    Json json_;
    std::vector<std::string> known_;
    Problems problems_;
};

/// SQL ILIKE with % and _, `|` = or, `~` = all; case-insensitive. "" matches all.
bool matches_pattern(std::string_view text, std::string_view pattern);

}  // namespace sluice::api
