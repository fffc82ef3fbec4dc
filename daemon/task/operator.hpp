// operator.hpp — the one contract between the daemon and the data plane: an operator is a name, a
// one-line summary, a JSON Schema of its parameters, traits, and two functions.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "base/error.hpp"
#include "model/attempt.hpp"
#include "model/dag.hpp"
#include "task/context.hpp"

namespace sluice::task {

struct Traits {
    Isolation isolation{Isolation::inline_};
    bool idempotent{false};
    bool data{false};  // reads or writes data sets: resources, rows in its summary
    /// An inline operator that waits for nothing: the thread that takes it takes the next one too.
    bool instant{false};
    /// `run` does nothing but succeed: its tasks need no thread. They end where they are started,
    /// as Airflow's scheduler ends an EmptyOperator without giving it to its executor.
    bool empty{false};
    /// Its task's inlets and outlets in the lake are files to it: with any of them it needs a
    /// worker and a check, else neither.
    bool hands_over{false};
};

/// What `check` may look at: the data sets known so far (declared, or derived by earlier tasks) and
/// the bundle's files. Pure: no network, no data.
struct CheckInput {
    const Dag& dag;
    const Task& task;
    const nlohmann::json& params;
    /// Finds a data set with its columns; nullptr if nobody writes or declares it.
    std::function<const DatasetSpec*(const std::string&)> dataset;
};

struct CheckResult {
    std::vector<Problem> problems;      // `pointer` is relative to the task's `with`
    std::vector<std::string> reads;     // data sets, also those found by binding SQL
    std::vector<DatasetSpec> writes;    // with derived columns, types and classes
    std::vector<std::string> compiled;  // SQL, for `sluice dags show`
};

struct Operator {
    std::string name;
    std::string summary;
    std::string schema;  // JSON Schema (draft 7) of `with`, as text
    Traits traits;
    std::function<CheckResult(const CheckInput&)> check;  // may be empty
    std::function<Outcome(TaskContext&, const nlohmann::json& params)> run;
};

// Makers of outcomes, so that operators read well.
Outcome success();
Outcome unchanged();
/// Success; of the direct downstreams only the chosen ones (tasks or groups, full ids) go on.
Outcome branch(std::vector<std::string> chosen);
/// Success; everything below is skipped, whatever its trigger rules, teardowns excepted.
Outcome skip_all_below();
Outcome skip(std::string reason);
Outcome fail(ErrorClass error_class, std::string message);
Outcome rate_limited(std::string message, std::optional<Duration> retry_after);
/// Not yet: `run` is called again when the wait is over (`ctx.poke()` tells it). No thread is held.
Outcome wait(WaitOrder order);

}  // namespace sluice::task
