// results.hpp — what the checks of a task found: logged, kept as XCom `checks`, and its metrics
// handed to the daemon, which keeps them by interval.
#pragma once

#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "operators/validate/anomaly.hpp"
#include "operators/validate/rules.hpp"
#include "operators/validate/scan.hpp"
#include "operators/validate/side.hpp"
#include "task/context.hpp"

namespace sluice::validate {

class Results {
public:
    explicit Results(task::TaskContext& context) : context_(context) {}

    /// `samples` is a JSON list of rows that may be shown, or "".
    void add(
        const std::string& dataset,
        const std::string& rule,
        OnFail on_fail,
        const std::string& what,
        const std::string& samples = ""
    );
    /// Kept for this interval, whatever becomes of it.
    void metric(const std::string& dataset, const std::string& name, double value);
    /// Against the metrics of earlier intervals.
    void judge(const std::string& dataset, const Anomaly& anomaly, std::optional<double> value);
    /// Throws if anything failed; nothing is published then.
    void close();

private:
    task::TaskContext& context_;
    nlohmann::json found_ = nlohmann::json::array();
    nlohmann::json judged_ = nlohmann::json::array();
    nlohmann::json metrics_ = nlohmann::json::object();
    std::string failures_;
};

/// Metrics that a scan measures for `anomalies`.
class Measures {
public:
    Measures(Scan& scan, const std::vector<Anomaly>& anomalies);
    /// After the scan has run.
    void judge(Results& results, const std::string& dataset) const;

private:
    Scan& scan_;
    const std::vector<Anomaly>& anomalies_;
    std::vector<std::size_t> places_;
};

}  // namespace sluice::validate
