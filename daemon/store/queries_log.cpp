#include "store/pooled.hpp"
#include "store/queries.hpp"
#include "store/rows.hpp"
#include "store/stored_versions.hpp"
#include "store/where.hpp"

namespace sluice::store {

// ---- the transition log

#define SLUICE_TRANSITION_SELECT                                                         \
    "select l.seq, l.run_key, l.task_no, l.map_lo, l.map_hi, l.from_state, l.to_state, " \
    "l.try_number, l.at, l.cause, l.actor, r.dag_id, r.run_id, coalesce(n.task_id, '') " \
    "from transition l join dag_run r on r.run_key = l.run_key "                         \
    "left join dag_task n on n.version_id = r.version and n.task_no = l.task_no "

constexpr Query transitions_since_sql{
    "transitions_since", SLUICE_TRANSITION_SELECT "where l.seq > $1 order by l.seq limit $2"
};
constexpr Query transitions_of_run_sql{
    "transitions_of_run", SLUICE_TRANSITION_SELECT "where l.run_key = $1 order by l.seq"
};

namespace {

TransitionRow read_transition(const Result& result, int i) {
    TransitionRow row;
    Transition& transition = row.transition;
    transition.seq = Seq{result.int8(i, 0)};
    transition.run = RunKey{result.int8(i, 1)};
    transition.task = result.int4(i, 2);
    transition.map_lo = result.int4(i, 3);
    transition.map_hi = result.int4(i, 4);
    transition.from = result.int2(i, 5);
    transition.to = result.int2(i, 6);
    transition.try_number = result.int4(i, 7);
    transition.at = result.time(i, 8);
    transition.cause = result.text(i, 9);
    transition.actor = result.text(i, 10);
    row.dag_id = result.text(i, 11);
    row.run_id = result.text(i, 12);
    row.task_id = result.text(i, 13);
    return row;
}

std::vector<TransitionRow> read_transitions(
    ConnectionPool& pool, const Query& query, Params& params
) {
    return read(pool, [&](Connection& connection) {
        const Result result = connection.run(query, params);
        std::vector<TransitionRow> rows;
        for (int i = 0; i < result.rows(); ++i) rows.push_back(read_transition(result, i));
        return rows;
    });
}

}  // namespace

std::vector<TransitionRow> Queries::transitions_since(Seq seq, int limit) {
    Params params;
    params.add(seq.value).add(std::int64_t{limit});
    return read_transitions(pool_, transitions_since_sql, params);
}

std::vector<TransitionRow> Queries::transitions_of(RunKey run) {
    Params params;
    params.add(run.value);
    return read_transitions(pool_, transitions_of_run_sql, params);
}

constexpr Query last_seq_sql{"last_seq", "select last_seq from lease"};

Seq Queries::last_seq() {
    return read(pool_, [](Connection& connection) {
        return Seq{connection.run(last_seq_sql).int8(0, 0)};
    });
}

// ---- the audit log

#define SLUICE_AUDIT_COLUMNS \
    "id, at, actor, source, request_id, event, dag_id, run_id, task_id, extra"

namespace {
AuditRow read_audit(const Result& result, int i) {
    return {
        result.int8(i, 0),
        {result.time(i, 1),
         result.text(i, 2),
         result.text(i, 3),
         result.text(i, 4),
         result.text(i, 5),
         result.text(i, 6),
         result.text(i, 7),
         result.text(i, 8),
         result.text(i, 9)}
    };
}
}  // namespace

Page<AuditRow> Queries::audits(const AuditFilter& filter) {
    return read(pool_, [&](Connection& connection) {
        Where where;
        where.add_text("dag_id = $::text", filter.dag_id);
        where.add_text("run_id = $::text", filter.run_id);
        where.add_text("task_id = $::text", filter.task_id);
        where.add_text("actor = $::text", filter.actor);
        where.add_text("event = $::text", filter.event);
        where.add_range("at", filter.at);
        return read_page<AuditRow>(
            connection,
            SLUICE_AUDIT_COLUMNS,
            "from audit_log",
            where,
            filter.oldest_first ? " order by id" : " order by id desc",
            filter.page,
            read_audit
        );
    });
}

constexpr Query audit_row_sql{
    "audit_row", "select " SLUICE_AUDIT_COLUMNS " from audit_log where id = $1"
};

std::optional<AuditRow> Queries::audit(std::int64_t id) {
    return read(pool_, [&](Connection& connection) -> std::optional<AuditRow> {
        Params params;
        params.add(id);
        const Result rows = connection.run(audit_row_sql, params);
        if (rows.rows() == 0) return std::nullopt;
        return read_audit(rows, 0);
    });
}

// ---- DAGs, pools, the lease

constexpr Query dags_sql{"dags", "select " SLUICE_DAG_COLUMNS " from dag d order by d.dag_id"};

std::vector<DagState> Queries::dag_states() {
    return read(pool_, [](Connection& connection) {
        const Result rows = connection.run(dags_sql);
        std::vector<DagState> states;
        for (int i = 0; i < rows.rows(); ++i) states.push_back(read_dag_state(rows, i));
        return states;
    });
}

Page<VersionRow> Queries::versions(const std::string& dag_id, PageOf page) {
    return read(pool_, [&](Connection& connection) {
        Where where;
        where.add_text("dag_id = $::text", dag_id);
        where.add("is_form = $::boolean", false);
        return read_page<VersionRow>(
            connection,
            "id, dag_id, number, hash, fileloc, created_at",
            "from dag_version",
            where,
            " order by dag_id, number",
            page,
            [](const Result& rows, int i) {
                return VersionRow{
                    VersionId{rows.int8(i, 0)},
                    rows.text(i, 1),
                    rows.int4(i, 2),
                    rows.text(i, 3),
                    rows.text(i, 4),
                    rows.time(i, 5)
                };
            }
        );
    });
}

constexpr Query version_id_sql{
    "version_id", "select id from dag_version where dag_id = $1 and number = $2 and not is_form"
};
constexpr Query form_row_sql{"form_row", R"(
    select v.id, v.dag_id, v.number, v.hash, v.fileloc, v.created_at
    from dag_version f join dag_version v on v.dag_id = f.dag_id and v.number = f.number
    where f.id = $1 and not v.is_form)"};

std::optional<VersionRow> Queries::version_of_form(VersionId form) {
    return read(pool_, [&](Connection& connection) -> std::optional<VersionRow> {
        Params params;
        params.add(form.value);
        const Result rows = connection.run(form_row_sql, params);
        if (rows.rows() == 0) return std::nullopt;
        return VersionRow{
            VersionId{rows.int8(0, 0)},
            rows.text(0, 1),
            rows.int4(0, 2),
            rows.text(0, 3),
            rows.text(0, 4),
            rows.time(0, 5)
        };
    });
}

std::optional<Journal::StoredVersion> Queries::version(VersionId id) {
    return read(pool_, [&](Connection& connection) -> std::optional<Journal::StoredVersion> {
        auto found = read_versions(connection, {id});
        if (found.empty()) return std::nullopt;
        return std::move(found.front());
    });
}

std::optional<Journal::StoredVersion> Queries::version(const std::string& dag_id, int number) {
    return read(pool_, [&](Connection& connection) -> std::optional<Journal::StoredVersion> {
        Params params;
        params.add(dag_id).add_int(number);
        const Result id = connection.run(version_id_sql, params);
        if (id.rows() == 0) return std::nullopt;
        auto found = read_versions(connection, {VersionId{id.int8(0, 0)}});
        if (found.empty()) return std::nullopt;
        return std::move(found.front());
    });
}

constexpr Query all_pools_sql{
    "all_pools", "select name, slots, description, include_deferred from pool order by name"
};

std::vector<sluice::Pool> Queries::pools() {
    return read(pool_, [](Connection& connection) {
        const Result rows = connection.run(all_pools_sql);
        std::vector<sluice::Pool> pools;
        for (int i = 0; i < rows.rows(); ++i) pools.push_back(read_pool(rows, i));
        return pools;
    });
}

constexpr Query lease_sql{"lease", R"(
    select epoch, turn, holder, address, expires > clock_timestamp() from lease)"};

std::optional<Queries::LeaseRow> Queries::lease() {
    return read(pool_, [](Connection& connection) -> std::optional<LeaseRow> {
        const Result row = connection.run(lease_sql);
        if (row.rows() == 0) return std::nullopt;
        return LeaseRow{
            row.int8(0, 0), row.int8(0, 1), row.text(0, 2), row.text(0, 3), row.boolean(0, 4)
        };
    });
}

}  // namespace sluice::store
