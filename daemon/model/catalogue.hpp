// catalogue.hpp — operators as data: what spec needs to read a DAG file and core to place a task.
// Filled by wiring from operators/operators.cpp; spec and core never see an operator's code.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/dag.hpp"

namespace sluice {

struct OperatorInfo {
    std::string name;
    std::string summary;  // one line
    std::string
        schema;  // JSON Schema of `with`; annotations x-template, x-secret, x-dataset, x-file
    Isolation isolation{Isolation::inline_};
    bool idempotent{false};
    bool data{false};        // reads or writes data sets
    bool hands_over{false};  // its task's inlets and outlets in the lake are files to it
    /// Set = known to the language, not yet to this version: a load error E-NOT-YET names it.
    bool not_yet{false};
};

class Catalogue {
public:
    explicit Catalogue(std::vector<OperatorInfo> operators);
    [[nodiscard]] const OperatorInfo* find(std::string_view name) const;
    [[nodiscard]] const std::vector<OperatorInfo>& all() const { return operators_; }

private:
    std::vector<OperatorInfo> operators_;  // sorted by name
};

}  // namespace sluice
