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
    void add(TaskState state) { states_.push_back(state); }
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
            return up.all_ended() ? Word::run : Word::wait;
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
    Upstreams up;
    const auto& own = task(key.first);
    const bool any_index = own.trigger_rule == TriggerRule::one_success ||
                           own.trigger_rule == TriggerRule::one_failed ||
                           own.trigger_rule == TriggerRule::one_done;
    for (const TaskNo above : own.upstream) {
        // Semantics 14: in a mapped group an index depends on the same index.
        const Key same{above, key.second};
        const bool by_index = own.mapping != no_map && own.mapping == task(above).mapping &&
                              !any_index && instances_.contains(same);
        for (const Key& each : by_index ? std::vector{same} : instances_of(above))
            up.add(instances_.at(each).state);
    }
    return rule<Word>(own.trigger_rule, up);
}

std::vector<Reference::Key> Reference::instances_of(TaskNo no) const {
    std::vector<Key> keys;
    for (const auto& [key, instance] : instances_)
        if (key.first == no) keys.push_back(key);
    return keys;
}

/// Semantics 14: the first task of a mapping that may run decides how many there are of each.
void Reference::expand(TaskNo no) {
    const auto& mapping = dag_.mappings.at(static_cast<std::size_t>(task(no).mapping));
    if (*mapping.length == 0) {
        instances_.at({no, unmapped}).state = TaskState::skipped;
        return;
    }
    for (const TaskNo each : mapping.tasks) {
        const auto one = instances_.find({each, unmapped});
        if (one == instances_.end() || has_ended(one->second.state)) continue;
        instances_.erase(one);
        for (MapIndex i = 0; i < *mapping.length; ++i) instances_[{each, i}];
    }
}

/// Semantics 7: marked as soon as its rule says so; upstreams first, so that what became of them in
/// the same turn is seen together.
void Reference::settle() {
    for (const TaskNo no : order_) {
        const Key one{no, unmapped};
        const bool may_expand = task(no).mapping != no_map && instances_.contains(one) &&
                                !has_ended(instances_.at(one).state);
        if (may_expand && judge(one) == Word::run) expand(no);
        for (const Key& key : instances_of(no)) settle(key);
    }
}

void Reference::settle(const Key& key) {
    auto& instance = instances_.at(key);
    if (has_ended(instance.state) || instance.tries > 0) return;
    const Word word = judge(key);
    if (word == Word::skipped) instance.state = TaskState::skipped;
    if (word == Word::upstream_failed) instance.state = TaskState::upstream_failed;
}

/// Semantics 9: a try that failed is repeated while there are retries and its class is worth it.
void Reference::ended(const std::vector<Key>& attempts) {
    for (const Key& key : attempts) {
        auto& instance = instances_.at(key);
        const Outcome outcome = script_(key.first, key.second, ++instance.tries);
        if (outcome.kind == OutcomeKind::success) instance.state = TaskState::success;
        if (outcome.kind == OutcomeKind::skipped) instance.state = TaskState::skipped;
        if (outcome.kind != OutcomeKind::failed) continue;
        const bool more = instance.tries <= task(key.first).retries;
        if (!more || !worth_another_try(task(key.first), outcome.error_class))
            instance.state = TaskState::failed;
    }
    settle();
}

bool Reference::may_start(const Key& key) const {
    const auto& instance = instances_.at(key);
    return !has_ended(instance.state) && (instance.tries > 0 || judge(key) == Word::run);
}

/// Semantics 5: what the leaves ended as; failed when something can never move.
RunEnd Reference::end() const {
    RunEnd end{RunState::success, instances_};
    for (const auto& [key, instance] : instances_) {
        const bool bad =
            instance.state == TaskState::failed || instance.state == TaskState::upstream_failed;
        if (!has_ended(instance.state) || (bad && is_leaf(key.first))) end.state = RunState::failed;
    }
    return end;
}

bool Reference::is_leaf(TaskNo no) const {
    return std::ranges::none_of(dag_.tasks, [&](const Task& other) {
        return std::ranges::find(other.upstream, no) != other.upstream.end();
    });
}

}  // namespace sluice::sim
