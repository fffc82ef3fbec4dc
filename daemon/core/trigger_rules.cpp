#include "core/trigger_rules.hpp"

#include "base/check.hpp"

namespace sluice::core {
namespace {

constexpr Verdict wait{Verdict::Kind::wait, TaskState::none};
constexpr Verdict run{Verdict::Kind::run, TaskState::none};
constexpr Verdict skip{Verdict::Kind::mark, TaskState::skipped};
constexpr Verdict upstream_failed{Verdict::Kind::mark, TaskState::upstream_failed};
constexpr Verdict removed{Verdict::Kind::mark, TaskState::removed};

}  // namespace

void UpstreamCounts::add(TaskState state, std::int32_t by) {
    switch (state) {
        case TaskState::success:
            success += by;
            return;
        case TaskState::skipped:
            skipped += by;
            return;
        case TaskState::failed:
            failed += by;
            return;
        case TaskState::upstream_failed:
            upstream_failed += by;
            return;
        case TaskState::removed:
            removed += by;
            return;
        case TaskState::none:
        case TaskState::scheduled:
        case TaskState::queued:
        case TaskState::running:
        case TaskState::up_for_retry:
        case TaskState::up_for_reschedule:
        case TaskState::deferred:
        case TaskState::restarting:
        case TaskState::awaiting_input:
            return;
    }
}

void UpstreamCounts::add_setup(TaskState state, std::int32_t by) {
    if (state == TaskState::success) setups_success += by;
    if (state == TaskState::skipped) setups_skipped += by;
}

void UpstreamCounts::add(const UpstreamCounts& other) {
    total += other.total;
    success += other.success;
    skipped += other.skipped;
    failed += other.failed;
    upstream_failed += other.upstream_failed;
    removed += other.removed;
    setups += other.setups;
    setups_success += other.setups_success;
    setups_skipped += other.setups_skipped;
}

void UpstreamCounts::move(TaskState from, TaskState to, std::int32_t by, bool nested) {
    if (nested && from == TaskState::removed)
        total += by;
    else
        add(from, -by);
    if (nested && to == TaskState::removed)
        total -= by;
    else
        add(to, by);
}

std::uint32_t UpstreamCounts::signature() const {
    std::uint32_t bits = done() >= total ? 1 : 0;
    for (const auto count :
         {success, skipped, failed, upstream_failed, removed, setups_success, setups_skipped})
        bits = bits << 1U | (count > 0 ? 1U : 0U);
    return bits << 1U | (setups_skipped >= setups ? 1U : 0U);
}

// A task is marked as soon as the outcome is certain, without waiting for the other upstreams.
Verdict judge(TriggerRule rule, const UpstreamCounts& up, MapIndex map_index) {
    if (up.total == 0) return run;
    const bool mapped = map_index != unmapped;
    // Upstreams that a shorter mapping took away do not hold the instances that are left.
    const auto needed = up.total - (mapped ? up.removed : 0);
    const bool any_failed = up.failed + up.upstream_failed > 0;
    const bool all_done = up.done() >= up.total;
    switch (rule) {
        case TriggerRule::all_success:
            if (any_failed) return upstream_failed;
            if (up.skipped > 0) return skip;
            if (mapped && up.removed > 0 && up.success > 0 && map_index >= up.success)
                return removed;
            return up.success >= needed ? run : wait;
        case TriggerRule::all_failed:
            if (up.success + up.skipped > 0) return skip;
            return up.failed + up.upstream_failed >= needed ? run : wait;
        case TriggerRule::all_done:
            return all_done ? run : wait;
        case TriggerRule::all_done_min_one_success:
            if (up.skipped > 0) return skip;
            if (!all_done) return wait;
            return up.success > 0 ? run : upstream_failed;
        case TriggerRule::all_skipped:
            if (up.success > 0 || any_failed) return skip;
            return up.skipped >= up.total ? run : wait;
        case TriggerRule::one_failed:
            if (any_failed) return run;
            return all_done ? skip : wait;
        case TriggerRule::one_success:
            if (up.success > 0) return run;
            if (!all_done) return wait;
            return up.skipped >= up.total ? skip : upstream_failed;
        case TriggerRule::one_done:
            if (up.success + up.failed > 0) return run;
            return all_done ? skip : wait;
        case TriggerRule::none_failed:
            if (any_failed) return upstream_failed;
            return up.success + up.skipped >= needed ? run : wait;
        case TriggerRule::none_failed_min_one_success:
            if (any_failed) return upstream_failed;
            if (up.skipped >= up.total) return skip;
            return up.success + up.skipped >= needed ? run : wait;
        case TriggerRule::none_skipped:
            if (up.skipped > 0) return skip;
            return all_done ? run : wait;
        case TriggerRule::always:
            return run;
        case TriggerRule::all_done_setup_success:
            if (!all_done) return wait;
            if (up.setups == 0 || up.setups_success > 0) return run;
            return up.setups_skipped >= up.setups ? skip : upstream_failed;
    }
    unreachable();
}

}  // namespace sluice::core
