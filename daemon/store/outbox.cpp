#include "store/outbox.hpp"

#include "store/pooled.hpp"
#include "store/where.hpp"

namespace sluice::store {
namespace {

#define SLUICE_OUTBOX_COLUMNS                                                               \
    "o.id, o.created_at, o.kind, o.event, coalesce(o.run_key, 0), o.task_no, o.map_index, " \
    "o.payload, o.target, o.tries, o.next_try_at, o.delivered_at, o.gave_up, o.error, "     \
    "coalesce(r.dag_id, ''), coalesce(r.run_id, ''), coalesce(n.task_id, '')"
#define SLUICE_OUTBOX_FROM                                        \
    "from outbox o left join dag_run r on r.run_key = o.run_key " \
    "left join dag_task n on n.version_id = r.version and n.task_no = o.task_no"

OutboxRow read_row(const Result& result, int i) {
    OutboxRow row;
    row.id = result.int8(i, 0);
    row.created_at = result.time(i, 1);
    row.kind = result.text(i, 2);
    row.event = result.text(i, 3);
    row.run = RunKey{result.int8(i, 4)};
    row.task = result.int4(i, 5);
    row.map_index = result.int4(i, 6);
    row.payload = result.text(i, 7);
    row.target = result.text(i, 8);
    row.tries = result.int4(i, 9);
    row.next_try_at = result.time(i, 10);
    row.delivered_at = result.maybe_time(i, 11);
    row.gave_up = result.boolean(i, 12);
    row.error = result.text(i, 13);
    row.dag_id = result.text(i, 14);
    row.run_id = result.text(i, 15);
    row.task_id = result.text(i, 16);
    return row;
}

}  // namespace

constexpr Query outbox_waiting_sql{
    "outbox_waiting",
    "select " SLUICE_OUTBOX_COLUMNS " " SLUICE_OUTBOX_FROM
    " where o.delivered_at is null and not o.gave_up and o.id > $1 order by o.id limit 1000"
};

std::vector<OutboxRow> Outbox::waiting(std::int64_t after) {
    return read(pool_, [&](Connection& connection) {
        Params params;
        params.add(after);
        const Result rows = connection.run(outbox_waiting_sql, params);
        std::vector<OutboxRow> found;
        for (int i = 0; i < rows.rows(); ++i) found.push_back(read_row(rows, i));
        return found;
    });
}

constexpr Query outbox_row_sql{
    "outbox_row", "select " SLUICE_OUTBOX_COLUMNS " " SLUICE_OUTBOX_FROM " where o.id = $1"
};

std::optional<OutboxRow> Outbox::find(std::int64_t id) {
    return read(pool_, [&](Connection& connection) -> std::optional<OutboxRow> {
        Params params;
        params.add(id);
        const Result rows = connection.run(outbox_row_sql, params);
        if (rows.rows() == 0) return std::nullopt;
        return read_row(rows, 0);
    });
}

constexpr Query outbox_delivered_sql{"outbox_delivered", R"(
    update outbox set delivered_at = clock_timestamp(), tries = tries + 1, target = $2, error = ''
    where id = $1 and delivered_at is null)"};

void Outbox::delivered(std::int64_t id, const std::string& target) {
    change(pool_, [&](Connection& connection) {
        Params params;
        params.add(id).add(target);
        connection.run(outbox_delivered_sql, params);
    });
}

constexpr Query outbox_failed_sql{"outbox_failed", R"(
    update outbox set tries = tries + 1, target = $2, error = $3, next_try_at = $4, gave_up = $5
    where id = $1 and delivered_at is null)"};

void Outbox::failed(std::int64_t id, const Try& what) {
    change(pool_, [&](Connection& connection) {
        Params params;
        params.add(id).add(what.target).add(what.error).add(what.next).add(what.gave_up);
        connection.run(outbox_failed_sql, params);
    });
}

Page<OutboxRow> Outbox::list(const OutboxFilter& filter) {
    return read(pool_, [&](Connection& connection) {
        Where where;
        where.add_text("r.dag_id = $::text", filter.dag_id);
        where.add_text("r.run_id = $::text", filter.run_id);
        where.add_text(
            "case when o.delivered_at is not null then 'delivered' when o.gave_up then 'gave_up' "
            "else 'waiting' end = $::text",
            filter.state
        );
        return read_page<OutboxRow>(
            connection,
            SLUICE_OUTBOX_COLUMNS,
            SLUICE_OUTBOX_FROM,
            where,
            " order by o.id desc",
            filter.page,
            read_row
        );
    });
}

constexpr Query outbox_retry_sql{"outbox_retry", R"(
    update outbox set tries = 0, gave_up = false, next_try_at = clock_timestamp()
    where id = $1 and delivered_at is null)"};

bool Outbox::retry(std::int64_t id) {
    return change(pool_, [&](Connection& connection) {
        Params params;
        params.add(id);
        return connection.run(outbox_retry_sql, params).changed() > 0;
    });
}

}  // namespace sluice::store
