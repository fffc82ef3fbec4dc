#include "store/deadline_rows.hpp"

#include <map>

namespace sluice::store {
namespace {

constexpr Query open_deadlines_sql{"open_deadlines", R"(
    select d.run_key, d.task_no, d.number, d.due_at, d.predicted_at, d.missed_at
    from run_deadline d join open_run r on r.run_key = d.run_key
    order by d.run_key, d.task_no, d.number)"};
constexpr Query deadlines_of_sql{"deadlines_of", R"(
    select run_key, task_no, number, due_at, predicted_at, missed_at
    from run_deadline where run_key = $1 order by task_no, number)"};
// Run state 2 is success, task state 4 too.
constexpr Query run_times_sql{"run_times", R"(
    select run_key, version, (extract(epoch from end_date - start_date) * 1000000)::int8
    from dag_run
    where dag_id = $1 and run_key <> $2 and state = 2
        and start_date is not null and end_date is not null
    order by run_key desc limit $3)"};
constexpr Query task_times_sql{"task_times", R"(
    select t.run_key, t.task_no,
        (extract(epoch from max(t.end_date) - min(r.start_date)) * 1000000)::int8
    from dag_run r join task_instance t on t.run_key = r.run_key
    where r.run_key = any($1) and t.state = 4 and t.end_date is not null
    group by t.run_key, t.task_no)"};

std::vector<DeadlineRow> rows_of(const Result& found) {
    std::vector<DeadlineRow> rows;
    for (int i = 0; i < found.rows(); ++i)
        rows.push_back(
            {RunKey{found.int8(i, 0)},
             found.int4(i, 1),
             found.int4(i, 2),
             found.maybe_time(i, 3),
             found.maybe_time(i, 4),
             found.maybe_time(i, 5)}
        );
    return rows;
}

}  // namespace

void read_deadlines(Connection& connection, Snapshot& snapshot) {
    snapshot.deadlines = rows_of(connection.run(open_deadlines_sql));
}

std::vector<DeadlineRow> read_deadlines_of(Connection& connection, RunKey run) {
    Params params;
    params.add(run.value);
    return rows_of(connection.run(deadlines_of_sql, params));
}

std::vector<Journal::RunTime> read_run_times(
    Connection& connection, const std::string& dag_id, RunKey but, int most, bool with_tasks
) {
    Params params;
    params.add(dag_id).add(but.value).add(std::int64_t{most});
    const Result found = connection.run(run_times_sql, params);
    std::vector<Journal::RunTime> times;
    std::vector<std::int64_t> keys;
    std::map<std::int64_t, std::size_t> places;
    for (int i = 0; i < found.rows(); ++i) {
        places.emplace(found.int8(i, 0), times.size());
        keys.push_back(found.int8(i, 0));
        times.push_back({VersionId{found.int8(i, 1)}, Duration{found.int8(i, 2)}, {}});
    }
    if (!with_tasks || keys.empty()) return times;
    Params runs;
    runs.add(std::span<const std::int64_t>{keys});
    const Result tasks = connection.run(task_times_sql, runs);
    for (int i = 0; i < tasks.rows(); ++i)
        times[places.at(tasks.int8(i, 0))].tasks.emplace(
            tasks.int4(i, 1), Duration{tasks.int8(i, 2)}
        );
    return times;
}

}  // namespace sluice::store
