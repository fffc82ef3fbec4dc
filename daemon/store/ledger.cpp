#include "store/ledger.hpp"

#include "store/pooled.hpp"

namespace sluice::store {
namespace {

Params& add_key(Params& params, const SliceKey& key) {
    return params.add(key.dataset).add(key.partition).add(key.slice);
}

#define SLUICE_SLICE_COLUMNS                                                                \
    "dataset, partition, slice, generation, state, coalesce(rows, 0), coalesce(bytes, 0), " \
    "encode(content_hash, 'hex'), files, input, encode(code_hash, 'hex'), committed_at"

std::vector<Slice> read_slices(const Result& rows) {
    std::vector<Slice> slices;
    for (int i = 0; i < rows.rows(); ++i) {
        Slice slice;
        slice.key = {rows.text(i, 0), rows.text(i, 1), rows.text(i, 2)};
        slice.generation = rows.int8(i, 3);
        slice.state = rows.text(i, 4);
        slice.rows = rows.int8(i, 5);
        slice.bytes = rows.int8(i, 6);
        slice.content_hash = rows.text(i, 7);
        slice.files = rows.text(i, 8);
        slice.input = rows.text(i, 9);
        slice.code_hash = rows.text(i, 10);
        slice.committed_at = rows.maybe_time(i, 11);
        slices.push_back(std::move(slice));
    }
    return slices;
}

}  // namespace

// Claims of one slice come one after the other; other slices are not held up.
constexpr Query lock_slice_sql{
    "lock_slice",
    "select pg_advisory_xact_lock(hashtextextended($1 || chr(31) || $2 || chr(31) || $3, 7))"
};
constexpr Query later_claim_sql{"later_claim", R"(
    select exists (select from ledger where dataset = $1 and partition = $2 and slice = $3
        and run_key = $4 and task_no = $5 and map_index = $6 and start_no > $7))"};
constexpr Query claim_sql{"claim", R"(
    insert into ledger (dataset, partition, slice, generation, dag_id, task_id, map_index,
        interval_start, interval_end, run_id, attempt, run_key, start_no, task_no, state)
    select $1, $2, $3, greatest(coalesce(max(generation), 0) + 1, $4), $5, $6, $7, $8, $9, $10,
        $11, $12, $13, $14, 'writing'
    from ledger where dataset = $1 and partition = $2 and slice = $3
    returning generation)"};

std::int64_t PgLedger::claim(const Claim& claim) {
    return change(pool_, [&](Connection& connection) {
        const AttemptKey& attempt = claim.attempt;
        Transaction transaction{connection};
        Params slice;
        add_key(slice, claim.key);
        connection.run(lock_slice_sql, slice);
        Params later;
        add_key(later, claim.key).add(attempt.task.run.value).add_int(attempt.task.task);
        later.add_int(attempt.task.map_index).add_int(attempt.start);
        if (connection.run(later_claim_sql, later).boolean(0, 0)) {
            throw Error(
                ErrorCode::conflict,
                "a later attempt of this task has claimed " + claim.key.dataset + " " +
                    claim.key.partition
            );
        }
        const auto& interval = claim.interval;
        Params row;
        add_key(row, claim.key).add(claim.at_least).add(claim.dag_id).add(claim.task_id);
        row.add_int(attempt.task.map_index);
        row.add(interval ? std::optional{interval->start} : std::nullopt);
        row.add(interval ? std::optional{interval->end} : std::nullopt);
        row.add(claim.run_id).add_int(claim.try_number).add(attempt.task.run.value);
        row.add_int(attempt.start).add_int(attempt.task.task);
        const std::int64_t generation = connection.run(claim_sql, row).int8(0, 0);
        transaction.commit();
        return generation;
    });
}

constexpr Query live_sql{"live_slices", "select " SLUICE_SLICE_COLUMNS R"(
    from ledger
    where dataset = $1 and state = 'committed'
        and ($2::text is null or partition >= $2) and ($3::text is null or partition <= $3)
        and (not $4 or partition = (
            select max(partition) from ledger
            where dataset = $1 and state = 'committed'
                and ($2::text is null or partition >= $2)
                and ($3::text is null or partition <= $3)))
    order by partition, slice)"};

std::vector<Slice> PgLedger::live(const SliceQuery& query) {
    return read(pool_, [&](Connection& connection) {
        Params params;
        params.add(query.dataset);
        for (const auto& bound : {query.from, query.to}) {
            if (bound) {
                params.add(*bound);
            } else {
                params.add_null();
            }
        }
        params.add(query.latest_only);
        return read_slices(connection.run(live_sql, params));
    });
}

constexpr Query slice_history_sql{"slice_history", "select " SLUICE_SLICE_COLUMNS R"(
    from ledger where dataset = $1 and partition = $2 and slice = $3 order by generation desc)"};

std::vector<Slice> PgLedger::history(const SliceKey& key) {
    return read(pool_, [&](Connection& connection) {
        Params params;
        add_key(params, key);
        return read_slices(connection.run(slice_history_sql, params));
    });
}

}  // namespace sluice::store
