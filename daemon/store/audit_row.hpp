// audit_row.hpp — an audit row beside the change it tells of. Included by .cpp files of this folder
// only.
#pragma once

#include "model/turn.hpp"
#include "store/pq.hpp"

namespace sluice::store {

void write_audit(Connection& connection, const AuditEntry& entry);

}  // namespace sluice::store
