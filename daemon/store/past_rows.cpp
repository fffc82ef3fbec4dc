#include "store/past_rows.hpp"

#include <nlohmann/json.hpp>

#include "store/rows.hpp"

namespace sluice::store {
namespace {

constexpr Query open_branches_sql{"open_branches", R"(
    select b.run_key, b.task_no, b.map_index, b.skip_all_below, b.chosen
    from branch_choice b join open_run r on r.run_key = b.run_key
    order by b.run_key, b.task_no, b.map_index)"};
constexpr Query branches_of_runs_sql{"branches_of_runs", R"(
    select b.run_key, b.task_no, b.map_index, b.skip_all_below, b.chosen
    from branch_choice b where b.run_key = any($1)
    order by b.run_key, b.task_no, b.map_index)"};
constexpr Query endings_sql{"endings", R"(
    select e.run_key, e.state, e.stop, e.reason
    from run_ending e join open_run r on r.run_key = e.run_key
    order by e.run_key)"};
constexpr Query clearings_sql{"clearings", R"(
    select c.run_key, c.rest, c.tasks, c.only_failed, c.only_running, c.actor
    from run_clearing c join open_run r on r.run_key = c.run_key
    order by c.run_key)"};
constexpr Query failures_sql{
    "failures", "select dag_id, count from dag_failures where count > 0 order by dag_id"
};
// Run type 1 is manual.
constexpr Query previous_run_sql{"previous_run", "select " SLUICE_RUN_COLUMNS R"(
    from dag_run r where r.dag_id = $1 and r.logical_date < $2 and (r.run_type <> 1 or not $3)
    order by r.logical_date desc, r.run_key desc limit 1)"};
constexpr Query versions_before_sql{"versions_before", R"(
    select distinct version from dag_run where dag_id = $1 and logical_date < $2 order by 1)"};

BranchChoice read_branch(const Result& result, int row) {
    BranchChoice choice;
    choice.key = {RunKey{result.int8(row, 0)}, result.int4(row, 1), result.int4(row, 2)};
    choice.branch.skip_all_below = result.boolean(row, 3);
    nlohmann::json::parse(result.text(row, 4)).get_to(choice.branch.chosen);
    return choice;
}

Clearing read_clearing(const Result& result, int row) {
    Clearing clearing;
    clearing.run = RunKey{result.int8(row, 0)};
    for (const auto& part : nlohmann::json::parse(result.text(row, 1)))
        clearing.rest.push_back(
            {part.at(0).get<TaskNo>(), part.at(1).get<MapIndex>(), part.at(2).get<MapIndex>()}
        );
    nlohmann::json::parse(result.text(row, 2)).get_to(clearing.tasks);
    clearing.only_failed = result.boolean(row, 3);
    clearing.only_running = result.boolean(row, 4);
    clearing.actor = result.text(row, 5);
    return clearing;
}

}  // namespace

void read_past(Connection& connection, Snapshot& snapshot) {
    const Result branches = connection.run(open_branches_sql);
    for (int i = 0; i < branches.rows(); ++i) snapshot.branches.push_back(read_branch(branches, i));
    const Result endings = connection.run(endings_sql);
    for (int i = 0; i < endings.rows(); ++i)
        snapshot.endings.push_back(
            {RunKey{endings.int8(i, 0)},
             static_cast<RunState>(endings.int2(i, 1)),
             endings.text(i, 3),
             endings.boolean(i, 2),
             false}
        );
    const Result clearings = connection.run(clearings_sql);
    for (int i = 0; i < clearings.rows(); ++i)
        snapshot.clearings.push_back(read_clearing(clearings, i));
    const Result failures = connection.run(failures_sql);
    for (int i = 0; i < failures.rows(); ++i)
        snapshot.failures.push_back({failures.text(i, 0), failures.int4(i, 1)});
}

std::vector<BranchChoice> read_branches(
    Connection& connection, std::span<const std::int64_t> runs
) {
    Params params;
    params.add(runs);
    const Result rows = connection.run(branches_of_runs_sql, params);
    std::vector<BranchChoice> found;
    for (int i = 0; i < rows.rows(); ++i) found.push_back(read_branch(rows, i));
    return found;
}

Result read_previous_run(
    Connection& connection, const std::string& dag_id, Instant before, bool scheduled_only
) {
    Params params;
    params.add(dag_id).add(before).add(scheduled_only);
    return connection.run(previous_run_sql, params);
}

std::vector<VersionId> read_versions_before(
    Connection& connection, const std::string& dag_id, Instant before
) {
    Params params;
    params.add(dag_id).add(before);
    const Result rows = connection.run(versions_before_sql, params);
    std::vector<VersionId> found;
    for (int i = 0; i < rows.rows(); ++i) found.push_back(VersionId{rows.int8(i, 0)});
    return found;
}

}  // namespace sluice::store
