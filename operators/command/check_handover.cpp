// check_handover.cpp — what may go through a command that nobody looks into.
#include <algorithm>

#include <nlohmann/json.hpp>

#include "operators/binding/columns.hpp"
#include "operators/command/handover.hpp"
#include "operators/lineage/sink.hpp"
#include "task/problem.hpp"

namespace sluice::ops {

namespace {

/// "raw.customers.email (email)", and how many more.
std::string classified_in(const task::CheckInput& input) {
    std::string out;
    std::size_t count = 0;
    for (const std::string& inlet : input.task.inlets) {
        const DatasetSpec* dataset = input.dataset(inlet);
        if (dataset == nullptr) continue;
        for (const ColumnSpec& column : dataset->columns) {
            if (column.pii_class.empty()) continue;
            if (++count <= 3)
                out += (out.empty() ? "" : ", ") + inlet + "." + column.name + " (" +
                       column.pii_class + ")";
        }
    }
    if (count > 3) out += " and " + std::to_string(count - 3) + " more";
    return out;
}

/// A column of an inlet's column's name is taken to come from it; of others nobody knows.
void set_origins(const task::CheckInput& input, DatasetSpec& written) {
    for (ColumnSpec& column : written.columns) {
        column.origins.clear();
        for (const std::string& inlet : input.task.inlets) {
            const DatasetSpec* dataset = input.dataset(inlet);
            if (dataset == nullptr) continue;
            const auto columns = binding::with_origins(*dataset);
            if (const ColumnSpec* same = binding::find(columns, column.name))
                column.origins.insert(
                    column.origins.end(), same->origins.begin(), same->origins.end()
                );
        }
        std::ranges::sort(column.origins);
    }
}

}  // namespace

task::CheckResult check_handover(const task::CheckInput& input) {
    task::CheckResult result;
    result.reads = input.task.inlets;
    const std::string classified = classified_in(input);
    for (const std::string& outlet : input.task.outlets) {
        const DatasetSpec* known = input.dataset(outlet);
        const bool declared = known != nullptr && known->declared && !known->columns.empty();
        DatasetSpec written;
        if (known != nullptr) written = *known;
        written.name = outlet;
        set_origins(input, written);
        if (!classified.empty() && (input.task.attest.empty() || !declared))
            task::problem(
                result,
                "E-ATTEST",
                "",
                "the command reads " + classified + " and writes " + outlet +
                    ": nobody can see what of it ends up there",
                "declare the columns of " + outlet +
                    " with their classes, and write `attest` with the reason to trust them"
            );
        lineage::check_sink(input, outlet, written.columns, result);
        if (!declared) written.columns.clear();
        result.writes.push_back(std::move(written));
    }
    return result;
}

}  // namespace sluice::ops
