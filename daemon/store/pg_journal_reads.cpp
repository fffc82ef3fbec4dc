// pg_journal_reads.cpp — what core asks of runs that it does not hold, and versions of DAGs.
#include <map>
#include <set>
#include <span>
#include <utility>

#include "store/backfill_rows.hpp"
#include "store/deadline_rows.hpp"
#include "store/mapped_rows.hpp"
#include "store/past_rows.hpp"
#include "store/past_run.hpp"
#include "store/pg_journal_state.hpp"
#include "store/rows.hpp"
#include "store/stored_versions.hpp"

namespace sluice::store {

// ---- runs that core does not hold

constexpr Query find_run_sql{
    "find_run", "select " SLUICE_RUN_COLUMNS " from dag_run r where r.run_key = $1"
};
constexpr Query tasks_of_runs_sql{"tasks_of_runs", "select " SLUICE_TASK_COLUMNS R"(
    from task_instance t where t.run_key = any($1)
    order by t.run_key, t.task_no, t.map_index)"};

std::vector<StoredRun> PgJournal::State::read_runs(const Result& runs) {
    std::vector<StoredRun> found;
    std::vector<std::int64_t> keys;
    for (int i = 0; i < runs.rows(); ++i) {
        found.push_back({read_run(runs, i), {}});
        keys.push_back(found.back().run.key.value);
    }
    if (found.empty()) return found;
    Params params;
    params.add(std::span<const std::int64_t>{keys});
    const Result tasks = connection->run(tasks_of_runs_sql, params);
    std::map<RunKey, std::vector<TaskInstance>> instances;
    for (int i = 0; i < tasks.rows(); ++i) {
        TaskInstance task = read_task(tasks, i);
        instances[task.key.run].push_back(std::move(task));
    }
    std::map<RunKey, std::vector<MapLength>> lengths;
    for (MapLength& length : read_map_lengths(*connection, keys))
        lengths[length.run].push_back(std::move(length));
    std::map<RunKey, std::vector<MapRange>> ranges;
    for (MapRange& range : read_map_ranges(*connection, keys))
        ranges[range.run].push_back(std::move(range));
    std::map<RunKey, std::vector<BranchChoice>> branches;
    for (BranchChoice& choice : read_branches(*connection, keys))
        branches[choice.key.run].push_back(std::move(choice));
    for (StoredRun& run : found) {
        run.instances = std::move(instances[run.run.key]);
        run.branches = std::move(branches[run.run.key]);
        run.map_lengths = std::move(lengths[run.run.key]);
        run.map_ranges = std::move(ranges[run.run.key]);
    }
    fill_subsets(*connection, found);
    return found;
}

std::optional<StoredRun> PgJournal::find_run(RunKey run) {
    return state_->guarded([&]() -> std::optional<StoredRun> {
        Params params;
        params.add(run.value);
        auto found = state_->read_runs(state_->connected().run(find_run_sql, params));
        if (found.empty()) return std::nullopt;
        return std::move(found.front());
    });
}

constexpr Query find_run_key_sql{
    "find_run_key", "select run_key from dag_run where dag_id = $1 and run_id = $2"
};

std::optional<RunKey> PgJournal::find_run_key(
    const std::string& dag_id, const std::string& run_id
) {
    return state_->guarded([&]() -> std::optional<RunKey> {
        Params params;
        params.add(dag_id).add(run_id);
        const Result found = state_->connected().run(find_run_key_sql, params);
        if (found.rows() == 0) return std::nullopt;
        return RunKey{found.int8(0, 0)};
    });
}

// The limit keeps this a look-up a name in the index, whatever the size of the table when planned.
constexpr Query taken_sql{
    "taken", R"(
    select d.dag_id, d.run_id from unnest($1::text[], $2::text[]) as d(dag_id, run_id)
    cross join lateral (
        select from dag_run r where r.dag_id = d.dag_id and r.run_id = d.run_id limit 1) as there)"
};

