// external.hpp — operators that call something Sluice does not look into: a server, a statement.
// Inline: they wait for a socket.
#pragma once

#include "task/operator.hpp"

namespace sluice::ops {

task::Operator http_operator();
task::Operator sql_operator();
task::Operator email_operator();

}  // namespace sluice::ops
