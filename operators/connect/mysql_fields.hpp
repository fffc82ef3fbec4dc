// mysql_fields.hpp — what Connector/C says of columns and errors, in our words.
#pragma once

#include <vector>

#include "model/run.hpp"
#include "operators/connect/mysql.hpp"

struct st_mysql_res;

namespace sluice::connect {

std::vector<MysqlField> fields_of(st_mysql_res* result);

/// The code of what goes wrong with certificates.
inline constexpr unsigned mysql_tls_error = 2026;
ErrorClass class_of_mysql(unsigned code);

}  // namespace sluice::connect
