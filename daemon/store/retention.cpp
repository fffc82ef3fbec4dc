#include "store/retention.hpp"

#include <utility>

#include "base/error.hpp"
#include "base/fault.hpp"
#include "store/pq.hpp"

namespace sluice::store {

Retention::Retention(std::string url) : url_(std::move(url)) {}
Retention::~Retention() = default;

Connection& Retention::connected() {
    if (connection_ == nullptr || connection_->broken())
        connection_ = std::make_unique<Connection>(url_, "sluice retention");
    return *connection_;
}

template <class Work>
auto Retention::guarded(Work work) {
    try {
        return work(connected());
    } catch (const ConnectionLost& lost) {
        connection_.reset();
        throw Error(ErrorCode::unavailable, std::string("the database is away: ") + lost.what());
    } catch (const SqlError& error) {
        connection_.reset();
        throw Error(ErrorCode::unavailable, error.what());
    }
}

// A partition whose keys are not all given out will get new runs.
constexpr Query retention_plan_sql{"retention_plan", R"(
    select p.number, p.lo, p.hi, count(r.run_key), count(*) filter (where r.state < 2),
        count(*) filter (where r.end_date >= clock_timestamp() - $1::interval),
        count(*) filter (where b.id is not null), p.hi > (select last_run from lease)
    from run_partition p
    left join dag_run r on r.run_key >= p.lo and r.run_key < p.hi
    left join backfill b on b.id = r.backfill_id and b.completed_at is null
    group by p.number, p.lo, p.hi order by p.number)"};

std::vector<Retention::Part> Retention::plan(Duration keep) {
    return guarded([&](Connection& connection) {
        Params params;
        params.add_interval(keep);
        const Result rows = connection.run(retention_plan_sql, params);
        std::vector<Part> parts;
        for (int i = 0; i < rows.rows(); ++i) {
            Part part{
                .number = rows.int4(i, 0),
                .lo = rows.int8(i, 1),
                .hi = rows.int8(i, 2),
                .runs = rows.int8(i, 3),
            };
            const auto say = [&](int column, const char* what) {
                const std::int64_t count = rows.int8(i, column);
                if (count > 0 && part.why.empty())
                    part.why = std::to_string(count) + " of its runs " + what;
            };
            if (rows.boolean(i, 7)) part.why = "new runs go there";
            say(4, "are not finished");
            say(5, "ended too short a time ago");
            say(6, "belong to a backfill that is not completed");
            part.may_go = part.why.empty();
            parts.push_back(std::move(part));
        }
        return parts;
    });
}

constexpr Query retention_runs_sql{"retention_runs", R"(
    select dag_id, run_id from dag_run where run_key >= $1 and run_key < $2)"};
// What somebody clears meanwhile is open again, and is not found here.
constexpr Query retention_delete_sql{"retention_delete", R"(
    delete from dag_run where run_key >= $1 and run_key < $2 and state >= 2
        and end_date < clock_timestamp() - $3::interval)"};
constexpr Query retention_forget_sql{
    "retention_forget", "delete from run_partition where number = $1"
};
// Slices of the lake outlive the runs that wrote them; a backfill keeps its plan.
constexpr Query retention_tables_sql{"retention_tables", R"(
    select c.relname::text from pg_class c
    join pg_attribute a on a.attrelid = c.oid and a.attname = 'run_key' and not a.attisdropped
    where c.relnamespace = 'public'::regnamespace and c.relkind = 'r' and not c.relispartition
        and c.relname not in ('dag_run', 'ledger', 'backfill_date')
        and c.relname !~ '_p[0-9]+$'
    order by 1)"};

std::int64_t Retention::drop(const Part& part, Duration keep, const Gone& gone) {
    return guarded([&](Connection& connection) -> std::int64_t {
        std::vector<std::pair<std::string, std::string>> runs;
        {
            Transaction transaction{connection};
            Params range;
            range.add(part.lo).add(part.hi);
            const Result rows = connection.run(retention_runs_sql, range);
            for (int i = 0; i < rows.rows(); ++i)
                runs.emplace_back(rows.text(i, 0), rows.text(i, 1));
            Params old;
            old.add(part.lo).add(part.hi).add_interval(keep);
            const auto deleted = connection.run(retention_delete_sql, old).changed();
            if (deleted != static_cast<std::int64_t>(runs.size())) return 0;  // rolled back
            const Result tables = connection.run(retention_tables_sql);
            for (int i = 0; i < tables.rows(); ++i) {
                // A name out of the catalogue.
                const std::string table = tables.text(i, 0);
                connection.script(
                    "delete from \"" + table + "\" where run_key >= " + std::to_string(part.lo) +
                    " and run_key < " + std::to_string(part.hi)
                );
            }
            Params number;
            number.add_int(part.number);
            connection.run(retention_forget_sql, number);
            transaction.commit();
        }
        for (const auto& [dag_id, run_id] : runs) gone(dag_id, run_id);
        return static_cast<std::int64_t>(runs.size());
    });
}

// Tables of partitions that nobody counts any more, attached or not.
constexpr Query retention_leftovers_sql{"retention_leftovers", R"(
    select c.relname::text, coalesce(p.relname::text, ''), coalesce(i.inhdetachpending, false),
        substring(c.relname from '[0-9]+$')::int4
    from pg_class c
    left join pg_inherits i on i.inhrelid = c.oid
    left join pg_class p on p.oid = i.inhparent
    where c.relnamespace = 'public'::regnamespace and c.relkind = 'r'
        and c.relname ~ '^(task_instance|attempt|transition|xcom|rendered)_p[0-9]+$'
        and not exists (select from run_partition r
            where r.number = substring(c.relname from '[0-9]+$')::int4)
    order by 4, 1)"};

void Retention::drop_leftovers() {
    guarded([&](Connection& connection) {
        const Result tables = connection.run(retention_leftovers_sql);
        std::set<int> numbers;
        for (int i = 0; i < tables.rows(); ++i) {
            const std::string table = tables.text(i, 0);
            const std::string parent = tables.text(i, 1);
            if (!parent.empty())
                connection.script(
                    "alter table " + parent + " detach partition " + table +
                    (tables.boolean(i, 2) ? " finalize" : " concurrently")
                );
            connection.script("drop table " + table);
            numbers.insert(tables.int4(i, 3));
        }
        for (const int number : numbers)
            connection.script("drop function if exists commit_turn_p" + std::to_string(number));
    });
}

std::int64_t Retention::apply(Duration keep, const Gone& gone) {
    std::int64_t runs = 0;
    for (const Part& part : plan(keep))
        if (part.may_go) runs += drop(part, keep, gone);
    drop_leftovers();
    return runs;
}

// A run's rows of a partitioned table lie in one partition, where ctid names a row.
constexpr Query deleted_tables_sql{"deleted_tables", R"(
    select c.relname::text from pg_class c
    join pg_attribute a on a.attrelid = c.oid and a.attname = 'run_key' and not a.attisdropped
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
        and not c.relispartition and c.relname !~ '_p[0-9]+$'
        and c.relname not in ('dag_run', 'ledger', 'backfill_date', 'deleted_run')
    order by 1)"};
constexpr Query deleted_runs_sql{"deleted_runs", R"(
    select d.run_key, d.dag_id, d.run_id, d.without_logs or exists (
        select from dag_run r where r.dag_id = d.dag_id and r.run_id = d.run_id)
    from deleted_run d order by d.run_key limit 1000)"};
constexpr Query deleted_run_gone_sql{
    "deleted_run_gone", "delete from deleted_run where run_key = $1"
};

std::int64_t Retention::sweep_deleted(const Gone& gone, const GoOn& go_on) {
    return guarded([&](Connection& connection) {
        std::int64_t swept = 0;
        const Result tables = connection.run(deleted_tables_sql);
        for (;;) {
            const Result runs = connection.run(deleted_runs_sql);
            if (runs.rows() == 0) return swept;
            for (int i = 0; i < runs.rows(); ++i, ++swept) {
                if (!go_on()) return swept;
                const auto run = std::to_string(runs.int8(i, 0));
                for (int t = 0; t < tables.rows(); ++t) {
                    const std::string table = tables.text(t, 0);
                    // So many at once that nobody waits long for what they lock and write.
                    const std::string some = "delete from \"" + table +
                                             "\" where run_key = " + run +
                                             " and ctid = any(array(select ctid from \"" + table +
                                             "\" where run_key = " + run + " limit 10000))";
                    Params none;
                    while (connection.plan(some, none).changed() > 0) {
                    }
                }
                // A later run of the same id has its logs at the same place.
                if (!runs.boolean(i, 3)) gone(runs.text(i, 1), runs.text(i, 2));
                Params key;
                key.add(runs.int8(i, 0));
                connection.run(deleted_run_gone_sql, key);
                fault_point("deleted_run_swept");
            }
        }
    });
}

constexpr Query counted_artefacts_sql{
    "counted_artefacts", "select distinct hash from artefact where hash = any($1)"
};

std::set<std::string> Retention::counted(const std::vector<std::string>& hashes) {
    return guarded([&](Connection& connection) {
        Params params;
        params.add(std::span<const std::string>{hashes});
        const Result rows = connection.run(counted_artefacts_sql, params);
        std::set<std::string> found;
        for (int i = 0; i < rows.rows(); ++i) found.insert(rows.text(i, 0));
        return found;
    });
}

constexpr Query forget_delivered_sql{"forget_delivered", R"(
    delete from outbox o where o.delivered_at < clock_timestamp() - $1::interval
        and not exists (select from dag_run r where r.run_key = o.run_key and r.state < 2))"};

void Retention::forget_delivered(Duration age) {
    guarded([&](Connection& connection) {
        Params params;
        params.add_interval(age);
        connection.run(forget_delivered_sql, params);
    });
}

}  // namespace sluice::store
