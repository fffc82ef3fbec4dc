// While another daemon owns the run state: follow what it commits, take over when its lease ends.
#include <algorithm>
#include <set>
#include <utility>

#include <spdlog/spdlog.h>

#include "runtime/impl.hpp"

namespace sluice::runtime {
namespace {

constexpr std::int64_t moves_at_once = 5'000;
// A standby that is further behind tells its streams to read anew instead.
constexpr std::int64_t moves_followed = 50'000;
constexpr auto pause_while_away = std::chrono::milliseconds{250};

bool same(const DagState& a, const DagState& b) {
    return a.current == b.current && a.is_paused == b.is_paused && a.is_stale == b.is_stale &&
           a.next_run_after == b.next_run_after;
}

}  // namespace

bool Runtime::Impl::stand_by() {
    spdlog::info("this daemon stands by");
    while (!stopping_) {
        // Calls that came while the role changed.
        refuse_waiting(std::make_exception_ptr(StandsBy(owner_address())));
        try {
            const auto lease = follower_->look();
            figures_.database_available = true;
            set_owner_address(lease.left > Duration{0} ? lease.address : "");
            follow(lease.last_seq);
            if (lease.left <= Duration{0}) {
                if (take_over()) return true;
                continue;
            }
            follower_->wait(std::min(lease.left, renew_every()));
        } catch (const store::Away& away) {
            if (figures_.database_available.exchange(false))
                spdlog::warn("the run-state database is away: {}", away.what());
            set_owner_address("");
            follower_->wait(pause_while_away);
        } catch (const std::exception& error) {
            spdlog::critical("standing by failed: {}", error.what());
            depose(error.what());
            return false;
        }
    }
    return false;
}

bool Runtime::Impl::take_over() {
    if (draining_) {
        // About to stop: the run state is left to somebody who stays.
        follower_->wait(pause_while_away);
        return false;
    }
    try {
        load();
    } catch (const store::Deposed&) {
        return false;  // another standby was quicker
    }
    follower_->leave();
    set_owner_address("");
    spdlog::info("this daemon owns the run state now");
    if (on_role_) on_role_(true);
    return true;
}

void Runtime::Impl::step_down(const std::string& why) {
    spdlog::warn("this daemon no longer owns the run state: {}", why);
    figures_.owner = false;
    if (on_role_) on_role_(false);
    refuse_waiting(std::make_exception_ptr(StandsBy("")));
    executor_.abandon();
    // Ends of attempts that were reported before they were abandoned.
    refuse_waiting(std::make_exception_ptr(StandsBy("")));
    scheduler_.reset();
    for (const auto& error : registry_.import_errors())
        registry_.clear_import_error(error.filename);
}

void Runtime::Impl::set_owner_address(const std::string& address) {
    const std::lock_guard lock(owner_mutex_);
    owner_address_ = address;
}

void Runtime::Impl::follow(Seq last) {
    if (follower_->take_dags_are_due()) follow_dags();
    if (!std::exchange(knows_seq_, true)) seq_ = last.value;  // just started: nobody watches yet
    if (last.value - seq_ > moves_followed) {
        seq_ = last.value;
        feed_.overflow();
    }
    while (seq_ < last.value && !stopping_) {
        auto news = follower_->news(Seq{seq_}, moves_at_once);
        if (news.transitions.empty()) return;
        auto change = std::make_shared<Change>();
        change->seq = news.seq;
        change->at = news.at;
        change->transitions = std::move(news.transitions);
        change->runs = std::move(news.runs);
        change->instances = std::move(news.instances);
        seq_ = news.seq.value;
        figures_.last_turn_at = to_micros(news.at);
        feed_.publish(change);
    }
}

void Runtime::Impl::follow_dags() {
    const auto dags = follower_->dags();
    auto change = std::make_shared<Change>();
    change->seq = Seq{seq_};
    change->at = clock_.now();
    learn_versions(dags, *change);
    for (const auto& state : dags) {
        const auto listed = registry_.find(state.dag_id);
        if (!listed || same(listed->state, state)) continue;
        registry_.put_state(state);
        change->dags.push_back(state);
    }
    forget_deleted(dags, *change);
    if (!change->dags.empty() || !change->definitions.empty() || !change->dags_deleted.empty())
        feed_.publish(change);
}

void Runtime::Impl::forget_deleted(const std::vector<DagState>& dags, Change& change) {
    std::set<std::string> there;
    for (const auto& state : dags) there.insert(state.dag_id);
    for (const auto& listed : registry_.all()) {
        if (there.contains(listed.dag->dag_id)) continue;
        registry_.remove(listed.dag->dag_id);
        change.dags_deleted.push_back(listed.dag->dag_id);
    }
}

void Runtime::Impl::learn_versions(const std::vector<DagState>& dags, Change& change) {
    std::vector<VersionId> missing;
    for (const auto& state : dags) {
        const auto listed = registry_.find(state.dag_id);
        if (!listed || listed->dag->version != state.current) missing.push_back(state.current);
    }
    if (missing.empty()) return;
    for (const auto& stored : follower_->versions(missing)) {
        try {
            registry_.put(read_version_(stored), {}, clock_.now());
            change.definitions.push_back(stored.dag_id);
        } catch (const std::exception& error) {
            // Written by a newer program: the owner knows it.
            spdlog::warn("{} version {}: {}", stored.dag_id, stored.number, error.what());
        }
    }
}

}  // namespace sluice::runtime
