// From the database to memory: the start, a refused commit, a connection that was lost.
#include <algorithm>
#include <set>

#include <spdlog/spdlog.h>

#include "base/fault.hpp"
#include "core/pace.hpp"
#include "runtime/impl.hpp"

namespace sluice::runtime {

void Runtime::Impl::load() {
    ++figures_.reloads;
    const auto begin = clock_.monotonic();
    Snapshot snapshot = journal_.load();
    renewed_at_ = begin;
    asked_at_ = {};  // to learn of standbys soon
    figures_.database_available = true;
    // What was committed since this standby last looked is not in its streams.
    if (!figures_.owner && knows_seq_ && snapshot.last_seq.value != seq_) feed_.overflow();
    last_now_ = std::max(last_now_, snapshot.now);
    seq_ = snapshot.last_seq.value;
    knows_seq_ = true;
    fill_versions(snapshot);
    scheduler_.emplace(settings_.core, snapshot);
    for (const auto& state : snapshot.dags) registry_.put_state(state);
    if (!figures_.owner) registry_.keep_only(snapshot.dags);
    for (const auto& dag : snapshot.deleted_dags) registry_.remove(dag.dag_id);
    Turn turn;
    turn.now = now();
    scheduler_->recover(executor_.alive(), turn.now, turn);
    for (const auto& version : snapshot.versions) {
        if (!core::needs_paces(*version)) continue;
        core::Event paces{core::PacesKnown{version->dag_id, {}}};
        add_facts(paces, {});
        (void)scheduler_->step(paces, turn.now, turn);
    }
    seal(turn);
    fault_point("during_restore");
    commit(turn);
    std::vector<Pending> none;
    carry_out(turn, none);
    figures_.owner = true;
    if (!snapshot.deleted_dags.empty() && settings_.dags_deleted) settings_.dags_deleted();
}

void Runtime::Impl::fill_versions(Snapshot& snapshot) {
    std::set<VersionId> wanted;
    for (const auto& state : snapshot.dags) wanted.insert(state.current);
    for (const auto& run : snapshot.open_runs) wanted.insert(run.version);
    std::vector<VersionId> missing;
    for (const auto id : wanted) {
        if (auto known = registry_.find_version(id)) {
            snapshot.versions.push_back(known);
        } else {
            missing.push_back(id);
        }
    }
    if (missing.empty()) return;
    std::set<VersionId> current;
    for (const auto& state : snapshot.dags) current.insert(state.current);
    for (const auto& stored : journal_.versions(missing)) {
        auto dag = read_version_(stored);
        registry_.put_version(dag);
        if (current.contains(dag->version)) registry_.put(dag, {}, snapshot.now);
        snapshot.versions.push_back(std::move(dag));
    }
}

void Runtime::Impl::come_back(const std::string& why) {
    figures_.database_available = false;
    spdlog::warn("the run-state database is away: {}", why);
    std::optional<std::size_t> durable;
    try {
        durable = reload_until_back();
    } catch (const store::Deposed&) {
        refuse_flights(
            "another daemon owns the run state now; its answers tell whether the command was done"
        );
        throw;
    }
    if (!durable) {
        refuse_flights(nothing_done);
        return;
    }
    auto flights = std::exchange(flights_, {});
    for (std::size_t i = 0; i < *durable; ++i) {
        flights[i].turn.starts.clear();  // given out already
        carry_out(flights[i].turn, flights[i].pending);
    }
    for (std::size_t i = *durable; i < flights.size(); ++i) {
        refuse(flights[i].pending);
        for (auto& item : flights[i].pending) {
            // Definitions, files and removals are still as they were told; results come again by
            // `repost`.
            if (std::holds_alternative<core::DagLoaded>(item.event) ||
                std::holds_alternative<core::DagGone>(item.event) ||
                std::holds_alternative<core::DagRemoved>(item.event))
                queue_.push(Item{std::move(item.event)});
        }
    }
    executor_.repost();
}

std::optional<std::size_t> Runtime::Impl::reload_until_back() {
    auto pause = std::chrono::milliseconds{20};
    std::optional<std::size_t> durable;
    for (;;) {
        {
            std::unique_lock lock(stop_mutex_);
            stop_requested_.wait_for(lock, pause, [&] { return stopping_.load(); });
            if (stopping_) {
                stopped_while_away_ = true;
                return std::nullopt;
            }
        }
        pause = std::min(pause * 2, std::chrono::milliseconds{500});
        try {
            if (!durable) {
                journal_.load();
                durable = durable_flights();
                start_durable(*durable);
            }
            load();
            spdlog::info("the run-state database is back");
            return durable;
        } catch (const store::Away& away) {
            spdlog::debug("still away: {}", away.what());
        }
    }
}

std::size_t Runtime::Impl::durable_flights() const {
    std::size_t durable = 0;
    auto happened = journal_.commits_happened();
    for (const Flight& flight : flights_) {
        const bool in_doubt = flight.sent && !flight.durable;
        if (!flight.durable && !(in_doubt && happened-- > 0)) break;
        ++durable;
    }
    return durable;
}

void Runtime::Impl::start_durable(std::size_t durable) {
    for (std::size_t i = 0; i < durable; ++i)
        if (!flights_[i].turn.starts.empty()) executor_.start(flights_[i].turn.starts);
    // What a turn ends that is not durable runs again; the one before it is durable.
    if (durable < flights_.size() && !flights_[durable].ended.empty())
        executor_.start(flights_[durable].ended);
}

}  // namespace sluice::runtime
