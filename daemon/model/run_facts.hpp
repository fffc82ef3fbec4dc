// run_facts.hpp — what a task may ask about runs of other DAGs, and have done to them.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.hpp"
#include "base/instant.hpp"
#include "model/states.hpp"

namespace sluice {

/// Which run: by its id, or the latest one of a logical date.
struct RunQuestion {
    std::string dag_id;
    std::string run_id;
    std::optional<Instant> logical_date;
};

struct FoundRun {
    RunKey key;
    std::string run_id;
    RunState state{RunState::queued};
    std::string triggering_user;
    /// Of every task of the run's version, one for each instance.
    std::map<std::string, std::vector<TaskState>> tasks;
};

struct RunFacts {
    Seq seen;  // the transition log had come this far
    bool dag_known{false};
    std::optional<FoundRun> run;
};

/// A run that a task wants; `run_id` is chosen by the task, so that asking twice makes one run.
struct RunWish {
    std::string dag_id;
    std::string run_id;
    std::optional<Instant> logical_date;
    std::string conf{"{}"};
    bool reset{false};  // a run of this id or date is cleared and runs again
    std::string by;     // who asks: stands in the run as its triggering user
};

}  // namespace sluice
