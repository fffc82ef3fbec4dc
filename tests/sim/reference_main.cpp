// sluice-reference: random runs, once by the reference interpreter and once by the real scheduler
// core with crashes and lost attempts; they must end alike. See README.md.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "core/scheduler.hpp"
#include "store/map_items.hpp"
#include "store/memory_journal.hpp"
#include "tests/sim/broken.hpp"
#include "tests/sim/dag_maker.hpp"
#include "tests/sim/random.hpp"
#include "tests/sim/reference.hpp"

namespace {

using namespace sluice;
using sim::InstanceEnd;
using sim::must;
using sim::Random;
using sim::RunEnd;

/// How often each thing was met; what must not be zero at the end is put in beforehand.
using Features = std::map<std::string, std::int64_t>;

Outcome outcome_of(
    const Dag& dag, std::uint64_t seed, TaskNo task, MapIndex map_index, int try_number
) {
    Random random{
        seed + (static_cast<std::uint64_t>(task) << 40) +
        (static_cast<std::uint64_t>(map_index + 1) << 8) + static_cast<std::uint64_t>(try_number)
    };
    random.next();
    Outcome outcome;
    const int dice = random.between(1, 100);
    if (dice <= 62) {
        outcome.branch = sim::make_way(random, dag, task);
        return outcome;
    }
    if (dice <= 74) {
        outcome.kind = OutcomeKind::skipped;
        return outcome;
    }
    outcome.kind = OutcomeKind::failed;
    outcome.error_class = static_cast<ErrorClass>(random.between(0, 7));
    outcome.message = "scripted";
    return outcome;
}

/// The real core, driven to the end of one run in an order that the seed chooses.
class Drive {
public:
    Drive(std::uint64_t seed, DagPtr dag, const sim::Script& script, Features& features)
        : random_(seed),
          dag_(std::move(dag)),
          script_(script),
          features_(features),
          reference_(*dag_, script) {
        settings_.parallelism = random_.between(1, 12);
        settings_.cpu = 3;
        settings_.max_lost_attempts = 1'000'000;
    }

