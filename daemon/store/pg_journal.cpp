#include "store/pg_journal.hpp"

#include <utility>

#include "base/error.hpp"
#include "base/fault.hpp"
#include "store/asset_rows.hpp"
#include "store/backfill_rows.hpp"
#include "store/deadline_rows.hpp"
#include "store/lease_keeper.hpp"
#include "store/mapped_rows.hpp"
#include "store/migrate.hpp"
#include "store/past_rows.hpp"
#include "store/past_run.hpp"
#include "store/pq.hpp"
#include "store/rows.hpp"
#include "store/run_partitions.hpp"
#include "store/stored_versions.hpp"
#include "store/turn_params.hpp"

namespace sluice::store {
struct PgJournal::State {
    explicit State(JournalSettings s)
        : settings(std::move(s)), keeper(settings.url, settings.lease) {}

    JournalSettings settings;
    LeaseKeeper keeper;
    std::unique_ptr<Connection> connection;
    RunPartitions partitions;
    std::int64_t epoch{0};  // 0 = never held the lease
    std::int64_t last_turn{0};
    std::optional<std::int64_t> in_doubt;  // turn before the commit whose connection broke
    bool last_commit_happened{true};
    std::int64_t rows_inserted{0};  // since the plans were made
    std::int64_t rows_to_replan{64};
    std::string last_function;  // whose plans they are
    Params turn_params;
    TurnTypes types;
    std::int64_t standbys{0};  // that were seen lately: commits are told to them

    Connection& connected() {
        if (connection == nullptr) throw Away("no connection to the database");
        return *connection;
    }

    void connect() {
        if (connection != nullptr && !connection->broken()) return;
        disconnect();
        connection = std::make_unique<Connection>(settings.url, "sluice journal");
        keeper.watch(connection->socket());
        migrate(*connection);
        // With `auto` the server would plan every commit anew: array parameters look cheaper.
        connection->script("set plan_cache_mode = force_generic_plan");
        leave_moves_to_commit_turn();
        types = read_turn_types(*connection);
        last_function.clear();
    }

    // commit_turn judges the moves of states itself, and nothing else here writes states: the
    // triggers that do it for everyone else cost a tenth of a small turn. A role that may not leave
    // them out (superuser, or `grant set on parameter session_replication_role`) goes on with both.
    void leave_moves_to_commit_turn() {
        try {
            connection->script("set session_replication_role = replica");
        } catch (const SqlError& error) {
            if (error.state() != "42501") throw;
        }
    }

    void disconnect() {
        keeper.watch(-1);
        connection.reset();
    }

    // Runs `work` on the connection and says of a failure what the seam promises.
    template <class Work>
    auto guarded(Work work) {
        try {
            return work();
        } catch (const ConnectionLost& lost) {
            disconnect();
            throw Away(lost.what());
        } catch (const SqlError& error) {
            if (error.state() == "SL001") {
                keeper.rest();
                throw Deposed(error.what());
            }
            if (error.is_about_data()) throw Refused(error.what());
            // 42: a statement of ours is wrong; trying again cannot help.
            if (error.state().starts_with("42")) throw Error(ErrorCode::internal, error.what());
            disconnect();
            throw Away(error.what());
        }
    }

