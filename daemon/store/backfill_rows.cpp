#include "store/backfill_rows.hpp"

#include <cstdint>
#include <map>
#include <span>

#include <nlohmann/json.hpp>

namespace sluice::store {
namespace {

constexpr Query plans_sql{"backfill_plans", R"(
    select backfill_id, tasks, run_micros from backfill_plan where backfill_id = any($1))"};
// States below 2 are queued and running.
constexpr Query open_subsets_sql{"open_subsets", R"(
    select p.backfill_id, p.tasks from backfill_plan p
    where json_array_length(p.tasks) > 0 and (
        exists (select from backfill b where b.id = p.backfill_id and b.completed_at is null)
        or exists (select from dag_run r where r.backfill_id = p.backfill_id and r.state < 2))
    order by p.backfill_id)"};
constexpr Query run_ids_sql{"backfill_run_ids", R"(
    select run_id from dag_run where dag_id = $1 and starts_with(run_id, 'backfill__'))"};

std::vector<std::string> read_tasks(const Result& rows, int row, int column) {
    return nlohmann::json::parse(rows.text(row, column)).get<std::vector<std::string>>();
}

}  // namespace

void fill_plans(Connection& connection, const std::vector<Backfill*>& backfills) {
    if (backfills.empty()) return;
    std::map<std::int64_t, Backfill*> by_id;
    std::vector<std::int64_t> ids;
    for (Backfill* backfill : backfills) {
        by_id[backfill->id.value] = backfill;
        ids.push_back(backfill->id.value);
    }
    Params params;
    params.add(std::span<const std::int64_t>{ids});
    const Result rows = connection.run(plans_sql, params);
    for (int i = 0; i < rows.rows(); ++i) {
        Backfill& backfill = *by_id.at(rows.int8(i, 0));
        backfill.tasks = read_tasks(rows, i, 1);
        if (!rows.is_null(i, 2)) backfill.run_time = Duration{rows.int8(i, 2)};
    }
}

void read_subsets(Connection& connection, Snapshot& snapshot) {
    std::vector<Backfill*> backfills;
    for (Backfill& backfill : snapshot.backfills) backfills.push_back(&backfill);
    fill_plans(connection, backfills);
    const Result rows = connection.run(open_subsets_sql);
    for (int i = 0; i < rows.rows(); ++i)
        snapshot.subsets.push_back({BackfillId{rows.int8(i, 0)}, read_tasks(rows, i, 1)});
}

void fill_subsets(Connection& connection, std::vector<StoredRun>& runs) {
    std::vector<std::int64_t> ids;
    for (const StoredRun& run : runs)
        if (run.run.backfill) ids.push_back(run.run.backfill->value);
    if (ids.empty()) return;
    Params params;
    params.add(std::span<const std::int64_t>{ids});
    const Result rows = connection.run(plans_sql, params);
    std::map<BackfillId, std::vector<std::string>> subsets;
    for (int i = 0; i < rows.rows(); ++i)
        subsets[BackfillId{rows.int8(i, 0)}] = read_tasks(rows, i, 1);
    for (StoredRun& run : runs) {
        if (!run.run.backfill) continue;
        const auto found = subsets.find(*run.run.backfill);
        if (found != subsets.end()) run.subset = found->second;
    }
}

std::set<std::string> read_backfill_run_ids(Connection& connection, const std::string& dag_id) {
    Params params;
    params.add(dag_id);
    const Result rows = connection.run(run_ids_sql, params);
    std::set<std::string> ids;
    for (int i = 0; i < rows.rows(); ++i) ids.insert(rows.text(i, 0));
    return ids;
}

}  // namespace sluice::store
