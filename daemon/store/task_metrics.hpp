// task_metrics.hpp — what data tasks measured, by interval: their summaries, and metrics of data
// sets that anomaly checks look back on. Written when an attempt ends, outside the turns of the
// loop; a re-run of the interval replaces them. Thread-safe. Errors: Error.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/ids.hpp"
#include "base/instant.hpp"
#include "store/connection_pool.hpp"

namespace sluice::store {

struct MetricRow {
    std::string dag_id;
    std::string task_id;
    int map_index{-1};
    std::optional<Interval> interval;
    RunKey run;
    std::string run_id;
    int start{};  // with `run`: the attempt
    int try_number{1};
    bool passed{false};
    std::string metrics;  // JSON {data set or "": {metric: number}}
    Instant at{};         // given by the store
};

struct MetricQuery {
    std::string dag_id;
    std::string task_id;
    int map_index{-1};
    std::string dataset;
    std::string metric;
    Instant before;
    std::int64_t limit{400};
};

class TaskMetrics {
public:
    explicit TaskMetrics(ConnectionPool& pool) : pool_(pool) {}

    /// Replaces those of the same task and interval, unless a later attempt of the run wrote them.
    void put(const MetricRow& row);
    /// One metric in the intervals before, the newest first: where the task passed.
    std::vector<std::pair<Instant, double>> history(const MetricQuery& query);
    /// Of all tasks of a run that measured anything.
    std::vector<MetricRow> of_run(RunKey run);
    /// Of a DAG, the newest intervals first; "" = of all its tasks.
    std::vector<MetricRow> of_task(
        const std::string& dag_id, const std::string& task_id, std::int64_t limit
    );

private:
    ConnectionPool& pool_;
};

}  // namespace sluice::store
