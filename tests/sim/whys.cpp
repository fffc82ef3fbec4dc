// whys.cpp — "why is it not running?" is asked of somebody who waits, and put to the test.
#include <algorithm>

#include "tests/sim/broken.hpp"
#include "tests/sim/why_check.hpp"
#include "tests/sim/world.hpp"

namespace sluice::sim {
namespace {

/// What looks right now, or is being cleared, does not wait; what the run before never had cannot
/// be mended.
bool is_beyond(const core::Reasons& reasons) {
    return std::ranges::any_of(reasons, [](const core::Reason& reason) {
        return reason.condition == "poke" || reason.condition == "clearing" ||
               reason.text.find("has no such task") != std::string::npos;
    });
}

}  // namespace

/// Of a few that wait the one whose conditions have been tried least in this world.
void World::ask_why() {
    std::optional<Question> best;
    int least = 0;
    for (int i = 0; i < 4; ++i) {
        auto question = draw_question();
        if (!question || is_beyond(question->reasons)) continue;
        int tried = INT32_MAX;
        for (const auto& reason : question->reasons)
            tried = std::min(tried, whys_tried_[reason.condition]);
        if (best && tried >= least) continue;
        least = tried;
        best = std::move(question);
    }
    if (!best) return;
    for (const auto& reason : best->reasons) ++whys_tried_[reason.condition];
    Standing standing;
    standing.snapshot = load();
    standing.settings = settings_;
    standing.now = now_;
    for (const auto& [key, attempt] : live_) standing.alive.push_back(key);
    standing.past = [this](const PastQuestion& question) { return answer_past(question); };
    const DagRun& run = journal_.runs().at(best->run);
    if (!best->row) return check_why(std::move(standing), run, best->reasons, histogram_);
    check_why(
        std::move(standing),
        run,
        scheduler_->instances(run.key),
        *best->row,
        best->reasons,
        histogram_
    );
}

/// An instance in a state that is rare, any that waits, or a queued run.
std::optional<World::Question> World::draw_question() {
    if (whims_.chance(30)) {
        const auto key = someone_rare({});
        if (!key) return std::nullopt;
        const auto rows = scheduler_->instances(key->run);
        const auto row = std::ranges::find(rows, *key, &TaskInstance::key);
        if (row == rows.end()) return std::nullopt;
        return Question{key->run, *row, told(scheduler_->why(*key))};
    }
    const bool of_queued = whims_.chance(30);
    std::vector<RunKey> runs;
    for (const auto& [key, run] : journal_.runs())
        if (!is_finished(run.state) && (run.state == RunState::queued) == of_queued)
            runs.push_back(key);
    if (runs.empty()) return std::nullopt;
    const RunKey run = whims_.pick(runs);
    if (of_queued && whims_.chance(50)) return Question{run, {}, told(scheduler_->why(run))};
    std::vector<TaskInstance> waiting;
    for (const auto& row : scheduler_->instances(run))
        if (!is_finished(row.state) && row.state != TaskState::running) waiting.push_back(row);
    if (waiting.empty()) return std::nullopt;
    const TaskInstance& row = whims_.pick(waiting);
    return Question{run, row, told(scheduler_->why(row.key))};
}

core::Reasons World::told(const std::optional<core::Reasons>& reasons) {
    must(reasons && !reasons->empty(), "nobody can say why it waits");
    return *reasons;
}

}  // namespace sluice::sim
