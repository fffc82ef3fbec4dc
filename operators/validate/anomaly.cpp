#include "operators/validate/anomaly.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/fields.hpp"
#include "base/problem.hpp"
#include "model/names.hpp"
#include "model/zone.hpp"
#include "operators/engine/sql.hpp"

namespace sluice::validate {

namespace {

using Method = Anomaly::Method;
using nlohmann::json;

constexpr NameTable<Method, 3> methods{
    {{Method::sigma, "sigma"}, {Method::relative, "relative"}, {Method::seasonal, "seasonal"}}
};

/// Metrics whose value is one of the column's values, or gives one away.
bool shows_values(const std::string& metric) {
    return metric == "min" || metric == "max" || metric == "sum" || metric == "avg";
}

bool is_number(const std::string& type) {
    static constexpr std::array<std::string_view, 6> numbers{
        "smallint", "integer", "bigint", "decimal", "real", "double"
    };
    return std::ranges::any_of(numbers, [&](std::string_view one) {
        return type.starts_with(one);
    });
}

/// What intervals of one season have in common: hour of the day, weekday or month of the year, by
/// how long they are.
int season_of(Instant start, const Interval& interval, const Zone& zone) {
    using namespace std::chrono;
    const LocalTime local = zone.to_local(start);
    const auto day = floor<days>(local);
    const auto length = interval.end - interval.start;
    if (length < hours{23}) return static_cast<int>(duration_cast<hours>(local - day).count());
    if (length <= hours{25}) return static_cast<int>(weekday{day}.iso_encoding());
    return static_cast<int>(static_cast<unsigned>(year_month_day{day}.month()));
}

double mean_of(const std::vector<double>& values) {
    double sum = 0;
    for (const double one : values) sum += one;
    return sum / static_cast<double>(values.size());
}

double deviation_of(const std::vector<double>& values, double mean) {
    if (values.size() < 2) return 0;
    double sum = 0;
    for (const double one : values) sum += (one - mean) * (one - mean);
    return std::sqrt(sum / static_cast<double>(values.size() - 1));
}

double median_of(std::vector<double> values) {
    std::ranges::sort(values);
    const std::size_t middle = values.size() / 2;
    return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

std::string number(double value) { return fmt::format("{:.6g}", value); }

}  // namespace

std::string Anomaly::name() const { return column.empty() ? metric : metric + ": " + column; }

std::vector<Anomaly> read_anomalies(const json& params, std::vector<Problem>& problems) {
    std::vector<Anomaly> out;
    if (!params.contains("anomalies")) return out;
    for (std::size_t i = 0; i < params.at("anomalies").size(); ++i) {
        const json& written = params.at("anomalies")[i];
        Anomaly one;
        one.metric = written.at("metric").get<std::string>();
        one.column = written.value("column", "");
        one.method = value_in(methods, written.value("method", "sigma")).value_or(Method::sigma);
        one.k = written.value("k", one.method == Method::relative ? 0.5 : 3.0);
        one.min_history = written.value("min_history", one.min_history);
        if (written.value("on_fail", "warn") == "fail") one.on_fail = OnFail::fail;
        if ((one.metric == "row_count") != one.column.empty())
            problems.push_back(problem(
                "E-CHECK",
                "/anomalies/" + std::to_string(i),
                one.column.empty() ? "the metric " + one.metric + " needs a column"
                                   : "row_count is of all rows: it takes no column"
            ));
        out.push_back(std::move(one));
    }
    return out;
}

std::vector<Problem> check_anomalies(
    const std::vector<Anomaly>& anomalies, const binding::Columns& columns
) {
    std::vector<Problem> problems;
    for (std::size_t i = 0; i < anomalies.size(); ++i) {
        const Anomaly& one = anomalies[i];
        if (one.column.empty()) continue;
        const std::string pointer = "/anomalies/" + std::to_string(i);
        const ColumnSpec* found = binding::find(columns, one.column);
        if (found == nullptr)
            problems.push_back(problem(
                "E-COLUMN",
                pointer + "/column",
                "there is no column \"" + one.column + "\"",
                did_you_mean(one.column, binding::names(columns))
            ));
        else if (shows_values(one.metric) && !found->pii_class.empty())
            problems.push_back(problem(
                "E-CHECK",
                pointer,
                "the " + one.metric + " of a column of class " + found->pii_class +
                    " would be kept among the metrics: null_share and distinct_count may"
            ));
        else if (shows_values(one.metric) && !is_number(found->type))
            problems.push_back(problem(
                "E-CHECK", pointer, "column \"" + one.column + "\" is no number: " + found->type
            ));
    }
    return problems;
}

std::string metric_sql(const Anomaly& anomaly) {
    if (anomaly.column.empty()) return "count(*)";
    const std::string column = engine::quote(anomaly.column);
    if (anomaly.metric == "null_share")
        return "cast(count(*) filter (where " + column +
               " is null) as float8) / nullif(count(*), 0)";
    if (anomaly.metric == "distinct_count") return "count(distinct " + column + ")";
    return "cast(" + anomaly.metric + "(" + column + ") as float8)";
}

Verdict judge(
    const Anomaly& anomaly,
    std::optional<double> value,
    const Interval& interval,
    const std::string& timezone,
    const std::vector<Point>& history
) {
    Verdict out;
    const bool seasonal = anomaly.method == Method::seasonal;
    const Zone zone = Zone::find(timezone).value_or(Zone::utc());
    const int season = season_of(interval.start, interval, zone);
    std::vector<double> values;
    for (const Point& point : history)
        if (point.start < interval.start &&
            (!seasonal || season_of(point.start, interval, zone) == season))
            values.push_back(point.value);
    out.points = static_cast<std::int64_t>(values.size());
    const std::string earlier =
        fmt::format("{} earlier intervals{}", out.points, seasonal ? " of its season" : "");
    if (!value || out.points < anomaly.min_history) {
        out.is = Verdict::Is::unknown;
        out.told =
            !value
                ? "it has no value"
                : fmt::format("there are {}, {} are needed to judge", earlier, anomaly.min_history);
        return out;
    }
    double middle = 0;
    double reach = 0;
    if (anomaly.method == Method::relative) {
        middle = median_of(values);
        reach = anomaly.k * std::fabs(middle);
    } else {
        middle = mean_of(values);
        reach = anomaly.k * deviation_of(values, middle);
    }
    out.low = middle - reach;
    out.high = middle + reach;
    // Sums of floats do not repeat to the last digit.
    const double slack = 1e-9 * std::max(std::fabs(middle), std::fabs(*value));
    if (*value < out.low - slack || *value > out.high + slack) out.is = Verdict::Is::anomaly;
    out.told = fmt::format(
        "{} is {} {} to {} ({} of {})",
        number(*value),
        out.is == Verdict::Is::anomaly ? "outside of" : "within",
        number(out.low),
        number(out.high),
        anomaly.method == Method::relative
            ? fmt::format("{:.6g}% around the median", anomaly.k * 100)
            : fmt::format("{:.6g} sigma around the mean", anomaly.k),
        earlier
    );
    return out;
}

}  // namespace sluice::validate
