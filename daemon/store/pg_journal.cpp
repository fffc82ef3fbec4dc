#include "store/pg_journal.hpp"

#include <algorithm>
#include <utility>

#include "base/check.hpp"
#include "base/error.hpp"
#include "base/fault.hpp"
#include "store/asset_rows.hpp"
#include "store/backfill_rows.hpp"
#include "store/deadline_rows.hpp"
#include "store/mapped_rows.hpp"
#include "store/past_rows.hpp"
#include "store/pg_journal_state.hpp"
#include "store/rows.hpp"

namespace sluice::store {

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
    if (rows_inserted >= rows_to_replan) {
        rows_to_replan = rows_inserted * 2;
        connected().script("discard plans");
    }
    rows_inserted += static_cast<std::int64_t>(turn.tasks.size() + turn.transitions.size());
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
    last_turn = last_settled = taken.int8(0, 1);
    snapshot.last_seq = Seq{taken.int8(0, 2)};
    snapshot.last_run = RunKey{taken.int8(0, 3)};
    snapshot.last_backfill = BackfillId{taken.int8(0, 4)};
    snapshot.now = taken.time(0, 5);
    settle_doubt(old_epoch);
}

constexpr Query end_of_epoch_sql{"end_of_epoch", R"(
    select first_turn from lease_epoch where epoch > $1 order by epoch limit 1)"};

// Each commit in doubt raised the turn if it happened; turns after our epoch are somebody else's.
void PgJournal::State::settle_doubt(std::int64_t old_epoch) {
    if (!in_doubt) return;
    std::int64_t last_turn_of_ours = last_turn;
    if (old_epoch != epoch) {
        Params params;
        params.add(old_epoch);
        const Result next = connection->run(end_of_epoch_sql, params);
        if (next.rows() > 0) last_turn_of_ours = next.int8(0, 0);
    }
    const auto raised = last_turn_of_ours - in_doubt->before;
    commits_happened = static_cast<int>(std::clamp<std::int64_t>(raised, 0, in_doubt->turns));
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
        state_->connected().run(release_lease_sql, params);
    } catch (const std::exception&) {
        // It ends by itself.
    }
    state_->disconnect();
}

Duration PgJournal::lease() const { return state_->settings.lease; }
std::int64_t PgJournal::turn() const { return state_->last_turn; }
int PgJournal::commits_happened() const { return state_->commits_happened; }

// ---- reading the state

constexpr Query dag_states_sql{
    "dag_states", "select " SLUICE_DAG_COLUMNS " from dag d order by d.dag_id"
};
constexpr Query deleted_dags_sql{
    "deleted_dags", "select dag_id, number from deleted_dag order by dag_id"
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
    const Result deleted = connection->run(deleted_dags_sql);
    for (int i = 0; i < deleted.rows(); ++i)
        snapshot.deleted_dags.push_back({deleted.text(i, 0), deleted.int8(i, 1)});
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
    state_->doubt();
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

void PgJournal::send(const Turn& turn) {
    State& state = *state_;
    std::exception_ptr failure;
    try {
        state.guarded([&] { state.send(turn); });
        return;
    } catch (...) {
        failure = std::current_exception();
    }
    state.under_way.push_back({.answered = true, .failure = failure});
}

void PgJournal::State::send(const Turn& turn) {
    commits_happened = 0;
    const auto last_run = last_new_run(turn);
    if (!partitions.covers(last_run)) partitions.cover(connected(), epoch, last_run);
    const auto& partition = partitions.of(turn);
    write_turn(turn, {types, epoch, settings.lease, standbys > 0}, turn_params);
    replan_if_grown(turn, partition.function);
    const Query call{partition.function.c_str(), partition.call.c_str()};
    if (!open().is_prepared(partition.function)) connected().prepare(call.name, call.sql);

    fault_point("before_commit");
    const auto at = LeaseKeeper::Steady::now();
    open().send(call, turn_params);
    under_way.push_back({.at = at});
}

void PgJournal::State::receive(Sent& turn) {
    turn.answered = true;
    try {
        guarded([&] {
            last_turn = turn.number = open().receive().int8(0, 0);
            fault_point("after_commit_before_ack");
            keeper.renewed(epoch, turn.at);
        });
    } catch (...) {
        turn.failure = std::current_exception();
    }
}

void PgJournal::State::receive_all() {
    for (Sent& turn : under_way)
        if (!turn.answered) receive(turn);
}

void PgJournal::settle() {
    State& state = *state_;
    SLUICE_CHECK(!state.under_way.empty());
    State::Sent& oldest = state.under_way.front();
    if (!oldest.answered) state.receive(oldest);
    if (oldest.failure) state.fail(oldest.failure);
    state.last_settled = oldest.number;
    state.under_way.pop_front();
}

// Nothing that was sent after a turn that failed has happened, or it is as much in doubt.
void PgJournal::State::fail(const std::exception_ptr& why) {
    receive_all();
    try {
        std::rethrow_exception(why);
    } catch (const Away&) {
        doubt();
        throw;
    } catch (...) {
        const bool out_of_order =
            std::ranges::any_of(under_way, [](auto& turn) { return !turn.failure; });
        under_way.clear();
        if (out_of_order)
            throw Error(ErrorCode::internal, "a turn was committed after one that was not");
        throw;
    }
}

void PgJournal::State::doubt() {
    if (!under_way.empty() && !in_doubt)
        in_doubt = Doubt{.before = last_settled, .turns = static_cast<int>(under_way.size())};
    under_way.clear();
}

}  // namespace sluice::store
