// Which node did what: for logs, which lie where their attempt ran; and sessions, which are the
// same on all nodes.
#include "store/admin.hpp"
#include "store/pooled.hpp"
#include "store/queries.hpp"

namespace sluice::store {

// Nobody writes an attempt's node: the epoch in which it began names it.
constexpr Query node_of_attempt_sql{"node_of_attempt", R"(
    with began as (select coalesce(
        (select a.start_date from attempt a where a.run_key = $1 and a.task_no = $2
            and a.map_index = $3 and a.try_number = $4 order by a.start_no desc limit 1),
        (select t.start_date from task_instance t where t.run_key = $1 and t.task_no = $2
            and t.map_index = $3 and t.try_number = $4)) as at)
    select e.holder, coalesce(
        (select l.address from lease l
            where l.holder = e.holder and l.expires > clock_timestamp()),
        (select s.address from standby s where s.node_id = e.holder), '')
    from began, lateral (select holder from lease_epoch
        where taken_at <= began.at order by epoch desc limit 1) e)"};

std::optional<Queries::Node> Queries::node_of_attempt(const TaskKey& key, int try_number) {
    return read(pool_, [&](Connection& connection) -> std::optional<Node> {
        Params params;
        params.add(key.run.value).add_int(key.task).add_int(key.map_index).add_int(try_number);
        const Result row = connection.run(node_of_attempt_sql, params);
        if (row.rows() == 0) return std::nullopt;
        return Node{row.text(0, 0), row.text(0, 1)};
    });
}

constexpr Query close_session_sql{"close_session", R"(
    with over as (delete from closed_session where expires_at < clock_timestamp())
    insert into closed_session (id, expires_at) values ($1, $2) on conflict (id) do nothing)"};
constexpr Query closed_sessions_sql{
    "closed_sessions", "select id from closed_session where expires_at > clock_timestamp()"
};

void Admin::close_session(const std::string& id, Instant expires_at) {
    change(pool_, [&](Connection& connection) {
        Params params;
        params.add(id).add(expires_at);
        connection.run(close_session_sql, params);
    });
}

std::set<std::string> Admin::closed_sessions() {
    return read(pool_, [&](Connection& connection) {
        const Result rows = connection.run(closed_sessions_sql);
        std::set<std::string> ids;
        for (int i = 0; i < rows.rows(); ++i) ids.insert(rows.text(i, 0));
        return ids;
    });
}

}  // namespace sluice::store
