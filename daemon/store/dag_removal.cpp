#include "store/dag_removal.hpp"

#include <array>
#include <span>

#include "base/error.hpp"
#include "base/fault.hpp"
#include "store/pq.hpp"

namespace sluice::store {
namespace {

constexpr Query deletions_sql{
    "deletions", "select dag_id, number from deleted_dag order by deleted_at, dag_id"
};
// Held to the end of the bit: a DAG of this id is not taken before that.
constexpr Query hold_deletion_sql{
    "hold_deletion", "select from deleted_dag where dag_id = $1 and number = $2 for share"
};
constexpr Query runs_to_go_sql{
    "runs_to_go", "select run_key, run_id from dag_run where dag_id = $1 limit 1000"
};
constexpr Query runs_go_sql{"runs_go", R"(
    with gone as (delete from dag_run where run_key = any($1) returning run_key, dag_id, run_id)
    insert into deleted_run (run_key, dag_id, run_id, without_logs)
    select run_key, dag_id, run_id, true from gone)"};

// After the runs, which name versions and backfills. Contents of files stay: versions of other DAGs
// share them.
constexpr std::array rows_go_sql{
    Query{"deleted_metrics", R"(
        delete from task_metric where ctid = any(array(
            select ctid from task_metric where dag_id = $1 limit 10000)))"},
    Query{"deleted_backfill_dates", R"(
        delete from backfill_date where ctid = any(array(
            select d.ctid from backfill b join backfill_date d on d.backfill_id = b.id
            where b.dag_id = $1 limit 10000)))"},
    Query{"deleted_backfill_plans", R"(
        delete from backfill_plan where ctid = any(array(
            select p.ctid from backfill b join backfill_plan p on p.backfill_id = b.id
            where b.dag_id = $1 limit 10000)))"},
    Query{"deleted_backfills", R"(
        delete from backfill where ctid = any(array(
            select ctid from backfill where dag_id = $1 limit 10000)))"},
    Query{"deleted_version_files", R"(
        delete from dag_version_file where ctid = any(array(
            select f.ctid from dag_version v join dag_version_file f on f.version_id = v.id
            where v.dag_id = $1 limit 10000)))"},
    Query{"deleted_version_tasks", R"(
        delete from dag_task where ctid = any(array(
            select t.ctid from dag_version v join dag_task t on t.version_id = v.id
            where v.dag_id = $1 limit 10000)))"},
    Query{"deleted_versions", R"(
        delete from dag_version where ctid = any(array(
            select ctid from dag_version where dag_id = $1 limit 1000)))"},
};

/// Says how many rows a bit took; 0 = there were none, or the deletion is over.
template <class Work>
std::int64_t take_bit(Connection& connection, const DeletedDag& dag, const Work& work) {
    Transaction transaction{connection};
    Params deletion;
    deletion.add(dag.dag_id).add(dag.number);
    if (connection.run(hold_deletion_sql, deletion).rows() == 0) return 0;
    const std::int64_t rows = work();
    transaction.commit();
    fault_point("removing_dag");
    return rows;
}

std::int64_t take_runs(Connection& connection, const DeletedDag& dag, const Retention::Gone& gone) {
    Params id;
    id.add(dag.dag_id);
    const Result runs = connection.run(runs_to_go_sql, id);
    std::vector<std::int64_t> keys;
    for (int i = 0; i < runs.rows(); ++i) {
        // First: a later run of the same id has its logs at the same place.
        gone(dag.dag_id, runs.text(i, 1));
        keys.push_back(runs.int8(i, 0));
    }
    if (keys.empty()) return 0;
    Params gone_keys;
    gone_keys.add(std::span<const std::int64_t>{keys});
    return connection.run(runs_go_sql, gone_keys).changed();
}

bool remove_one(
    Connection& connection,
    const DeletedDag& dag,
    const Retention::Gone& gone,
    const Retention::GoOn& go_on
) {
    const auto until_none = [&](const auto& work) {
        while (go_on())
            if (take_bit(connection, dag, work) == 0) return true;
        return false;
    };
    if (!until_none([&] { return take_runs(connection, dag, gone); })) return false;
    Params id;
    id.add(dag.dag_id);
    for (const Query& query : rows_go_sql)
        if (!until_none([&] { return connection.run(query, id).changed(); })) return false;
    return true;
}

}  // namespace

std::vector<DeletedDag> remove_deleted_dags(
    const std::string& url, const Retention::Gone& gone, const Retention::GoOn& go_on
) {
    try {
        Connection connection(url, "sluice removal");
        std::vector<DeletedDag> removed;
        const Result deleted = connection.run(deletions_sql);
        for (int i = 0; i < deleted.rows(); ++i) {
            const DeletedDag dag{deleted.text(i, 0), deleted.int8(i, 1)};
            if (remove_one(connection, dag, gone, go_on)) removed.push_back(dag);
        }
        return removed;
    } catch (const ConnectionLost& lost) {
        throw Error(ErrorCode::unavailable, std::string("the database is away: ") + lost.what());
    } catch (const SqlError& error) {
        throw Error(ErrorCode::unavailable, error.what());
    }
}

}  // namespace sluice::store