    void replan_if_grown(const Turn& turn, const std::string& function);
    void take_lease(Snapshot& snapshot);
    void settle_doubt(std::int64_t old_epoch);
    void read_state(Snapshot& snapshot);
    std::vector<StoredRun> read_runs(const Result& runs);
};

PgJournal::PgJournal(JournalSettings settings)
    : state_(std::make_unique<State>(std::move(settings))) {}

PgJournal::~PgJournal() { release_lease(); }

// ---- plans

// A generic plan made while a table was small is a scan of the whole table, and stays until the
// next ANALYZE. So plans are dropped whenever the tables may have doubled since they were made.
void PgJournal::State::replan_if_grown(const Turn& turn, const std::string& function) {
    if (last_function != function) {
        last_function = function;
        rows_inserted = 0;
        rows_to_replan = 64;
    }
    rows_inserted += static_cast<std::int64_t>(turn.tasks.size() + turn.transitions.size());
    if (rows_inserted < rows_to_replan) return;
    rows_to_replan = rows_inserted * 2;
    connection->script("discard plans");
}

// ---- the lease

constexpr Query take_lease_sql{"take_lease", R"(
    update lease set
        epoch = case when epoch = $1 and holder = $2 then epoch else epoch + 1 end,
        holder = $2, address = $3, expires = clock_timestamp() + $4
    where holder = $2 or expires < clock_timestamp()
    returning epoch, turn, last_seq, last_run, last_backfill,
        greatest(last_at + interval '1 us', clock_timestamp()))"};
// No decision of the epochs before is as late as taken_at, and none of this one is earlier: the
// time of an attempt's start tells which node ran it.
constexpr Query record_epoch_sql{"record_epoch", R"(
    insert into lease_epoch (epoch, holder, address, first_turn, taken_at)
    values ($1, $2, $3, $4, $5) on conflict (epoch) do nothing)"};
constexpr Query leave_standby_sql{"leave_standby", "delete from standby where node_id = $1"};
constexpr Query lease_holder_sql{"lease_holder", R"(
    select holder, address, ceil(extract(epoch from expires - clock_timestamp()))::int8
    from lease)"};

void PgJournal::State::take_lease(Snapshot& snapshot) {
    const auto sent = LeaseKeeper::Steady::now();
    Transaction transaction{*connection};
    Params mine;
    mine.add(epoch).add(settings.holder).add(settings.address).add_interval(settings.lease);
    const Result taken = connection->run(take_lease_sql, mine);
    if (taken.rows() == 0) {
        const Result other = connection->run(lease_holder_sql);
        keeper.rest();
        throw Deposed(
            "the lease is held by " + other.text(0, 0) + " at " + other.text(0, 1) +
            " for another " + std::to_string(other.int8(0, 2)) + " s"
        );
    }
    Params record;
    record.add(taken.int8(0, 0)).add(settings.holder).add(settings.address);
    record.add(taken.int8(0, 1)).add(taken.time(0, 5));
    connection->run(record_epoch_sql, record);
    Params me;
    me.add(settings.holder);
    connection->run(leave_standby_sql, me);
    transaction.commit();
    keeper.renewed(taken.int8(0, 0), sent);

    const std::int64_t old_epoch = std::exchange(epoch, taken.int8(0, 0));
    last_turn = taken.int8(0, 1);
    snapshot.last_seq = Seq{taken.int8(0, 2)};
    snapshot.last_run = RunKey{taken.int8(0, 3)};
    snapshot.last_backfill = BackfillId{taken.int8(0, 4)};
    snapshot.now = taken.time(0, 5);
    settle_doubt(old_epoch);
}

constexpr Query end_of_epoch_sql{"end_of_epoch", R"(
    select first_turn from lease_epoch where epoch > $1 order by epoch limit 1)"};

// The commit in doubt raised the turn if it happened; turns after our epoch are somebody else's.
void PgJournal::State::settle_doubt(std::int64_t old_epoch) {
    if (!in_doubt) return;
    std::int64_t last_turn_of_ours = last_turn;
    if (old_epoch != epoch) {
        Params params;
        params.add(old_epoch);
        const Result next = connection->run(end_of_epoch_sql, params);
        if (next.rows() > 0) last_turn_of_ours = next.int8(0, 0);
    }
    last_commit_happened = last_turn_of_ours > *in_doubt;
    in_doubt.reset();
}

constexpr Query renew_lease_sql{"renew_lease", R"(
    update lease set expires = clock_timestamp() + $2 where epoch = $1
    returning (select count(*) from standby
        where seen_at > clock_timestamp() - interval '30 s'))"};

void PgJournal::renew_lease() {
    state_->guarded([&] {
        Params params;
        params.add(state_->epoch).add_interval(state_->settings.lease);
        const auto sent = LeaseKeeper::Steady::now();
        const Result renewed = state_->connected().run(renew_lease_sql, params);
        if (renewed.rows() == 0) {
            state_->keeper.rest();
            throw Deposed("another daemon has taken the lease");
        }
        state_->standbys = renewed.int8(0, 0);
        state_->keeper.renewed(state_->epoch, sent);
    });
}

bool PgJournal::lease_is_fresh() const { return state_->keeper.fresh(); }

// Standbys hear of it and need not wait until it would have expired.
constexpr Query release_lease_sql{"release_lease", R"(
    with released as (
        update lease set expires = '-infinity' where epoch = $1 returning last_seq)
    select pg_notify('sluice_turn', json_build_object('seq', last_seq)::text) from released)"};

void PgJournal::release_lease() noexcept {
    state_->keeper.rest();
    if (state_->connection == nullptr || state_->epoch == 0) return;
    try {
        Params params;
        params.add(state_->epoch);
        state_->connection->run(release_lease_sql, params);
    } catch (const std::exception&) {
        // It ends by itself.
    }
    state_->disconnect();
}

Duration PgJournal::lease() const { return state_->settings.lease; }
std::int64_t PgJournal::turn() const { return state_->last_turn; }
bool PgJournal::last_commit_happened() const { return state_->last_commit_happened; }

// ---- reading the state

constexpr Query dag_states_sql{
    "dag_states", "select " SLUICE_DAG_COLUMNS " from dag d order by d.dag_id"
};
constexpr Query open_runs_sql{
    "open_runs", "select " SLUICE_RUN_COLUMNS " from open_run r order by r.run_key"
};
constexpr Query open_tasks_sql{"open_tasks", "select " SLUICE_TASK_COLUMNS R"(
    from task_instance t join open_run r on r.run_key = t.run_key
    where t.run_key >= $1 and not )" SLUICE_PLAIN_INSTANCE R"(
    order by t.run_key, t.task_no, t.map_index)"};
constexpr Query open_backfills_sql{
    "open_backfills",
    "select " SLUICE_BACKFILL_COLUMNS " from backfill b where b.completed_at is null order by b.id"
};
constexpr Query open_waits_sql{"open_waits", "select " SLUICE_WAIT_COLUMNS R"(
    from task_wait w join open_run r on r.run_key = w.run_key
    where not w.over
    order by w.run_key, w.task_no, w.map_index)"};
constexpr Query pools_sql{
    "pools", "select name, slots, description, include_deferred from pool order by name"
};

void PgJournal::State::read_state(Snapshot& snapshot) {
    const Result dags = connection->run(dag_states_sql);
    for (int i = 0; i < dags.rows(); ++i) snapshot.dags.push_back(read_dag_state(dags, i));
    const Result runs = connection->run(open_runs_sql);
    for (int i = 0; i < runs.rows(); ++i) snapshot.open_runs.push_back(read_run(runs, i));
    if (!snapshot.open_runs.empty()) {
        Params oldest;
        oldest.add(snapshot.open_runs.front().key.value);
        const Result tasks = connection->run(open_tasks_sql, oldest);
        for (int i = 0; i < tasks.rows(); ++i) snapshot.instances.push_back(read_task(tasks, i));
    }
    const Result waits = connection->run(open_waits_sql);
    for (int i = 0; i < waits.rows(); ++i) snapshot.waits.push_back(read_wait(waits, i));
    read_mapped(*connection, snapshot);
    const Result backfills = connection->run(open_backfills_sql);
    for (int i = 0; i < backfills.rows(); ++i) {
        snapshot.backfills.push_back(read_backfill(backfills, i));
    }
    const Result pools = connection->run(pools_sql);
    for (int i = 0; i < pools.rows(); ++i) snapshot.pools.push_back(read_pool(pools, i));
    read_past(*connection, snapshot);
    read_subsets(*connection, snapshot);
    read_assets(*connection, snapshot);
    read_deadlines(*connection, snapshot);
}

Snapshot PgJournal::load() {
    return state_->guarded([&] {
        state_->connect();
        Snapshot snapshot;
        state_->take_lease(snapshot);
        state_->partitions.read(*state_->connection);
        state_->partitions.cover(*state_->connection, state_->epoch, snapshot.last_run.value);
        fault_point("during_load");
        state_->read_state(snapshot);
        return snapshot;
    });
}

// ---- committing

void PgJournal::commit(const Turn& turn) {
    State& state = *state_;
    state.last_commit_happened = false;
    state.guarded([&] {
        Connection& connection = state.connected();
        state.partitions.cover(connection, state.epoch, last_new_run(turn));
        const auto& partition = state.partitions.of(turn);
        write_turn(
            turn,
            {state.types, state.epoch, state.settings.lease, state.standbys > 0},
            state.turn_params
        );
        const Query call{partition.function.c_str(), partition.call.c_str()};
        connection.prepare(call.name, call.sql);

        fault_point("before_commit");
        state.in_doubt = state.last_turn;
        const auto sent = LeaseKeeper::Steady::now();
        try {
            state.last_turn = connection.run(call, state.turn_params).int8(0, 0);
        } catch (const SqlError&) {
            state.in_doubt.reset();  // the server says that nothing happened
            throw;
        }
        fault_point("after_commit_before_ack");
        state.keeper.renewed(state.epoch, sent);
        state.in_doubt.reset();
        state.last_commit_happened = true;
        state.replan_if_grown(turn, partition.function);
    });
}

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