    /// Throws Broken when the core does what the reference forbids.
    void run() {
        restart();
        core::DagLoaded loaded;
        loaded.dag = dag_;
        core::TriggerRun trigger;
        trigger.request = {1};
        trigger.dag_id = dag_->dag_id;
        trigger.run_id = "r";
        std::vector<core::Event> events;
        for (const auto& [name, slots] : {std::pair{"p1", 2}, std::pair{"p2", 3}}) {
            core::PutPool put;
            put.pool.name = name;
            put.pool.slots = slots;
            events.emplace_back(put);
        }
        events.emplace_back(loaded);
        events.emplace_back(trigger);
        turn(events);
        for (int i = 0; scheduler_->counts().open_runs > 0; ++i) {
            must(i < 100'000, "the run does not end");
            step();
        }
    }
    [[nodiscard]] RunEnd reference() const { return reference_.end(); }
    [[nodiscard]] RunEnd ending() const {
        RunEnd end;
        for (const auto& [key, run] : journal_.runs()) end.state = run.state;  // there is one
        const RunKey run = journal_.runs().begin()->first;
        const auto add = [&](const TaskKey& key) {
            auto& instance = end.instances[inside(key)];
            instance.state = journal_.state_of(key).value_or(TaskState::none);
            instance.tries = tries_.contains(key) ? tries_.at(key) : 0;
        };
        for (TaskNo no = 0; no < static_cast<TaskNo>(dag_->tasks.size()); ++no) {
            const MapNo map = dag_->tasks[static_cast<std::size_t>(no)].mapping;
            const TaskKey one{run, no, unmapped};
            const auto length = map == no_map ? std::nullopt : journal_.map_length(run, map);
            if (!length || length->length <= 0 || journal_.state_of(one)) {
                add(one);
                continue;
            }
            ++features_["a mapped task has instances"];
            if (dag_->mappings[static_cast<std::size_t>(map)].outer != no_map)
                ++features_["a task that is mapped inside a mapped group has instances"];
            for (MapIndex i = 0; i < length->length; ++i) add({run, no, i});
        }
        return end;
    }

private:
    /// As the reference numbers it.
    [[nodiscard]] sim::Reference::Key inside(const TaskKey& key) const {
        const MapNo map = dag_->tasks[static_cast<std::size_t>(key.task)].mapping;
        if (map == no_map || key.map_index == unmapped ||
            dag_->mappings[static_cast<std::size_t>(map)].outer == no_map)
            return {key.task, key.map_index};
        for (const auto& list : journal_.map_lengths(key.run, map))
            if (list.outer != unmapped)
                if (const auto inner = store::place_in(list, key.map_index); inner >= 0)
                    return {key.task, sim::Reference::inside(list.outer, inner)};
        return {key.task, sim::Reference::inside(key.map_index, 0)};
    }
    /// The same whenever it is asked for.
    [[nodiscard]] static std::int32_t length_of(const ExpandOrder& order) {
        Random random{
            static_cast<std::uint64_t>(order.map) * 77 + static_cast<std::uint64_t>(order.outer)
        };
        random.next();
        return random.between(0, 3);
    }

    void step() {
        if (random_.one_in(40)) return restart();
        std::vector<core::Event> events;
        for (auto order = asked_.begin(); order != asked_.end();) {
            if (!random_.one_in(2)) {
                ++order;
                continue;
            }
            core::Expanded expanded;
            expanded.run = order->run_key;
            expanded.map = order->map;
            expanded.serial = order->serial;
            expanded.outer = order->outer;
            expanded.length = length_of(*order);
            events.emplace_back(expanded);
            order = asked_.erase(order);
            ++features_["a list was asked for"];
        }
        const int reports = random_.between(0, 3);
        for (int i = 0; i < reports && !live_.empty(); ++i) {
            auto at = live_.begin();
            std::advance(at, random_.between(0, static_cast<int>(live_.size()) - 1));
            events.emplace_back(core::AttemptEnded{result_of(at->second)});
            live_.erase(at);
        }
        if (events.empty()) {
            const auto next = scheduler_->next_wakeup();
            must(next || !live_.empty() || !asked_.empty(), "the run waits for nothing");
            if (next && (live_.empty() || random_.one_in(3))) now_ = std::max(now_, *next);
        }
        turn(events);
    }

    AttemptResult result_of(const AttemptOrder& order) {
        AttemptResult result;
        result.key = order.key;
        result.end_date = now_;
        const TaskKey& key = order.key.task;
        const auto own = inside(key);
        if (random_.one_in(25)) {
            ++features_["an attempt is lost"];
            result.outcome.kind = OutcomeKind::lost;
            --tries_[key];
            return result;
        }
        result.outcome = script_(own.first, own.second, tries_[key]);
        ended_.push_back(own);
        return result;
    }

    void turn(const std::vector<core::Event>& events) {
        Turn turn;
        std::vector<core::Event> again;
        std::vector<core::Event> taken;
        for (const auto& event : events) {
            const bool late = scheduler_->step(event, now_, turn) == core::Taken::next_turn;
            (late ? again : taken).push_back(event);
        }
        scheduler_->dispatch(now_, turn);
        journal_.commit(turn);
        reference_.ended(std::exchange(ended_, {}));
        for (const auto& event : taken)
            if (const auto* list = std::get_if<core::Expanded>(&event)) {
                // An answer that nobody waits for any more is void.
                const auto known = journal_.map_length(list->run, list->map, list->outer);
                if (known && known->serial == list->serial)
                    reference_.listed(list->map, list->outer, *list->length);
            }
        reference_.settle();
        carry_out(turn);
        if (!again.empty()) this->turn(again);
    }

    void carry_out(const Turn& turn) {
        for (const auto& answer : turn.answers) must(!answer.error, answer.message);
        for (const auto& order : turn.starts) {
            const TaskKey& key = order.key.task;
            const auto own = inside(key);
            must(
                reference_.may_start(own),
                fmt::format("task {} [{}] must not start", key.task, key.map_index)
            );
            reference_.started(own);
            ++tries_[key];
            live_[order.key.task] = order;
        }
        asked_.insert(asked_.end(), turn.expands.begin(), turn.expands.end());
        must(turn.cancels.empty(), "nobody asked for an end of an attempt");
    }

    /// kill -9: all attempts are lost.
    void restart() {
        for (const auto& [key, order] : live_) --tries_[key];
        if (!live_.empty()) ++features_["a crash with live attempts"];
        live_.clear();
        asked_.clear();
        Snapshot snapshot = journal_.load();
        snapshot.versions.push_back(dag_);
        scheduler_.emplace(settings_, snapshot);
        Turn turn;
        scheduler_->recover({}, now_, turn);
        scheduler_->dispatch(now_, turn);
        journal_.commit(turn);
        carry_out(turn);
    }

    Random random_;
    DagPtr dag_;
    const sim::Script& script_;
    Features& features_;
    sim::Reference reference_;
    std::vector<sim::Reference::Key> ended_;  // in the turn that is being made
    core::Settings settings_;
    store::MemoryJournal journal_;
    std::optional<core::Scheduler> scheduler_;
    Instant now_{std::chrono::sys_days{std::chrono::year{2026} / 1 / 1}};
    std::map<TaskKey, AttemptOrder> live_;
    std::vector<ExpandOrder> asked_;  // not answered yet
    std::map<TaskKey, int> tries_;
};

/// Features that every long enough list of runs must have met.
Features wanted() {
    Features features;
    for (int rule = 0; rule <= static_cast<int>(TriggerRule::always); ++rule)
        features[fmt::format("rule {}", name(static_cast<TriggerRule>(rule)))] = 0;
    for (const auto state :
         {TaskState::success, TaskState::failed, TaskState::skipped, TaskState::upstream_failed})
        features[fmt::format("instance {}", name(state))] = 0;
    for (const auto state : {RunState::success, RunState::failed})
        features[fmt::format("run {}", name(state))] = 0;
    for (const char* what :
         {"a second try succeeds",
          "a failure that is not tried again",
          "a run is green with failures",
          "a branch skips",
          "a short circuit skips",
          "a teardown after a failure",
          "a setup fails",
          "an attempt is lost",
          "a mapped task has instances",
          "a task that is mapped inside a mapped group has instances",
          "a list was asked for",
          "a crash with live attempts"})
        features[what] = 0;
    return features;
}

void count(const Dag& dag, const RunEnd& end, Features& features) {
    ++features[fmt::format("run {}", name(end.state))];
    bool failures = false;
    for (const auto& [key, instance] : end.instances) {
        const Task& task = dag.tasks[static_cast<std::size_t>(key.first)];
        ++features[fmt::format("instance {}", name(instance.state))];
        if (!task.upstream.empty()) ++features[fmt::format("rule {}", name(task.trigger_rule))];
        const bool failed = instance.state == TaskState::failed;
        const bool good = instance.state == TaskState::success;
        if (good && task.operator_name == "branch") ++features["a branch skips"];
        if (good && task.operator_name == "short_circuit") ++features["a short circuit skips"];
        if (good && task.is_teardown && end.state == RunState::failed)
            ++features["a teardown after a failure"];
        if (failed && task.is_setup) ++features["a setup fails"];
        failures = failures || failed;
        if (instance.state == TaskState::success && instance.tries > 1)
            ++features["a second try succeeds"];
        if (failed && instance.tries <= task.retries)
            ++features["a failure that is not tried again"];
    }
    if (failures && end.state == RunState::success) ++features["a run is green with failures"];
}

DagPtr make_plain_dag(Random& random, Instant now) {
    Dag dag = sim::make_dag(random, "d", now);
    dag.schedule = {};
    dag.start_date.reset();
    dag.end_date.reset();
    dag.is_paused_upon_creation = false;
    dag.fail_fast = false;       // a stopped attempt may have ended all the same
    dag.dagrun_timeout.reset();  // what depends on time has no place here
    for (auto& mapping : dag.mappings)
        if (!mapping.length && mapping.outer == no_map) mapping.length = random.between(0, 3);
    for (auto& task : dag.tasks) {
        task.execution_timeout.reset();
        task.on_lost = OnLost::retry;
    }
    dag.version = {1};
    return std::make_shared<const Dag>(std::move(dag));
}

void show(const Dag& dag, const RunEnd& reference, const RunEnd& core) {
    std::printf(
        "run: reference %s, core %s\n",
        std::string{name(reference.state)}.c_str(),
        std::string{name(core.state)}.c_str()
    );
    for (const auto& [key, expected] : reference.instances) {
        const auto found = core.instances.find(key);
        const InstanceEnd got = found == core.instances.end() ? InstanceEnd{} : found->second;
        const Task& task = dag.tasks[static_cast<std::size_t>(key.first)];
        std::string upstream;
        for (const TaskNo up : task.upstream) upstream += fmt::format(" {}", up);
        std::printf(
            "%s %s",
            expected == got ? "  " : "! ",
            fmt::format(
                "task {} [{}] {} of{}: reference {} after {}, core {} after {}\n",
                key.first,
                key.second,
                name(task.trigger_rule),
                upstream,
                name(expected.state),
                expected.tries,
                name(got.state),
                got.tries
            )
                .c_str()
        );
    }
}

bool agree(std::uint64_t seed, Features& features) {
    Random random{seed};
    const DagPtr dag =
        make_plain_dag(random, std::chrono::sys_days{std::chrono::year{2026} / 1 / 1});
    const sim::Script script = [&dag, seed](TaskNo task, MapIndex index, int number) {
        return outcome_of(*dag, seed, task, index, number);
    };
    Drive drive{seed, dag, script, features};
    std::string broken;
    try {
        drive.run();
    } catch (const std::exception& error) {
        broken = error.what();
    }
    const RunEnd reference = drive.reference();
    const RunEnd core = drive.ending();
    count(*dag, reference, features);
    if (broken.empty() && reference == core) return true;
    std::printf("BROKEN: %s\n", broken.empty() ? "they end differently" : broken.c_str());
    show(*dag, reference, core);
    return false;
}

}  // namespace

int main(int argc, char** argv) {
    std::uint64_t seed = std::random_device{}();
    int runs = 2'000;
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string_view option = argv[i];
        if (option == "--seed") seed = std::strtoull(argv[i + 1], nullptr, 10);
        if (option == "--runs") runs = std::atoi(argv[i + 1]);
    }
    Features features = wanted();
    std::printf("seed %llu, %d runs\n", static_cast<unsigned long long>(seed), runs);
    for (int i = 0; i < runs; ++i) {
        const std::uint64_t one = seed + static_cast<std::uint64_t>(i);
        if (agree(one, features)) continue;
        std::printf(
            "replay: sluice-reference --seed %llu --runs 1\n", static_cast<unsigned long long>(one)
        );
        return 1;
    }
    bool missing = false;
    for (const auto& [what, times] : features) {
        std::printf("%-40s %lld\n", what.c_str(), static_cast<long long>(times));
        missing = missing || (times == 0 && runs >= 1'000);
    }
    if (missing) std::printf("what stands at 0 was never tried: the list of runs is too narrow\n");
    return missing ? 1 : 0;
}
