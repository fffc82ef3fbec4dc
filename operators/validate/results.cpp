#include "operators/validate/results.hpp"

#include <cstdlib>

#include "operators/engine/failure.hpp"

namespace sluice::validate {

using nlohmann::json;

namespace {

/// So many intervals back: a year of days.
constexpr int history_intervals = 400;

std::optional<double> number_of(const std::optional<std::string>& text) {
    if (!text) return std::nullopt;
    char* end = nullptr;
    const double value = std::strtod(text->c_str(), &end);
    if (end == text->c_str() || *end != '\0') return std::nullopt;
    return value;
}

}  // namespace

void Results::add(
    const std::string& dataset,
    const std::string& rule,
    OnFail on_fail,
    const std::string& what,
    const std::string& samples
) {
    json result{{"dataset", dataset}, {"check", rule}, {"on_fail", name(on_fail)}, {"found", what}};
    std::string line = dataset + ": " + rule + ": " + what;
    const auto level = on_fail == OnFail::fail ? task::Level::error : task::Level::warning;
    context_.log(level, samples.empty() ? line : line + ", as " + samples);
    if (!samples.empty()) result["samples"] = json::parse(samples);
    found_.push_back(std::move(result));
    if (on_fail == OnFail::fail) failures_ += (failures_.empty() ? "" : "; ") + line;
}

void Results::metric(const std::string& dataset, const std::string& name, double value) {
    metrics_[dataset][name] = value;
}

void Results::judge(
    const std::string& dataset, const Anomaly& anomaly, std::optional<double> value
) {
    const std::string name = anomaly.name();
    if (value) metric(dataset, name, *value);
    Verdict verdict;
    const auto& interval = context_.info().data_interval;
    if (!interval) {
        verdict.is = Verdict::Is::unknown;
        verdict.told = "this run has no data interval: it has no predecessors";
    } else {
        std::vector<Point> history;
        const json answer = context_.ask(
            {{"type", "metrics"},
             {"what", "history"},
             {"dataset", dataset},
             {"metric", name},
             {"before", to_micros(interval->start)},
             {"limit", history_intervals}}
        );
        for (const json& point : answer.at("points"))
            history.push_back(
                {from_micros(point.at(0).get<std::int64_t>()), point.at(1).get<double>()}
            );
        verdict = validate::judge(anomaly, value, *interval, context_.info().timezone, history);
    }
    const bool odd = verdict.is == Verdict::Is::anomaly;
    judged_.push_back(
        {{"dataset", dataset},
         {"metric", name},
         {"value", value ? json(*value) : json()},
         {"verdict",
          odd                                ? "anomaly"
          : verdict.is == Verdict::Is::usual ? "usual"
                                             : "unknown"},
         {"intervals", verdict.points},
         {"found", verdict.told}}
    );
    if (odd)
        add(dataset, "anomaly: " + name, anomaly.on_fail, verdict.told);
    else
        context_.info(
            dataset + ": " + name +
            (verdict.is == Verdict::Is::unknown ? " is not judged: " : ": ") + verdict.told
        );
}

void Results::close() {
    context_.xcom("checks", found_);
    if (!judged_.empty()) context_.xcom("anomalies", judged_);
    for (const auto& [dataset, values] : metrics_.items())
        (void)context_.ask(
            {{"type", "metrics"}, {"what", "put"}, {"dataset", dataset}, {"values", values}}
        );
    if (!failures_.empty()) engine::bad_data(failures_);
}

Measures::Measures(Scan& scan, const std::vector<Anomaly>& anomalies)
    : scan_(scan), anomalies_(anomalies) {
    for (const Anomaly& one : anomalies) places_.push_back(scan.add(metric_sql(one)));
}

void Measures::judge(Results& results, const std::string& dataset) const {
    for (std::size_t i = 0; i < anomalies_.size(); ++i)
        results.judge(dataset, anomalies_[i], number_of(scan_.text(places_[i])));
}

}  // namespace sluice::validate
