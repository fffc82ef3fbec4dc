#include "operators/sensor/look.hpp"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "base/check.hpp"
#include "base/error.hpp"
#include "model/zone.hpp"
#include "operators/connect/file_place.hpp"
#include "operators/external/look.hpp"

namespace sluice::ops {
namespace {

using Json = nlohmann::json;

/// "07:30", "07:30:15": since midnight.
std::optional<std::chrono::seconds> time_of_day(std::string_view text) {
    int part[3] = {0, 0, 0};
    std::size_t parts = 0;
    const char* at = text.data();
    const char* const end = text.data() + text.size();
    while (parts < 3) {
        if (end - at < 2) return std::nullopt;
        const auto [next, failed] = std::from_chars(at, at + 2, part[parts]);
        if (failed != std::errc{} || next != at + 2) return std::nullopt;
        ++parts;
        at = next;
        if (at == end) break;
        if (*at++ != ':') return std::nullopt;
    }
    if (at != end || parts < 2 || part[0] > 23 || part[1] > 59 || part[2] > 59) return std::nullopt;
    return std::chrono::hours{part[0]} + std::chrono::minutes{part[1]} +
           std::chrono::seconds{part[2]};
}

Instant interval_end(const task::TaskInfo& info, Instant now) {
    if (info.data_interval) return info.data_interval->end;
    return info.logical_date.value_or(now);
}

/// A date, a number other than 0, a text other than "", "0", "false", "f", "no".
bool counts_as_true(const Json& value) {
    if (value.is_null()) return false;
    if (value.is_boolean()) return value.get<bool>();
    if (value.is_number()) return value.get<double>() != 0;
    if (!value.is_string()) return !value.empty();
    const auto& text = value.get_ref<const std::string&>();
    return !(text.empty() || text == "0" || text == "false" || text == "f" || text == "no");
}

}  // namespace

std::optional<Instant> target_of(const std::string& time, const task::TaskInfo& info, Instant now) {
    const auto zone = Zone::find(info.timezone).value_or(Zone::utc());
    const Instant end = interval_end(info, now);
    if (const auto clock = time_of_day(time)) {
        // The first such time of day at or after the end of the interval.
        const auto day = std::chrono::floor<std::chrono::days>(zone.to_local(end));
        const Instant first = zone.to_instant(day + *clock);
        return first >= end ? first : zone.to_instant(day + std::chrono::days{1} + *clock);
    }
    if (const auto after = parse_duration(time)) return end + *after;
    if (const auto parsed = parse_time(time)) return resolve(*parsed, zone);
    return std::nullopt;
}

Sight look_at_time(task::TaskContext& ctx, const std::string& time, Instant now) {
    const auto target = target_of(time, ctx.info(), now);
    if (!target)
        return Sight::never(
            "\"" + time + "\" is no time, time of day or duration after the data interval"
        );
    if (*target <= now) return Sight::so();
    auto sight = Sight::not_yet("it is before " + format_z(*target));
    sight.until = target;
    return sight;
}

Sight look_at_file(task::TaskContext& ctx, const Json& file, Instant now) {
    connect::FilePlace place(ctx, ctx.connection(file.at("conn_id")));
    const std::string pattern = file.at("path");
    const auto least = file.value("min_bytes", std::int64_t{1});
    const auto stable = parse_duration(file.value("stable_for", "0s")).value_or(Duration{});
    const auto files = place.find(pattern);
    if (files.empty()) return Sight::not_yet("there is no file \"" + pattern + '"');
    Json found = Json::array();
    for (const auto& [name, path, size, written, since] : files) {
        if (size < 0) return Sight::not_yet(name + " has just gone");
        if (size < least)
            return Sight::not_yet(
                fmt::format("{} has {} bytes, fewer than min_bytes: {}", name, size, least)
            );
        if (now - since < stable) {
            auto sight = Sight::not_yet(name + " changed at " + format_z(since));
            sight.until = since + stable;
            return sight;
        }
        if (found.size() < 1'000) found.push_back(name);
    }
    return Sight::so(std::move(found));
}

Sight look_at_sql(task::TaskContext& ctx, const Json& sql) {
    const Json value = look_sql(ctx, sql);
    if (counts_as_true(value)) return Sight::so(value);
    return Sight::not_yet("the first value is " + value.dump().substr(0, 100));
}

Sight look_at_http(task::TaskContext& ctx, const Json& http) {
    Json request = http;
    if (!request.contains("method")) request["method"] = "GET";
    const HttpLook look = look_http(ctx, request);
    if (look.outcome.kind == OutcomeKind::success) return Sight::so();
    const auto& why = look.outcome.message;
    switch (look.outcome.error_class) {
        case ErrorClass::data_quality:
            return Sight::not_yet(why);  // the reply is not what is expected
        case ErrorClass::rate_limited: {
            auto sight = Sight::not_yet(why);
            if (const auto after = look.outcome.retry_after)
                sight.until =
                    std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now()) +
                    *after;
            return sight;
        }
        case ErrorClass::permanent:
            // A server that answers "not found" may answer otherwise tomorrow.
            if (look.status != 0) return Sight::not_yet(why);
            return Sight::never(why);
        case ErrorClass::none:
        case ErrorClass::transient:
        case ErrorClass::auth:
        case ErrorClass::schema:
        case ErrorClass::resource:
            return Sight::never(why, look.outcome.error_class);
    }
    unreachable();
}

Sight look_at_dataset(task::TaskContext& ctx, const std::string& dataset) {
    const auto slices = ctx.inputs({.dataset = dataset});
    if (!slices.empty()) return Sight::so(static_cast<std::int64_t>(slices.size()));
    return Sight::not_yet("nobody has written " + dataset + " for this interval");
}

}  // namespace sluice::ops
