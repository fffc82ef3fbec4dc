#include "store/audit_row.hpp"

namespace sluice::store {

constexpr Query audit_sql{"audit", R"(
    insert into audit_log (at, actor, source, request_id, event, dag_id, run_id, task_id, extra)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9))"};

void write_audit(Connection& connection, const AuditEntry& entry) {
    Params params;
    params.add(entry.at).add(entry.actor).add(entry.source).add(entry.request_id);
    params.add(entry.event).add(entry.dag_id).add(entry.run_id).add(entry.task_id);
    params.add(entry.extra.empty() ? std::string{"{}"} : entry.extra);
    connection.run(audit_sql, params);
}

}  // namespace sluice::store
