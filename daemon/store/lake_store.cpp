#include "store/lake_store.hpp"

#include "model/states.hpp"
#include "store/audit_row.hpp"
#include "store/pooled.hpp"

namespace sluice::store {
namespace {

Params& add_key(Params& params, const GenerationKey& what) {
    return params.add(what.key.dataset)
        .add(what.key.partition)
        .add(what.key.slice)
        .add(what.generation);
}

std::string told(const GenerationKey& what) {
    std::string name = what.key.dataset;
    for (const std::string& part : {what.key.partition, what.key.slice})
        if (!part.empty()) name += ' ' + part;
    return "generation " + std::to_string(what.generation) + " of " + name;
}

}  // namespace

constexpr Query lake_datasets_sql{"lake_datasets", R"(
    with recursive names(dataset) as (
        select min(dataset) from ledger
        union all
        select (select min(l.dataset) from ledger l where l.dataset > n.dataset) from names n
        where n.dataset is not null)
    select dataset from names where dataset ~ '^(raw|processed|curated)[.]')"};

std::vector<std::string> LakeStore::datasets() {
    return read(pool_, [](Connection& connection) {
        const Result rows = connection.run(lake_datasets_sql);
        std::vector<std::string> names;
        for (int i = 0; i < rows.rows(); ++i) names.push_back(rows.text(i, 0));
        return names;
    });
}

// An attempt may still commit while its instance is scheduled, queued, running, waiting or being
// restarted, and has not been started anew.
constexpr Query generations_sql{"lake_generations", R"(
    select l.dataset, l.partition, l.slice, l.generation, l.state, coalesce(l.rows, 0),
        coalesce(l.bytes, 0), encode(l.content_hash, 'hex'), l.files, l.input,
        encode(l.code_hash, 'hex'), l.committed_at, l.run_key, l.task_no, l.map_index, l.start_no,
        l.dag_id, l.task_id, l.interval_start, l.interval_end,
        case when l.state = 'superseded' then coalesce(
            (select min(n.committed_at) from ledger n
             where n.dataset = l.dataset and n.partition = l.partition and n.slice = l.slice
                 and n.generation > l.generation), l.committed_at) end,
        l.state = 'writing' and not exists (
            select from task_instance t
            where t.run_key = l.run_key and t.task_no = l.task_no and t.map_index = l.map_index
                and t.starts = l.start_no and t.state in (1, 2, 3, 9, 10, 11, 13))
    from ledger l
    where l.dataset = $1 and (l.state <> 'deleted' or l.files_removed_at is null)
    order by l.partition, l.slice, l.generation)"};
static_assert(static_cast<int>(TaskState::scheduled) == 1);
static_assert(static_cast<int>(TaskState::queued) == 2);
static_assert(static_cast<int>(TaskState::running) == 3);
static_assert(static_cast<int>(TaskState::up_for_reschedule) == 9);
static_assert(static_cast<int>(TaskState::deferred) == 10);
static_assert(static_cast<int>(TaskState::restarting) == 11);
static_assert(static_cast<int>(TaskState::awaiting_input) == 13);

std::vector<Generation> LakeStore::generations(const std::string& dataset) {
    return read(pool_, [&](Connection& connection) {
        Params params;
        params.add(dataset);
        const Result rows = connection.run(generations_sql, params);
        std::vector<Generation> found;
        for (int i = 0; i < rows.rows(); ++i) {
            Generation one;
            one.slice.key = {rows.text(i, 0), rows.text(i, 1), rows.text(i, 2)};
            one.slice.generation = rows.int8(i, 3);
            one.slice.state = rows.text(i, 4);
            one.slice.rows = rows.int8(i, 5);
            one.slice.bytes = rows.int8(i, 6);
            one.slice.content_hash = rows.text(i, 7);
            one.slice.files = rows.text(i, 8);
            one.slice.input = rows.text(i, 9);
            one.slice.code_hash = rows.text(i, 10);
            one.slice.committed_at = rows.maybe_time(i, 11);
            one.attempt = {
                {RunKey{rows.int8(i, 12)}, rows.int4(i, 13), rows.int4(i, 14)}, rows.int4(i, 15)
            };
            one.dag_id = rows.text(i, 16);
            one.task_id = rows.text(i, 17);
            const auto begin = rows.maybe_time(i, 18);
            const auto end = rows.maybe_time(i, 19);
            if (begin && end) one.interval = Interval{*begin, *end};
            one.superseded_at = rows.maybe_time(i, 20);
            one.over = rows.boolean(i, 21);
            found.push_back(std::move(one));
        }
        return found;
    });
}

constexpr Query delete_generation_sql{"delete_generation", R"(
    update ledger set state = 'deleted', deleted_at = clock_timestamp(), deleted_by = $6,
        delete_reason = $7
    where dataset = $1 and partition = $2 and slice = $3 and generation = $4 and state = $5)"};

std::vector<bool> LakeStore::remove(const std::vector<Deletion>& deletions, const std::string& by) {
    return change(pool_, [&](Connection& connection) {
        Transaction transaction{connection};
        std::vector<bool> done;
        for (const Deletion& deletion : deletions) {
            Params params;
            add_key(params, deletion.what).add(deletion.state).add(by).add(deletion.reason);
            done.push_back(connection.run(delete_generation_sql, params).changed() == 1);
        }
        transaction.commit();
        return done;
    });
}

constexpr Query files_removed_sql{"files_removed", R"(
    update ledger set files_removed_at = clock_timestamp()
    where dataset = $1 and partition = $2 and slice = $3 and generation = $4
        and state = 'deleted' and files_removed_at is null)"};

void LakeStore::files_removed(const std::vector<GenerationKey>& generations) {
    change(pool_, [&](Connection& connection) {
        Transaction transaction{connection};
        for (const GenerationKey& one : generations) {
            Params params;
            add_key(params, one);
            connection.run(files_removed_sql, params);
        }
        transaction.commit();
    });
}

constexpr Query lock_generations_sql{
    "lock_generations",
    "select pg_advisory_xact_lock(hashtextextended($1 || chr(31) || $2 || chr(31) || $3, 7))"
};
// Nothing newer than the claim, and what it was made of is still live.
constexpr Query old_generation_sql{"old_generation", R"(
    update ledger set state = case when $5 = '' then 'superseded' else 'deleted' end,
        deleted_at = case when $5 <> '' then clock_timestamp() end,
        deleted_by = case when $5 <> '' then $6 end, delete_reason = nullif($5, '')
    where dataset = $1 and partition = $2 and slice = $3 and generation = $4
        and state = 'committed' and not exists (
            select from ledger l where l.dataset = $1 and l.partition = $2 and l.slice = $3
                and l.generation > $7))"};
// The rows are still those of the interval that they were written for.
constexpr Query new_generation_sql{"new_generation", R"(
    update ledger n set state = 'committed', interval_start = o.interval_start,
        interval_end = o.interval_end, rows = $5, bytes = $6,
        content_hash = decode($7, 'hex'),
        files = $8::text::json, input = $9::text::json, code_hash = decode($10, 'hex'),
        committed_at = clock_timestamp()
    from ledger o
    where n.dataset = $1 and n.partition = $2 and n.slice = $3 and n.generation = $4
        and n.state = 'writing' and n.run_key = $11 and n.task_no = $12 and n.map_index = $13
        and n.start_no = $14 and o.dataset = $1 and o.partition = $2 and o.slice = $3
        and o.generation = $15)"};

void LakeStore::replace(const Replacement& replacement) {
    change(pool_, [&](Connection& connection) {
        const OutputCommit& with = replacement.with;
        const SliceKey& key = replacement.from.key;
        Transaction transaction{connection};
        Params lock;
        lock.add(key.dataset).add(key.partition).add(key.slice);
        connection.run(lock_generations_sql, lock);
        Params old;
        add_key(old, replacement.from).add(replacement.delete_reason).add(replacement.by);
        old.add(with.generation);
        Params fresh;
        add_key(fresh, {key, with.generation}).add(with.rows).add(with.bytes);
        fresh.add(with.content_hash).add(with.files).add(with.input).add(with.code_hash);
        const AttemptKey& attempt = replacement.attempt;
        fresh.add(attempt.task.run.value).add_int(attempt.task.task);
        fresh.add_int(attempt.task.map_index).add_int(attempt.start);
        fresh.add(replacement.from.generation);
        if (connection.run(old_generation_sql, old).changed() != 1 ||
            connection.run(new_generation_sql, fresh).changed() != 1)
            throw Error(
                ErrorCode::conflict,
                told(replacement.from) + " was replaced while it was rewritten; try again"
            );
        transaction.commit();
    });
}

constexpr Query step_down_sql{"step_down", R"(
    update ledger set state = 'superseded'
    where dataset = $1 and partition = $2 and slice = $3 and generation <> $4
        and state = 'committed')"};
constexpr Query step_up_sql{"step_up", R"(
    update ledger set state = 'committed'
    where dataset = $1 and partition = $2 and slice = $3 and generation = $4
        and state in ('superseded', 'committed'))"};

void LakeStore::roll_back(const GenerationKey& to) {
    change(pool_, [&](Connection& connection) {
        Transaction transaction{connection};
        Params lock;
        lock.add(to.key.dataset).add(to.key.partition).add(to.key.slice);
        connection.run(lock_generations_sql, lock);
        Params params;
        add_key(params, to);
        connection.run(step_down_sql, params);
        if (connection.run(step_up_sql, params).changed() != 1)
            throw Error(
                ErrorCode::conflict, told(to) + " is not there any more: its files were removed"
            );
        transaction.commit();
    });
}

constexpr Query holds_sql{"lake_holds", R"(
    select id, dataset, reason, placed_by, placed_at, lifted_by, lifted_at from lake_hold
    order by lifted_at is not null, id desc)"};
constexpr Query place_hold_sql{
    "place_hold",
    "insert into lake_hold (dataset, reason, placed_by) values ($1, $2, $3) returning id"
};
constexpr Query lift_hold_sql{"lift_hold", R"(
    update lake_hold set lifted_by = $2, lifted_at = clock_timestamp()
    where id = $1 and lifted_at is null)"};

std::vector<LakeHold> LakeStore::holds() {
    return read(pool_, [](Connection& connection) {
        const Result rows = connection.run(holds_sql);
        std::vector<LakeHold> found;
        for (int i = 0; i < rows.rows(); ++i)
            found.push_back(
                {rows.int8(i, 0),
                 rows.text(i, 1),
                 rows.text(i, 2),
                 rows.text(i, 3),
                 rows.time(i, 4),
                 rows.text(i, 5),
                 rows.maybe_time(i, 6)}
            );
        return found;
    });
}

std::int64_t LakeStore::place_hold(
    const std::string& dataset, const std::string& reason, const AuditEntry& audit
) {
    return change(pool_, [&](Connection& connection) {
        Transaction transaction{connection};
        Params params;
        params.add(dataset).add(reason).add(audit.actor);
        const std::int64_t id = connection.run(place_hold_sql, params).int8(0, 0);
        write_audit(connection, audit);
        transaction.commit();
        return id;
    });
}

bool LakeStore::lift_hold(std::int64_t id, const AuditEntry& audit) {
    return change(pool_, [&](Connection& connection) {
        Transaction transaction{connection};
        Params params;
        params.add(id).add(audit.actor);
        if (connection.run(lift_hold_sql, params).changed() == 0) return false;
        write_audit(connection, audit);
        transaction.commit();
        return true;
    });
}

}  // namespace sluice::store
