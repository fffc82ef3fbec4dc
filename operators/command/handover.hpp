// handover.hpp — data sets of the lake between Sluice and a command that it does not look into: the
// files of the task's `inlets` as paths, and what is written under $SLUICE_OUT as its `outlets`.
#pragma once

#include <memory>
#include <string>

#include <nlohmann/json_fwd.hpp>

#include "task/context.hpp"
#include "task/operator.hpp"

namespace sluice::ops {

/// At load: what a command reads and writes. A command may show in any column what it read: with
/// classified inlets its outlets need declared columns and the reason to trust them (E-ATTEST), and
/// what is declared must be allowed where it goes (E-PII).
task::CheckResult check_handover(const task::CheckInput& input);

/// One attempt's. Cheap where a task declares none.
class Handover {
public:
    /// Opens the inlets, and makes a folder for each outlet. Throws Failure.
    explicit Handover(task::TaskContext& context);
    ~Handover();
    Handover(const Handover&) = delete;
    Handover& operator=(const Handover&) = delete;

    /// Adds "inlets" and "outlets" to what the command is told.
    void describe(nlohmann::json& facts) const;
    /// $SLUICE_OUT; "" if the task has no outlet in the lake.
    [[nodiscard]] const std::string& folder() const;
    /// The command went well: what it wrote becomes the task's slice of each outlet. One under
    /// which nothing was written stays as it was. `code` is what made the rows. Throws Failure.
    void take(const std::string& code);

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace sluice::ops