std::set<Journal::RunName> PgJournal::taken(const std::vector<RunName>& names) {
    return state_->guarded([&] {
        std::vector<std::string> dags;
        std::vector<std::string> runs;
        for (const auto& [dag_id, run_id] : names) {
            dags.push_back(dag_id);
            runs.push_back(run_id);
        }
        Params params;
        params.add(std::span<const std::string>{dags}).add(std::span<const std::string>{runs});
        const Result rows = state_->connected().run(taken_sql, params);
        std::set<RunName> found;
        for (int i = 0; i < rows.rows(); ++i) found.emplace(rows.text(i, 0), rows.text(i, 1));
        return found;
    });
}

constexpr Query task_paces_sql{"task_paces", R"(
    with recent as materialized (
        select run_key, version from dag_run
        where dag_id = $1 and state in (2, 3) order by run_key desc limit 20)
    select r.version, t.task_no, avg(extract(epoch from t.end_date - t.start_date))::text,
        count(*)::int4
    from recent r join task_instance t on t.run_key = r.run_key
    where t.state = 4 and t.start_date is not null and t.end_date is not null
    group by r.version, t.task_no order by r.version, t.task_no)"};

std::vector<Journal::TaskPace> PgJournal::task_paces(const std::string& dag_id) {
    return state_->guarded([&] {
        Params params;
        params.add(dag_id);
        const Result found = state_->connected().run(task_paces_sql, params);
        std::vector<TaskPace> paces;
        for (int i = 0; i < found.rows(); ++i)
            paces.push_back({
                .version = VersionId{found.int8(i, 0)},
                .task = found.int4(i, 1),
                .seconds = std::stod(found.text(i, 2)),
                .attempts = found.int4(i, 3),
            });
        return paces;
    });
}

std::vector<Journal::RunTime> PgJournal::run_times(
    const std::string& dag_id, RunKey but, int most, bool with_tasks
) {
    return state_->guarded([&] {
        return read_run_times(state_->connected(), dag_id, but, most, with_tasks);
    });
}

constexpr Query has_logical_date_sql{
    "has_logical_date",
    "select exists (select from dag_run where dag_id = $1 and logical_date = $2)"
};

bool PgJournal::has_logical_date(const std::string& dag_id, Instant logical_date) {
    return state_->guarded([&] {
        Params params;
        params.add(dag_id).add(logical_date);
        return state_->connected().run(has_logical_date_sql, params).boolean(0, 0);
    });
}

constexpr Query runs_between_sql{
    "runs_between", "select distinct on (r.logical_date) " SLUICE_RUN_COLUMNS R"(
    from dag_run r where r.dag_id = $1 and r.logical_date between $2 and $3
    order by r.logical_date, r.run_key desc)"
};

std::vector<StoredRun> PgJournal::runs_between(
    const std::string& dag_id, Instant from, Instant to
) {
    return state_->guarded([&] {
        Params params;
        params.add(dag_id).add(from).add(to);
        return state_->read_runs(state_->connected().run(runs_between_sql, params));
    });
}

std::optional<PastRun> PgJournal::previous_run(
    const std::string& dag_id, Instant before, bool scheduled_only
) {
    return state_->guarded([&]() -> std::optional<PastRun> {
        const auto found =
            state_->read_runs(read_previous_run(state_->connected(), dag_id, before, scheduled_only)
            );
        if (found.empty()) return std::nullopt;
        return past_of(found.front());
    });
}

std::vector<VersionId> PgJournal::versions_before(const std::string& dag_id, Instant before) {
    return state_->guarded([&] { return read_versions_before(state_->connected(), dag_id, before); }
    );
}

std::set<std::string> PgJournal::backfill_run_ids(const std::string& dag_id) {
    return state_->guarded([&] { return read_backfill_run_ids(state_->connected(), dag_id); });
}

// ---- definitions

std::vector<Journal::StoredVersion> PgJournal::versions(const std::vector<VersionId>& ids) {
    return state_->guarded([&] { return read_versions(state_->connected(), ids); });
}

Journal::StoredVersion PgJournal::put_version(const Dag& dag) {
    return state_->guarded([&] { return store_version(state_->connected(), dag, state_->epoch); });
}

Journal::StoredVersion PgJournal::put_form(const Dag& dag) {
    return state_->guarded([&] { return store_form(state_->connected(), dag, state_->epoch); });
}

}  // namespace sluice::store
