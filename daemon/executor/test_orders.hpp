// test_orders.hpp — orders and folders for the executor's tests. Not for product code.
#pragma once

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "model/attempt.hpp"

namespace sluice::executor {

/// A folder that is gone afterwards.
struct TestFolder {
    TestFolder() {
        std::string pattern =
            (std::filesystem::temp_directory_path() / "sluice-test-XXXXXX").string();
        path = ::mkdtemp(pattern.data());
    }
    ~TestFolder() {
        std::error_code ignored;
        std::filesystem::remove_all(path, ignored);
    }
    TestFolder(const TestFolder&) = delete;
    TestFolder& operator=(const TestFolder&) = delete;
    std::string path;
};

/// A run of its own with one task.
inline AttemptOrder test_order(
    const std::string& operator_name,
    const std::string& with = "{}",
    const std::function<void(Task&)>& change = {},
    const std::function<void(Dag&)>& change_dag = {}
) {
    static std::atomic<std::int64_t> runs{0};
    AttemptOrder order;
    Dag dag;
    dag.dag_id = "test";
    Task task;
    task.id = "t";
    task.operator_name = operator_name;
    task.with = with;
    if (change) change(task);
    dag.tasks.push_back(std::move(task));
    if (change_dag) change_dag(dag);
    DagRun run;
    run.key = RunKey{++runs};
    run.dag_id = dag.dag_id;
    run.run_id = "manual__" + std::to_string(run.key.value);
    run.logical_date = parse_time("2026-01-05")->at;
    run.data_interval = Interval{parse_time("2026-01-05")->at, parse_time("2026-01-06")->at};
    order.key = {{run.key, 0, unmapped}, 1};
    order.dag = std::make_shared<const Dag>(std::move(dag));
    order.run = std::make_shared<const DagRun>(std::move(run));
    return order;
}

}  // namespace sluice::executor
