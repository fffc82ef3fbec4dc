// reference.hpp — an interpreter of docs/design/semantics.md that is slow, plain and obviously
// right: what a run ends as when nobody interferes. It shares no code with core but the model's
// types, so that the two are wrong together only where the document is.
//
// A task may be marked before all its upstreams have ended, so the order of ends matters: the
// interpreter is told in which turns attempts ended. Limits, priorities, delays, lost attempts and
// crashes have no part in the outcome.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "model/attempt.hpp"
#include "model/dag.hpp"
#include "model/run.hpp"

namespace sluice::sim {

/// What an attempt of a task ends as: a function of the task and the number of the try, never of
/// time. Kinds: success, skipped, failed.
using Script = std::function<Outcome(TaskNo task, MapIndex map_index, int try_number)>;

/// How an instance ended, after how many tries.
struct InstanceEnd {
    TaskState state{TaskState::none};
    int tries{0};
    friend bool operator==(const InstanceEnd&, const InstanceEnd&) = default;
};

struct RunEnd {
    RunState state{RunState::success};
    std::map<std::pair<TaskNo, MapIndex>, InstanceEnd> instances;
    friend bool operator==(const RunEnd&, const RunEnd&) = default;
};

class Reference {
public:
    /// A task and its map index. Of a mapping inside a mapped group the number says which of the
    /// list of which outer instance it is: `inside(outer, inner)`.
    using Key = std::pair<TaskNo, MapIndex>;
    static constexpr MapIndex most_inside = 1000;
    static MapIndex inside(MapIndex outer, std::int32_t inner) {
        return outer * most_inside + inner;
    }

    /// The run begins: its first tasks may start.
    Reference(const Dag& dag, Script script);

    /// These attempts ended in one turn: their tries count.
    void ended(const std::vector<Key>& attempts);
    /// What follows from all that the turn brought is marked.
    void settle();

    /// The list of an outer instance became known.
    void listed(MapNo map, MapIndex outer, std::int32_t length);

    /// An attempt of the instance started: from now on nothing marks it without its running.
    void started(const Key& key) { started_.insert(key); }

    /// Whether an attempt of the instance may start now.
    [[nodiscard]] bool may_start(const Key& key) const;
    /// How the run ends if nothing more happens.
    [[nodiscard]] RunEnd end() const;

private:
    enum class Word { wait, run, skipped, upstream_failed };

    [[nodiscard]] const Task& task(TaskNo no) const;
    [[nodiscard]] Word judge(const Key& key) const;
    void settle(const Key& key);
    void expand(TaskNo no);
    void expand_list(const Key& key);
    [[nodiscard]] MapNo outer_map(TaskNo no) const;
    [[nodiscard]] MapIndex outer_of(const Key& key) const;
    [[nodiscard]] bool has_list(const Key& key) const;
    [[nodiscard]] std::vector<Key> instances_of(TaskNo no) const;
    [[nodiscard]] bool decides(TaskNo no) const;
    [[nodiscard]] bool is_below(TaskNo no, TaskNo above) const;
    [[nodiscard]] bool concerns(const Key& other, const Key& key) const;
    [[nodiscard]] bool skipped_by_branch(const Key& key) const;
    [[nodiscard]] std::vector<TaskState> setups_further_up(const Key& key) const;

    const Dag& dag_;
    Script script_;
    std::vector<TaskNo> order_;  // every task after its upstreams
    std::map<Key, InstanceEnd> instances_;
    std::set<Key> started_;
    std::map<Key, Branch> ways_;                                // that branches took
    std::map<std::pair<MapNo, MapIndex>, std::int32_t> lists_;  // lengths of those that are known
};

}  // namespace sluice::sim
