#include "tests/sim/reference.hpp"

#include <algorithm>
#include <vector>

#include "base/check.hpp"

namespace sluice::sim {
namespace {

bool has_ended(TaskState state) {
    return state == TaskState::success || state == TaskState::failed ||
           state == TaskState::skipped || state == TaskState::upstream_failed ||
           state == TaskState::removed;
}

/// The states of a task's direct upstreams, and questions about them in the words of the table.
class Upstreams {
public:
    void add(TaskState state, bool is_setup) {
        states_.push_back(state);
        if (is_setup) setups_.push_back(state);
    }
    [[nodiscard]] const std::vector<TaskState>& setups() const { return setups_; }
    [[nodiscard]] std::ptrdiff_t setups_as(TaskState state) const {
        return std::ranges::count(setups_, state);
    }
    [[nodiscard]] int count(std::initializer_list<TaskState> among) const {
        return static_cast<int>(std::ranges::count_if(states_, [&](TaskState state) {
            return std::ranges::find(among, state) != among.end();
        }));
    }
    [[nodiscard]] int n() const { return static_cast<int>(states_.size()); }
    [[nodiscard]] int s() const { return count({TaskState::success}); }
    [[nodiscard]] int k() const { return count({TaskState::skipped}); }
    [[nodiscard]] int f() const { return count({TaskState::failed}); }
    [[nodiscard]] int u() const { return count({TaskState::upstream_failed}); }
    [[nodiscard]] int r() const { return count({TaskState::removed}); }
    [[nodiscard]] bool all_ended() const { return std::ranges::all_of(states_, has_ended); }

private:
    std::vector<TaskState> states_;
    std::vector<TaskState> setups_;
};

/// Semantics 7, line by line.
template <class Word>
Word rule(TriggerRule rule, const Upstreams& up) {
    const auto [n, s, k, f, u] = std::tuple{up.n(), up.s(), up.k(), up.f(), up.u()};
    if (n == 0) return Word::run;
    switch (rule) {
        case TriggerRule::all_success:
            if (s == n) return Word::run;
            if (f + u > 0) return Word::upstream_failed;
            return k > 0 ? Word::skipped : Word::wait;
        case TriggerRule::all_failed:
            if (f + u == n) return Word::run;
            return s + k > 0 ? Word::skipped : Word::wait;
        case TriggerRule::all_done:
            return up.all_ended() ? Word::run : Word::wait;
        case TriggerRule::all_done_min_one_success:
            if (k > 0) return Word::skipped;
            if (!up.all_ended()) return Word::wait;
            return s > 0 ? Word::run : Word::upstream_failed;
        case TriggerRule::all_skipped:
            if (k == n) return Word::run;
            return s + f + u > 0 ? Word::skipped : Word::wait;
        case TriggerRule::one_failed:
            if (f + u > 0) return Word::run;
            return up.all_ended() ? Word::skipped : Word::wait;
        case TriggerRule::one_success:
            if (s > 0) return Word::run;
            if (!up.all_ended()) return Word::wait;
            return k == n ? Word::skipped : Word::upstream_failed;
        case TriggerRule::one_done:
            if (s + f > 0) return Word::run;
            return up.all_ended() ? Word::skipped : Word::wait;
        case TriggerRule::none_failed:
            if (f + u > 0) return Word::upstream_failed;
            return s + k == n ? Word::run : Word::wait;
        case TriggerRule::none_failed_min_one_success:
            if (f + u > 0) return Word::upstream_failed;
            if (k == n) return Word::skipped;
            return s + k == n ? Word::run : Word::wait;
        case TriggerRule::none_skipped:
            if (k > 0) return Word::skipped;
            return up.all_ended() ? Word::run : Word::wait;
        case TriggerRule::always:
            return Word::run;
        case TriggerRule::all_done_setup_success:
            if (!up.all_ended()) return Word::wait;
            if (up.setups().empty() || up.setups_as(TaskState::success) > 0) return Word::run;
            return up.setups_as(TaskState::skipped) == std::ssize(up.setups())
                       ? Word::skipped
                       : Word::upstream_failed;
    }
    unreachable();
}

bool worth_another_try(const Task& task, ErrorClass error_class) {
    for (const auto& rule : task.retry_policy)
        if (rule.error_class == name(error_class)) return rule.retry;
    return error_class == ErrorClass::none || error_class == ErrorClass::transient ||
           error_class == ErrorClass::rate_limited || error_class == ErrorClass::resource;
}

}  // namespace

Reference::Reference(const Dag& dag, Script script) : dag_(dag), script_(std::move(script)) {
    const auto count = static_cast<TaskNo>(dag.tasks.size());
    while (order_.size() < dag.tasks.size())
        for (TaskNo no = 0; no < count; ++no) {
            const auto placed = [&](TaskNo other) {
                return std::ranges::find(order_, other) != order_.end();
            };
            if (!placed(no) && std::ranges::all_of(task(no).upstream, placed)) order_.push_back(no);
        }
    for (TaskNo no = 0; no < count; ++no) instances_[{no, unmapped}];
    settle();
}

const Task& Reference::task(TaskNo no) const { return dag_.tasks[static_cast<std::size_t>(no)]; }

Reference::Word Reference::judge(const Key& key) const {
    if (skipped_by_branch(key)) return Word::skipped;
    Upstreams up;
    const auto& own = task(key.first);
    const bool any_index = own.trigger_rule == TriggerRule::one_success ||
                           own.trigger_rule == TriggerRule::one_failed ||
                           own.trigger_rule == TriggerRule::one_done;
    for (const TaskNo above : own.upstream) {
        // Semantics 14: in a mapped group an index depends on the same index, and what is mapped
        // inside it has to do with its outer index; those rules look at all where the others look
        // at one.
        const MapNo theirs = task(above).mapping;
        const bool is_one = theirs == own.mapping || theirs == outer_map(key.first);
        for (const Key& each : instances_of(above))
            if ((any_index && is_one) || concerns(each, key))
                up.add(instances_.at(each).state, task(above).is_setup);
    }
    const Word word = rule<Word>(own.trigger_rule, up);
    const auto setups = setups_further_up(key);
    const auto any = [&](TaskState state) {
        return std::ranges::find(setups, state) != setups.end();
    };
    if (any(TaskState::failed) || any(TaskState::upstream_failed)) return Word::upstream_failed;
    if (any(TaskState::skipped)) return Word::skipped;
    const bool ready = std::ranges::count(setups, TaskState::success) == std::ssize(setups);
    return word == Word::run && !ready ? Word::wait : word;
}

std::vector<Reference::Key> Reference::instances_of(TaskNo no) const {
    std::vector<Key> keys;
    for (const auto& [key, instance] : instances_)
        if (key.first == no) keys.push_back(key);
    return keys;
}

/// The mapping around the task's; no_map if there is none.
MapNo Reference::outer_map(TaskNo no) const {
    const MapNo map = task(no).mapping;
    return map == no_map ? no_map : dag_.mappings.at(static_cast<std::size_t>(map)).outer;
}

MapIndex Reference::outer_of(const Key& key) const {
    return outer_map(key.first) == no_map ? key.second : key.second / most_inside;
}

/// Semantics 14: the first task of a mapping that may run decides how many there are of each; of
/// what is mapped inside it each index gets one place.
void Reference::expand(TaskNo no) {
    const MapNo outer = outer_map(no) == no_map ? task(no).mapping : outer_map(no);
    const auto length = *dag_.mappings.at(static_cast<std::size_t>(outer)).length;
    if (length == 0) {
        instances_.at({no, unmapped}).state = TaskState::skipped;
        return;
    }
    for (TaskNo each = 0; each < static_cast<TaskNo>(dag_.tasks.size()); ++each) {
        const bool nested = outer_map(each) == outer;
        if (task(each).mapping != outer && !nested) continue;
        const auto one = instances_.find({each, unmapped});
        if (one == instances_.end() || has_ended(one->second.state)) continue;
        instances_.erase(one);
        for (MapIndex i = 0; i < length; ++i) instances_[{each, nested ? inside(i, 0) : i}];
    }
}

bool Reference::has_list(const Key& key) const {
    return key.second == unmapped || outer_map(key.first) == no_map ||
           lists_.contains({task(key.first).mapping, outer_of(key)});
}

/// Semantics 14: the first task of a mapping inside a mapped group that may run for an outer index
/// decides how long that one's list is. A list that is not written in the DAG is told later.
void Reference::expand_list(const Key& key) {
    const auto& mapping = dag_.mappings.at(static_cast<std::size_t>(task(key.first).mapping));
    if (mapping.length) listed(task(key.first).mapping, outer_of(key), *mapping.length);
}

void Reference::listed(MapNo map, MapIndex outer, std::int32_t length) {
    lists_[{map, outer}] = length;
    for (const TaskNo each : dag_.mappings.at(static_cast<std::size_t>(map)).tasks)
        for (std::int32_t i = 1; i < length; ++i)
            if (instances_.contains({each, inside(outer, 0)})) instances_[{each, inside(outer, i)}];
}

bool Reference::is_below(TaskNo no, TaskNo above) const {
    return std::ranges::any_of(task(no).upstream, [&](TaskNo up) {
        return up == above || is_below(up, above);
    });
}

/// Semantics 14: within a mapped group an index has to do with its own index alone.
bool Reference::concerns(const Key& other, const Key& key) const {
    const MapNo ours = task(key.first).mapping;
    const MapNo theirs = task(other.first).mapping;
    if (ours == no_map || theirs == no_map || key.second == unmapped || other.second == unmapped)
        return true;
    if (ours == theirs) return key.second == other.second;
    const MapNo group = outer_map(key.first) == no_map ? ours : outer_map(key.first);
    const MapNo their_group = outer_map(other.first) == no_map ? theirs : outer_map(other.first);
    return group != their_group || outer_of(key) == outer_of(other);
}

/// Semantics 15; a branch in a mapped group speaks for its own index inside the group.
bool Reference::skipped_by_branch(const Key& key) const {
    const TaskNo no = key.first;
    if (task(no).is_teardown) return false;
    return std::ranges::any_of(ways_, [&](const auto& entry) {
        const auto& [branch, way] = entry;
        const bool alone = branch.second != unmapped;
        const MapNo theirs = task(branch.first).mapping;
        const bool inside_it = theirs == task(no).mapping || theirs == outer_map(no);
        if (alone && (!inside_it || key.second == unmapped || !concerns(branch, key))) return false;
        if (way.skip_all_below) return is_below(no, branch.first);
        const auto& up = task(no).upstream;
        if (std::ranges::find(up, branch.first) == up.end()) return false;
        return std::ranges::none_of(way.chosen, [&](const std::string& id) {
            const TaskNo chosen = find_task(dag_, id);
            return chosen == no || is_below(no, chosen);
        });
    });
}

/// Semantics 7: the states of the setups that are no direct upstreams, and that have no teardown or
/// one below the task.
std::vector<TaskState> Reference::setups_further_up(const Key& key) const {
    std::vector<TaskState> states;
    const TaskNo no = key.first;
    if (task(no).is_teardown) return states;
    for (const TaskNo setup : order_) {
        const auto& up = task(no).upstream;
        const bool direct = std::ranges::find(up, setup) != up.end();
        if (!task(setup).is_setup || direct || !is_below(no, setup)) continue;
        bool none = true;
        bool below = false;
        for (const TaskNo down : order_) {
            const auto& theirs = task(down).upstream;
            if (!task(down).is_teardown) continue;
            if (std::ranges::find(theirs, setup) == theirs.end()) continue;
            none = false;
            below = below || is_below(down, no);
        }
        if (!none && !below) continue;
        for (const Key& each : instances_of(setup))
            if (concerns(each, key)) states.push_back(instances_.at(each).state);
    }
    return states;
}

/// Semantics 7: marked as soon as its rule says so; upstreams first, so that what became of them in
/// the same turn is seen together.
void Reference::settle() {
    // New instances may be of a task that stands before the one that made them.
    const auto before = [&] { return std::pair(instances_.size(), lists_.size()); };
    for (std::size_t i = 0; i < order_.size();) {
        const TaskNo no = order_[i];
        const auto known = before();
        const Key one{no, unmapped};
        const bool may_expand = task(no).mapping != no_map && instances_.contains(one) &&
                                !has_ended(instances_.at(one).state);
        if (may_expand && judge(one) == Word::run) expand(no);
        for (const Key& key : instances_of(no))
            if (!has_list(key) && !has_ended(instances_.at(key).state) && judge(key) == Word::run)
                expand_list(key);
        for (const Key& key : instances_of(no)) settle(key);
        i = before() == known ? i + 1 : 0;
    }
}

void Reference::settle(const Key& key) {
    auto& instance = instances_.at(key);
    if (has_ended(instance.state) || started_.contains(key)) return;
    const Word word = judge(key);
    const auto list = lists_.find({task(key.first).mapping, outer_of(key)});
    const bool empty = outer_map(key.first) != no_map && key.second != unmapped &&
                       list != lists_.end() && list->second == 0;
    if (word == Word::skipped || (word == Word::run && empty)) instance.state = TaskState::skipped;
    if (word == Word::upstream_failed) instance.state = TaskState::upstream_failed;
}

/// Semantics 9: a try that failed is repeated while there are retries and its class is worth it.
void Reference::ended(const std::vector<Key>& attempts) {
    for (const Key& key : attempts) {
        auto& instance = instances_.at(key);
        const Outcome outcome = script_(key.first, key.second, ++instance.tries);
        if (outcome.kind == OutcomeKind::success) instance.state = TaskState::success;
        if (outcome.kind == OutcomeKind::success && outcome.branch) ways_[key] = *outcome.branch;
        if (outcome.kind == OutcomeKind::skipped) instance.state = TaskState::skipped;
        if (outcome.kind != OutcomeKind::failed) continue;
        const bool more = instance.tries <= task(key.first).retries;
        if (!more || !worth_another_try(task(key.first), outcome.error_class))
            instance.state = TaskState::failed;
    }
}

bool Reference::may_start(const Key& key) const {
    const auto& instance = instances_.at(key);
    return !has_ended(instance.state) && has_list(key) &&
           (started_.contains(key) || judge(key) == Word::run);
}

/// Semantics 5: what the deciding tasks ended as; failed when something can never move.
RunEnd Reference::end() const {
    RunEnd end{RunState::success, instances_};
    for (const auto& [key, instance] : instances_) {
        const bool bad =
            instance.state == TaskState::failed || instance.state == TaskState::upstream_failed;
        if (!has_ended(instance.state) || (bad && decides(key.first))) end.state = RunState::failed;
    }
    return end;
}

/// Semantics 5: the leaves; a teardown counts as nothing unless its failure is to fail the run.
bool Reference::decides(TaskNo no) const {
    const auto counts = [](const Task& one) {
        return !one.is_teardown || one.on_failure_fail_dagrun;
    };
    const auto is_leaf = [&](TaskNo of, bool all) {
        return std::ranges::none_of(dag_.tasks, [&](const Task& other) {
            const auto& up = other.upstream;
            return (all || counts(other)) && std::ranges::find(up, of) != up.end();
        });
    };
    const bool any = std::ranges::any_of(order_, [&](TaskNo other) {
        return counts(task(other)) && is_leaf(other, false);
    });
    return any ? counts(task(no)) && is_leaf(no, false) : is_leaf(no, true);
}

}  // namespace sluice::sim
