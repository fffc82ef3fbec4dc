#include "runtime/runtime.hpp"

#include "base/limits.hpp"
#include "runtime/impl.hpp"

namespace sluice::runtime {

void Runtime::Impl::start() {
    try {
        load();
    } catch (const store::Deposed&) {
        if (follower_ == nullptr) throw;
        // Another daemon owns the run state.
    }
    if (on_role_) on_role_(figures_.owner);
    thread_ = std::thread([this] { run(); });
}

void Runtime::Impl::drain() {
    draining_ = true;
    post(core::Tick{});
}

void Runtime::Impl::need_owner() const {
    if (follower_ != nullptr && !figures_.owner && !deposed_) throw StandsBy(owner_address());
}

std::string Runtime::Impl::owner_address() const {
    const std::lock_guard lock(owner_mutex_);
    return owner_address_;
}

void Runtime::Impl::stop() {
    {
        const std::lock_guard lock(stop_mutex_);
        stopping_ = true;
    }
    stop_requested_.notify_all();
    queue_.close();
    if (follower_ != nullptr) follower_->wake();
    if (thread_.joinable()) thread_.join();
    feed_.close();
}

void Runtime::Impl::submit(core::Event command, Waiter waiter) {
    need_owner();
    if (!figures_.database_available)
        throw Error(ErrorCode::unavailable, "the run-state database is away; try again shortly");
    Item item{std::in_place_type<Command>, std::move(command), std::move(waiter)};
    if (!queue_.push(std::move(item), limits::api_queue_events)) {
        if (stopping_) throw Error(ErrorCode::unavailable, "the daemon is stopping");
        throw Error(
            ErrorCode::limit,
            "too many commands are waiting (limit api_queue_events); try again shortly"
        );
    }
}

std::vector<Answer> Runtime::Impl::call_all(std::vector<core::Event> commands, Duration timeout) {
    std::vector<std::future<Answer>> futures;
    futures.reserve(commands.size());
    for (auto& command : commands) {
        Waiter waiter;
        futures.push_back(waiter.future());
        submit(std::move(command), std::move(waiter));
    }
    std::vector<Answer> answers;
    for (auto& future : futures) {
        Patience patience(figures_, timeout);
        while (future.wait_for(std::chrono::milliseconds{100}) != std::future_status::ready)
            patience.check();
        answers.push_back(future.get());
    }
    return answers;
}

Patience::Patience(const LoopFigures& figures, Duration timeout)
    : figures_(&figures), timeout_(timeout) {}

void Patience::check() {
    // A commit whose connection broke is in doubt until the database is back: say so early.
    constexpr auto in_doubt = std::chrono::seconds{5};
    const auto at = Steady::now();
    if (figures_->database_available) seen_available_ = at;
    if (at - seen_available_ > in_doubt)
        throw Error(
            ErrorCode::unavailable,
            "the run-state database went away during the commit; whether the command was "
            "done is known when it is back"
        );
    if (at - begin_ > timeout_)
        throw Error(ErrorCode::unavailable, "the command was not committed in time");
}

void Runtime::Impl::post(core::Event event) { queue_.push(Item{std::move(event)}); }

void Runtime::Impl::report(std::vector<AttemptResult> results) {
    std::vector<Item> items;
    items.reserve(results.size());
    for (auto& result : results)
        items.emplace_back(core::Event{core::AttemptEnded{std::move(result)}});
    queue_.push_all(std::move(items));
}

DagPtr Runtime::Impl::define(const Dag& dag, std::vector<Problem> warnings) {
    need_owner();
    std::promise<DagPtr> promise;
    auto future = promise.get_future();
    Item item{std::in_place_type<Definition>, dag, std::move(warnings), std::move(promise)};
    if (!queue_.push(std::move(item)))
        throw Error(ErrorCode::unavailable, "the daemon is stopping");
    return future.get();
}

void Runtime::Impl::announce(const std::string& dag_id) { queue_.push(Item{Announcement{dag_id}}); }

RunFacts Runtime::Impl::run_facts(const RunQuestion& question) {
    need_owner();
    std::promise<RunFacts> promise;
    auto future = promise.get_future();
    if (!queue_.push(Item{std::in_place_type<Inquiry>, question, std::move(promise)}))
        throw Error(ErrorCode::unavailable, "the daemon is stopping");
    return future.get();
}

void Runtime::Impl::query(const std::function<void(const core::Scheduler&)>& ask) {
    need_owner();
    std::promise<void> promise;
    auto future = promise.get_future();
    if (!queue_.push(Item{std::in_place_type<Question>, &ask, std::move(promise)}))
        throw Error(ErrorCode::unavailable, "the daemon is stopping");
    future.get();
}

Runtime::Runtime(
    Settings settings,
    Clock& clock,
    store::Journal& journal,
    executor::Executor& executor,
    ReadVersion read_version
)
    : impl_(std::make_unique<Impl>(
          std::move(settings), clock, journal, executor, std::move(read_version)
      )) {}

Runtime::~Runtime() { impl_->stop(); }

void Runtime::start() { impl_->start(); }
void Runtime::stop() { impl_->stop(); }
bool Runtime::deposed() const { return impl_->deposed_; }
void Runtime::follow(store::Follower& follower) { impl_->follower_ = &follower; }
void Runtime::on_role(std::function<void(bool owner)> told) { impl_->on_role_ = std::move(told); }
void Runtime::drain() { impl_->drain(); }
bool Runtime::drained() const { return impl_->drained(); }
void Runtime::need_owner() const { impl_->need_owner(); }
std::string Runtime::owner_address() const { return impl_->owner_address(); }
Answer Runtime::call(core::Event command, Duration timeout) {
    std::vector<core::Event> single;
    single.push_back(std::move(command));
    return impl_->call_all(std::move(single), timeout).front();
}
std::vector<Answer> Runtime::call_all(std::vector<core::Event> commands, Duration timeout) {
    return impl_->call_all(std::move(commands), timeout);
}
void Runtime::call_later(
    core::Event command, std::function<void(std::shared_future<Answer>)> told
) {
    impl_->submit(std::move(command), Waiter(std::move(told)));
}
void Runtime::post(core::Event event) { impl_->post(std::move(event)); }
void Runtime::report(std::vector<AttemptResult> results) { impl_->report(std::move(results)); }
DagPtr Runtime::define(const Dag& dag, std::vector<Problem> warnings) {
    return impl_->define(dag, std::move(warnings));
}
void Runtime::forget(const std::string& dag_id) { impl_->post(core::DagGone{dag_id}); }
void Runtime::announce_import_errors(const std::string& dag_id) { impl_->announce(dag_id); }
RunFacts Runtime::run_facts(const RunQuestion& question) { return impl_->run_facts(question); }
void Runtime::query(const std::function<void(const core::Scheduler&)>& ask) { impl_->query(ask); }
DagRegistry& Runtime::registry() { return impl_->registry_; }
Feed& Runtime::feed() { return impl_->feed_; }
const LoopFigures& Runtime::figures() const { return impl_->figures_; }
Seq Runtime::seq() const { return Seq{impl_->seq_}; }

}  // namespace sluice::runtime
