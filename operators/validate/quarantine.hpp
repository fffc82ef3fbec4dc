// quarantine.hpp — the data set of the rows that a validate task sets aside: rows as they came, and
// `_reasons`. A row that a later run of the interval lets in leaves it, and leaves a trace in the
// data set <quarantine>_released: with its reasons, and with `_released_by`, the run that let it
// in.
#pragma once

#include <cstdint>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "model/dag.hpp"
#include "operators/binding/inputs.hpp"
#include "operators/engine/database.hpp"
#include "task/context.hpp"

namespace sluice::validate {

/// As written, or <from>_quarantine.
std::string quarantine_name(const nlohmann::json& params, const std::string& from);
/// Its columns.
DatasetSpec quarantine_of(const std::string& name, const DatasetSpec& from);

/// Where the traces are: no data set that anybody declares.
std::string released_name(const std::string& quarantine);

struct Traced {
    std::string query;         // SQL: all traces of the slice; "" = there is nothing new
    std::int64_t released{0};  // rows of the quarantine before that are let in by this run
};

/// `held` is SQL of the rows held now (columns of `input`, `_reasons`); `_checked` and `_aside` are
/// as check_rows leaves them. Reads what this slice of the quarantine holds so far.
Traced traces_of(
    task::TaskContext& context,
    engine::Database& database,
    const std::string& quarantine,
    const binding::Relation& input,
    const std::string& held
);

}  // namespace sluice::validate
