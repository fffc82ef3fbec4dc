#include "tests/sim/dag_maker.hpp"

#include <algorithm>
#include <chrono>

#include "base/check.hpp"
#include "tests/sim/callbacks.hpp"

namespace sluice::sim {
namespace {

using namespace std::chrono_literals;

const std::vector<TriggerRule> rules{
    TriggerRule::all_success,
    TriggerRule::all_failed,
    TriggerRule::all_done,
    TriggerRule::all_done_min_one_success,
    TriggerRule::all_skipped,
    TriggerRule::one_failed,
    TriggerRule::one_success,
    TriggerRule::one_done,
    TriggerRule::none_failed,
    TriggerRule::none_failed_min_one_success,
    TriggerRule::none_skipped,
    TriggerRule::always,
};

Task make_task(Random& random, int number) {
    Task task;
    task.id = "t" + std::to_string(number);
    for (int other = 0; other < number; ++other)
        if (random.chance(30)) task.upstream.push_back(other);
    if (random.chance(40)) task.trigger_rule = random.pick(rules);
    task.retries = random.between(0, 3);
    task.retry_delay = std::chrono::seconds{random.between(0, 90)};
    if (random.chance(30)) task.retry_multiplier = 2;
    if (random.chance(20)) task.max_retry_delay = 120s;
    if (random.chance(20)) task.execution_timeout = std::chrono::seconds{random.between(1, 120)};
    task.pool = random.pick(std::vector<std::string>{"default_pool", "default_pool", "p1", "p2"});
    task.pool_slots = random.between(1, 2);
    task.priority_weight = random.between(1, 5);
    task.weight_rule = random.pick(std::vector<WeightRule>{
        WeightRule::downstream, WeightRule::absolute, WeightRule::critical_path
    });
    if (random.chance(15)) task.retry_policy = {{"permanent", true, 5s}, {"transient", false, {}}};
    if (random.chance(15)) task.max_active_tis_per_dag = random.between(1, 2);
    if (random.chance(15)) task.max_active_tis_per_dagrun = 1;
    if (random.chance(30)) task.isolation = Isolation::process;
    task.resources.threads = random.between(1, 3);
    task.resources.memory_bytes = std::int64_t{random.between(1, 900)} << 20;
    if (random.chance(20)) task.on_lost = OnLost::fail;
    return task;
}

/// A setup, the tasks right below it, and a teardown that may be far below.
void make_setup(Random& random, Dag& dag) {
    const int count = static_cast<int>(dag.tasks.size());
    if (count < 3) return;
    const TaskNo setup = random.between(0, count - 3);
    const TaskNo teardown = random.between(setup + 1, count - 1);
    dag.tasks[static_cast<std::size_t>(setup)].is_setup = true;
    auto& down = dag.tasks[static_cast<std::size_t>(teardown)];
    down.is_teardown = true;
    down.on_failure_fail_dagrun = random.chance(30);
    down.trigger_rule = TriggerRule::all_done_setup_success;
    const bool paired = random.chance(80);
    if (paired && std::ranges::find(down.upstream, setup) == down.upstream.end()) {
        down.upstream.push_back(setup);
        std::ranges::sort(down.upstream);
    }
    for (auto& task : dag.tasks)
        if (!task.is_teardown && std::ranges::find(task.upstream, setup) != task.upstream.end())
            task.trigger_rule = TriggerRule::all_success;
}

void make_past(Random& random, Dag& dag) {
    for (auto& task : dag.tasks) {
        if (random.chance(60)) continue;
        if (random.chance(25)) {
            task.depends_on_previous_tasks = {
                random.between(0, static_cast<int>(dag.tasks.size()) - 1)
            };
        } else {
            task.depends_on_past = true;
            task.wait_for_downstream = random.chance(30);
        }
        task.ignore_first_depends_on_past = random.chance(80);
        task.wait_for_past_depends_before_skipping = random.chance(40);
    }
}

void make_schedule(Random& random, Dag& dag, Instant now) {
    const auto minute = std::chrono::floor<std::chrono::minutes>(now);
    dag.start_date = minute - std::chrono::minutes{random.between(-20, 180)};
    auto& schedule = dag.schedule;
    switch (random.between(0, 9)) {
        case 0:
        case 1:
        case 2:
            schedule.kind = ScheduleKind::none;
            break;
        case 3:
            schedule.kind = ScheduleKind::cron_interval;
            schedule.crons = {"*/20 * * * *"};
            if (random.chance(30)) schedule.delay = 3min;
            break;
        case 4:
            schedule.kind = ScheduleKind::cron_trigger;
            schedule.crons = {"*/30 * * * *", "5 * * * *"};
            schedule.previous_tick = random.chance(50);
            break;
        case 5:
            schedule.kind = ScheduleKind::delta_interval;
            schedule.delta = 25min;
            break;
        case 6:
            schedule.kind = ScheduleKind::delta_trigger;
            schedule.delta = 40min;
            break;
        case 7:
            schedule.kind = ScheduleKind::once;
            break;
        case 8:
            schedule.kind = ScheduleKind::events;
            for (int i = 0; i < 10; ++i)
                schedule.events.push_back(minute + std::chrono::minutes{random.between(-60, 600)});
            std::ranges::sort(schedule.events);
            schedule.restrict_to_events = random.chance(50);
            break;
        default:
            schedule.kind = ScheduleKind::continuous;
            break;
    }
    if (random.chance(30)) dag.timezone = "Europe/Amsterdam";
    if (random.chance(20)) schedule.jitter = std::chrono::minutes{random.between(1, 40)};
    if (random.chance(20)) {
        auto& calendar = schedule.calendar;
        const auto day = std::chrono::floor<std::chrono::days>(now);
        const Calendar::Day first{day.time_since_epoch() + std::chrono::days{random.between(0, 3)}};
        calendar.closed = {{first, first + std::chrono::days{random.between(0, 1)}}};
        calendar.weekends = random.chance(30);
        if (random.chance(50)) calendar.rule = ClosedRule::next_business_day;
    }
    if (random.chance(20)) dag.end_date = now + std::chrono::hours{random.between(1, 30)};
}

AssetCondition make_condition(Random& random, int depth) {
    AssetCondition condition;
    condition.any = random.chance(50);
    const int parts = random.between(1, 3);
    for (int i = 0; i < parts; ++i) {
        if (depth > 0 && random.chance(30))
            condition.nested.push_back(make_condition(random, depth - 1));
        else
            condition.names.push_back("raw.a" + std::to_string(random.between(0, 3)));
    }
    return condition;
}

/// Tasks that update assets, and DAGs that wait for them, also beside a cron schedule.
void make_assets(Random& random, Dag& dag) {
    for (auto& task : dag.tasks)
        if (random.chance(12)) task.outlets = {"raw.a" + std::to_string(random.between(0, 3))};
    const bool either =
        dag.schedule.kind == ScheduleKind::none || dag.schedule.kind == ScheduleKind::cron_trigger;
    if (!either || !random.chance(50)) return;
    dag.schedule.assets = make_condition(random, 2);
    dag.schedule.asset_batch = random.chance(60);
}

/// Tasks that are mapped, alone or as a group; the number of instances known or asked for.
void make_mappings(Random& random, Dag& dag) {
    for (std::size_t i = 0; i < dag.tasks.size(); ++i) {
        if (!random.chance(20)) continue;
        Mapping mapping;
        mapping.owner = dag.tasks[i].id;
        mapping.expand = "{}";
        if (random.chance(50)) mapping.length = random.between(0, 5);
        const auto last = random.chance(40) ? std::min(i + 2, dag.tasks.size() - 1) : i;
        for (; i <= last; ++i) {
            auto& task = dag.tasks[i];
            task.mapping = static_cast<MapNo>(dag.mappings.size());
            // Forbidden: nobody could say when the number is known.
            if (!mapping.length && task.trigger_rule == TriggerRule::always)
                task.trigger_rule = TriggerRule::all_done;
            mapping.tasks.push_back(static_cast<TaskNo>(i));
        }
        dag.mappings.push_back(std::move(mapping));
    }
}

/// Tasks of mapped groups that are mapped again, alone or as a group.
void make_nested(Random& random, Dag& dag) {
    const auto groups = dag.mappings.size();
    for (std::size_t group = 0; group < groups; ++group) {
        if (!random.chance(50)) continue;
        auto& outer = dag.mappings[group].tasks;
        const int last = static_cast<int>(outer.size()) - 1;
        const int from = random.between(0, last);
        const int to = random.between(from, last);
        Mapping mapping;
        mapping.owner =
            dag.tasks[static_cast<std::size_t>(outer[static_cast<std::size_t>(from)])].id +
            "_inside";
        mapping.expand = "{}";
        mapping.outer = static_cast<MapNo>(group);
        if (random.chance(40)) mapping.length = random.between(0, 3);
        mapping.tasks.assign(outer.begin() + from, outer.begin() + to + 1);
        outer.erase(outer.begin() + from, outer.begin() + to + 1);
        for (const TaskNo no : mapping.tasks) {
            auto& task = dag.tasks[static_cast<std::size_t>(no)];
            task.mapping = static_cast<MapNo>(dag.mappings.size());
            const bool known = mapping.length && dag.mappings[group].length;
            if (!known && task.trigger_rule == TriggerRule::always)
                task.trigger_rule = TriggerRule::all_done;
        }
        dag.mappings.push_back(std::move(mapping));
    }
}

}  // namespace

std::optional<Branch> make_way(Random& random, const Dag& dag, TaskNo no) {
    const Task& task = dag.tasks[static_cast<std::size_t>(no)];
    Branch way;
    if (task.operator_name == "short_circuit") {
        way.skip_all_below = random.chance(70);
        return random.chance(50) ? std::optional{way} : std::nullopt;
    }
    if (task.operator_name != "branch") return std::nullopt;
    for (const TaskNo down : task.downstream)
        if (random.chance(50)) way.chosen.push_back(dag.tasks[static_cast<std::size_t>(down)].id);
    return way;
}

Dag make_dag(Random& random, const std::string& dag_id, Instant now) {
    Dag dag;
    dag.dag_id = dag_id;
    const auto number = random.next();
    dag.hash = dag_id + "#" + std::to_string(number);
    make_schedule(random, dag, now);
    dag.catchup = random.chance(40);
    if (random.chance(40))
        dag.on_unpause =
            random.pick(std::vector<OnUnpause>{OnUnpause::latest, OnUnpause::none, OnUnpause::all});
    dag.is_paused_upon_creation = random.chance(30);
    dag.max_active_runs = random.between(1, 4);
    dag.max_active_tasks_per_run = random.between(1, 6);
    if (random.chance(30)) dag.max_active_tasks_per_dag = random.between(1, 5);
    if (random.chance(20)) dag.dagrun_timeout = std::chrono::seconds{random.between(30, 1200)};
    const int count = random.between(1, 12);
    for (int i = 0; i < count; ++i) dag.tasks.push_back(make_task(random, i));
    make_mappings(random, dag);
    Random nested(number + 1);
    make_nested(nested, dag);
    Random own(number);
    add_callbacks(own, dag, now);
    for (auto& task : dag.tasks)
        if (own.chance(10)) task.weight_rule = WeightRule::upstream;
    for (auto& task : dag.tasks) {
        if (random.chance(10)) task.operator_name = "branch";
        if (random.chance(5)) task.operator_name = "short_circuit";
    }
    if (random.chance(25)) make_setup(random, dag);
    if (random.chance(25)) make_past(random, dag);
    dag.fail_fast = random.chance(10);
    if (random.chance(15)) dag.max_consecutive_failed_dag_runs = random.between(1, 3);
    make_assets(random, dag);
    const auto cycle = link_tasks(dag);
    SLUICE_CHECK(cycle.empty());
    return dag;
}

}  // namespace sluice::sim
