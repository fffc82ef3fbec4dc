// The loop's thread: waits, takes what was posted, turns it into events.
#include <algorithm>

#include <spdlog/spdlog.h>

#include "base/fault.hpp"
#include "core/pace.hpp"
#include "runtime/impl.hpp"

namespace sluice::runtime {
namespace {

void set_request(core::Event& event, RequestId id) {
    std::visit(
        [id](auto& value) {
            if constexpr (requires { value.request; }) value.request = id;
        },
        event
    );
}

}  // namespace

void Runtime::Impl::run() {
    while (figures_.owner || stand_by()) {
        const auto lost = own();
        if (!lost) break;
        if (follower_ == nullptr) {
            depose(*lost);
            break;
        }
        step_down(*lost);
    }
    refuse_waiting(std::make_exception_ptr(Error(ErrorCode::unavailable, "the daemon is stopping"))
    );
}

std::optional<std::string> Runtime::Impl::own() {
    std::vector<Item> items;
    while (queue_.pop_all(items, wakeup())) {
        try {
            look_after(items);
        } catch (const store::Deposed& why) {
            refuse_rest(items, std::make_exception_ptr(StandsBy("")));
            return why.what();
        } catch (const std::exception& error) {
            // A bug or a broken database: going on could decide on a wrong state.
            spdlog::critical("the scheduler loop failed: {}", error.what());
            depose(error.what());
            return std::nullopt;
        }
        if (stopped_while_away_) break;
    }
    return std::nullopt;
}

void Runtime::Impl::look_after(std::vector<Item>& items) {
    try {
        handle(items);
        renew_if_due();
    } catch (const store::Away& away) {
        refuse_rest(
            items,
            std::make_exception_ptr(
                Error(ErrorCode::unavailable, "the run-state database is away; try again shortly")
            )
        );
        come_back(away.what());
    }
}

void Runtime::Impl::depose(const std::string& why) {
    spdlog::error("this daemon no longer owns the run state and stops: {}", why);
    deposed_ = true;
    figures_.owner = false;
    figures_.database_available = false;
    queue_.close();
    refuse_waiting(std::make_exception_ptr(Error(ErrorCode::unavailable, "the daemon is stopping"))
    );
    feed_.close();
}

void Runtime::Impl::refuse_waiting(const std::exception_ptr& why) {
    std::vector<Item> rest;
    queue_.pop_all(rest, std::chrono::steady_clock::now());
    refuse_rest(rest, why);
    refuse(later_);
    later_.clear();
    for (auto& [listed, dag] : std::exchange(defined_, {})) listed.set_exception(why);
    announced_.clear();
}

void Runtime::Impl::refuse_rest(std::vector<Item>& items, const std::exception_ptr& why) {
    for (auto& item : items) {
        if (auto* command = std::get_if<Command>(&item)) command->answer.set_exception(why);
        if (auto* definition = std::get_if<Definition>(&item))
            definition->listed.set_exception(why);
        if (auto* question = std::get_if<Question>(&item)) question->answered.set_exception(why);
        if (auto* inquiry = std::get_if<Inquiry>(&item)) inquiry->answered.set_exception(why);
    }
    items.clear();
}

Instant Runtime::Impl::now() {
    // What core sees never goes back, also when the machine's clock does.
    last_now_ = std::max(last_now_, clock_.now());
    return last_now_;
}

SteadyTime Runtime::Impl::wakeup() {
    const auto base = clock_.monotonic();
    if (!later_.empty()) return base;
    SteadyTime at = renewed_at_ + renew_every();
    if (const auto next = scheduler_->next_wakeup()) {
        const auto wait = std::max(Duration{0}, *next - now());
        if (wait < at - base) at = base + wait;
    }
    return at;
}

Duration Runtime::Impl::renew_every() const { return journal_.lease() / 3; }

bool Runtime::Impl::renewal_is_due(SteadyTime at) const {
    // Commits renew too, but only an explicit renewal learns of standbys.
    return at - renewed_at_ >= renew_every() || at - asked_at_ >= journal_.lease();
}

void Runtime::Impl::renew_if_due() {
    const auto begin = clock_.monotonic();
    if (!renewal_is_due(begin)) return;
    fault_point("renewing_lease");
    journal_.renew_lease();
    asked_at_ = renewed_at_ = begin;
}

void Runtime::Impl::handle(std::vector<Item>& items) {
    std::vector<Pending> pending = std::exchange(later_, {});
    pending.reserve(pending.size() + items.size());
    std::vector<Inquiry> inquiries;
    const auto take = [&](Item& item) {
        if (auto* event = std::get_if<core::Event>(&item)) {
            pending.push_back({std::move(*event), std::nullopt});
        } else if (auto* command = std::get_if<Command>(&item)) {
            set_request(command->event, RequestId{++last_request_});
            commanded_at_ = clock_.monotonic();
            pending.push_back({std::move(command->event), std::move(command->answer)});
        } else if (auto* question = std::get_if<Question>(&item)) {
            (*question->ask)(*scheduler_);
            question->answered.set_value();
        } else if (auto* definition = std::get_if<Definition>(&item)) {
            store_definition(*definition, pending);
        } else if (auto* inquiry = std::get_if<Inquiry>(&item)) {
            inquiries.push_back(std::move(*inquiry));
        } else if (auto* announcement = std::get_if<Announcement>(&item)) {
            announced_.push_back(std::move(announcement->dag_id));
        }
    };
    std::size_t taken = 0;
    try {
        for (; taken < items.size(); ++taken) take(items[taken]);
    } catch (...) {
        refuse(pending);
        items.erase(items.begin(), items.begin() + static_cast<std::ptrdiff_t>(taken) + 1);
        throw;
    }
    items.clear();
    turn(std::move(pending));
    reply(inquiries);
}

void Runtime::Impl::store_definition(Definition& definition, std::vector<Pending>& pending) {
    if (scheduler_->is_being_removed(definition.dag.dag_id)) {
        definition.listed.set_value(nullptr);
        return;
    }
    try {
        const auto stored = journal_.put_version(definition.dag);
        Dag dag = std::move(definition.dag);
        dag.version = stored.id;
        dag.version_number = stored.number;
        auto loaded = std::make_shared<const Dag>(std::move(dag));
        registry_.put(loaded, std::move(definition.warnings), now());
        pending.push_back(
            {core::DagLoaded{
                 .dag = loaded,
                 .paused_at_creation = settings_.dags_are_paused_at_creation,
             },
             std::nullopt}
        );
        if (core::needs_paces(*loaded))
            pending.push_back({core::PacesKnown{loaded->dag_id, {}}, std::nullopt});
        defined_.emplace_back(std::move(definition.listed), loaded);
    } catch (...) {
        definition.listed.set_exception(std::make_exception_ptr(
            Error(ErrorCode::unavailable, "the database is away, or another daemon's")
        ));
        throw;
    }
}

void Runtime::Impl::refuse(std::vector<Pending>& pending) { refuse(pending, nothing_done); }

void Runtime::Impl::refuse_flights(const std::string& why) {
    for (auto& flight : std::exchange(flights_, {})) refuse(flight.pending, why);
}

void Runtime::Impl::refuse(std::vector<Pending>& pending, const std::string& why) {
    for (auto& item : pending) {
        if (!item.answer) continue;
        item.answer->set_value(Answer{.error = ErrorCode::unavailable, .message = why});
        item.answer.reset();
    }
}

}  // namespace sluice::runtime
