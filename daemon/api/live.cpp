#include "api/live.hpp"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include <spdlog/spdlog.h>

#include "api/failure.hpp"
#include "api/json.hpp"
#include "api/live_batch.hpp"
#include "api/live_frames.hpp"
#include "api/log_view.hpp"
#include "api/services.hpp"
#include "http/stream.hpp"

namespace sluice::api {
namespace {

using namespace std::chrono_literals;
using Steady = std::chrono::steady_clock;

constexpr auto frame = 16ms;      // at most one frame a browser in this time
constexpr auto log_pace = 100ms;  // how often a log that is watched is looked at
constexpr auto progress_pace = 500ms;
constexpr auto ping_pace = 15s;
constexpr std::size_t log_lines = 2'000;  // a log event
constexpr std::size_t past_items = 100'000;
constexpr std::size_t stream_bytes = std::size_t{4} << 20;

/// A log that a stream follows.
struct Tail {
    std::string key;
    std::string path;
    TaskKey task;
    int try_number{};
    std::uint64_t line{};
    std::uint64_t offset{};
    bool placed{false};  // `offset` belongs to `line`
    bool complete{false};
    bool done{false};
};

struct Watcher {
    std::shared_ptr<http::Stream> stream;
    std::vector<Topic> topics;
    std::vector<Tail> tails;
    std::string user;
    std::string session;
};

bool watches_run(const std::shared_ptr<Watcher>& watcher) {
    return std::ranges::any_of(watcher->topics, [](const Topic& topic) {
        return topic.kind == Topic::Kind::run;
    });
}

struct Wait {
    RunKey run;
    Steady::duration interval{};
    Steady::time_point next;
    std::shared_ptr<http::Stream> stream;
    std::function<std::string(RunState)> line;
    RunState state{RunState::queued};
    bool told{false};  // the end was pushed
};

}  // namespace

class Live::Impl {
public:
    Impl(runtime::Runtime& runtime, store::Queries& queries, Versions& versions, const Clock& clock)
        : runtime_(runtime),
          queries_(queries),
          clock_(clock),
          subscription_(runtime.feed().subscribe()),
          floor_(runtime.seq()),
          frames_(runtime, queries, versions) {
        subscription_->on_ready([this] { wake(); });
        thread_ = std::thread([this] { run(); });
    }

    http::Reply open(Services& services, const http::Request& request, const Caller& caller);
    void tell_progress(std::function<std::vector<TaskProgress>()> progress) {
        const std::lock_guard lock(mutex_);
        progress_ = std::move(progress);
    }
    void end_session(const std::string& session);
    void watch_run(Wait wait);
    std::size_t streams() {
        const std::lock_guard lock(mutex_);
        return watchers_.size();
    }
    void stop();

private:
    // Called by the loop once a turn: to wake a thread costs more than an empty task, and one that
    // only waits for its next frame need not be.
    void wake() {
        {
            const std::lock_guard lock(wake_mutex_);
            if (std::exchange(woken_, true) || !sleeping_) return;
        }
        wake_.notify_one();
    }
    /// Until there is something to do, but no earlier than a frame after the last one. False: stop.
    bool wait_until_due(Steady::time_point due);
    void run();
    Steady::time_point next_due(Steady::time_point now);
    bool drain(Batch& batch);
    void resync_all();
    void flush(const Batch& batch);
    void poll_logs(const Batch& batch);
    void poll_log(Watcher& watcher, Tail& tail);
    void poll_progress(Steady::time_point now);
    void serve_waits(const Batch& batch, Steady::time_point now);
    void ping();
    void forget_gone();
    std::string replay(const Watcher& watcher, std::int64_t since);
    std::string bye(const char* why);

    runtime::Runtime& runtime_;
    store::Queries& queries_;
    const Clock& clock_;
    std::shared_ptr<runtime::Feed::Subscription> subscription_;

    std::mutex wake_mutex_;  // guards the three below
    std::condition_variable wake_;
    bool sleeping_{false};  // until it is woken, and not for the next frame
    bool woken_{false};
    bool stopping_{false};

    std::mutex mutex_;  // guards all below
    std::vector<std::shared_ptr<Watcher>> watchers_;
    std::vector<std::shared_ptr<Wait>> waits_;
    std::deque<Batch> past_;
    std::size_t past_size_{0};
    Seq floor_;  // everything after it is in past_
    LiveFrames frames_;
    std::function<std::vector<TaskProgress>()> progress_;
    std::map<TaskKey, Instant> progress_told_;  // when what was told last was said

    Steady::time_point next_progress_{};
    Steady::time_point next_ping_{Steady::now() + ping_pace};
    Steady::time_point last_frame_{};
    std::thread thread_;
};

Steady::time_point Live::Impl::next_due(Steady::time_point now) {
    const std::lock_guard lock(mutex_);
    Steady::time_point due = now + 60s;
    if (!watchers_.empty()) due = std::min(due, next_ping_);
    for (const auto& watcher : watchers_)
        for (const Tail& tail : watcher->tails)
            if (!tail.done) due = std::min(due, now + log_pace);
    if (progress_ && std::ranges::any_of(watchers_, watches_run))
        due = std::min(due, std::max(now, next_progress_));
    for (const auto& wait : waits_) due = std::min(due, wait->next);
    return due;
}

bool Live::Impl::wait_until_due(Steady::time_point due) {
    std::unique_lock lock(wake_mutex_);
    sleeping_ = true;
    wake_.wait_until(lock, due, [this] { return woken_ || stopping_; });
    sleeping_ = false;
    // One frame in 16 ms: what comes meanwhile is merged into it.
    if (Steady::now() - last_frame_ < frame)
        wake_.wait_until(lock, last_frame_ + frame, [this] { return stopping_; });
    woken_ = false;
    return !stopping_;
}

void Live::Impl::run() {
    while (wait_until_due(next_due(Steady::now()))) {
        try {
            Batch batch;
            const bool news = drain(batch);
            const auto now = Steady::now();
            if (news || !batch.empty()) {
                flush(batch);
                last_frame_ = Steady::now();
            }
            poll_logs(batch);
            if (now >= next_progress_) poll_progress(now);
            serve_waits(batch, now);
            if (now >= next_ping_) ping();
            forget_gone();
        } catch (const std::exception& error) {
            // The database may be away; browsers learn of what was missed when they come back.
            spdlog::warn("live updates: {}", error.what());
            resync_all();
        }
    }
}

bool Live::Impl::drain(Batch& batch) {
    batch.seq = runtime_.seq();
    bool any = false;
    if (subscription_->take_overflow()) resync_all();
    while (const auto change = subscription_->next(Steady::now())) {
        Batch one = batch_of(**change);
        const std::lock_guard lock(mutex_);
        // Who comes later is told of it from past_.
        if (!watchers_.empty() || !waits_.empty()) batch.add(one);
        past_size_ += one.size();
        past_.push_back(std::move(one));
        while (past_size_ > past_items) {
            past_size_ -= past_.front().size();
            floor_ = past_.front().seq;
            past_.pop_front();
        }
        any = true;
    }
    return any;
}

void Live::Impl::resync_all() {
    const std::lock_guard lock(mutex_);
    past_.clear();
    past_size_ = 0;
    floor_ = runtime_.seq();
    for (const auto& watcher : watchers_)
        watcher->stream->push(http::sse_event("", "resync", R"({"why":"buffer"})"));
}

void Live::Impl::flush(const Batch& batch) {
    const std::lock_guard lock(mutex_);
    // A run that was cleared or went on changes nothing of its name; a new one is learned here.
    for (const auto& watcher : watchers_) {
        const std::string text = frames_.frame_for(watcher->topics, batch);
        if (!text.empty()) watcher->stream->push(text);
    }
}

void Live::Impl::ping() {
    next_ping_ = Steady::now() + ping_pace;
    Json json;
    json["server_ms"] = to_millis(clock_.now());
    const std::string text = http::sse_event("", "ping", dump(json));
    const std::lock_guard lock(mutex_);
    for (const auto& watcher : watchers_) watcher->stream->push(text);
}

void Live::Impl::poll_log(Watcher& watcher, Tail& tail) {
    const executor::LogReader reader(tail.path);
    // Read before the lines: what is written until the attempt's end is then behind the page.
    const bool complete = tail.complete;
    const auto page = tail.placed ? reader.follow(tail.line, tail.offset, log_lines)
                                  : reader.from_line(tail.line, log_lines);
    const bool done = complete && page.at_end;
    if (page.lines.empty() && !done) return;
    Json json;
    json["k"] = tail.key;
    json["lines"] = Json::array();
    for (const auto& line : page.lines)
        json["lines"].push_back(
            {line.number, to_millis(line.at), std::string(1, level_letter(line.level)), line.event}
        );
    tail.line = page.next_line;
    tail.offset = page.next_offset;
    tail.placed = true;
    json["total"] = tail.line;
    json["done"] = done;
    tail.done = done;
    watcher.stream->push(http::sse_event("", "log", dump(json)));
}

void Live::Impl::poll_logs(const Batch& batch) {
    const std::lock_guard lock(mutex_);
    for (const auto& watcher : watchers_) {
        for (Tail& tail : watcher->tails) {
            if (tail.done) continue;
            const auto found = batch.tasks.find(tail.task);
            if (found != batch.tasks.end() &&
                (!found->second.live || found->second.try_number > tail.try_number))
                tail.complete = true;
            poll_log(*watcher, tail);
        }
    }
}

void Live::Impl::poll_progress(Steady::time_point now) {
    next_progress_ = now + progress_pace;
    const std::lock_guard lock(mutex_);
    if (!progress_ || std::ranges::none_of(watchers_, watches_run)) return;
    std::vector<TaskProgress> news;
    std::map<TaskKey, Instant> told;
    for (TaskProgress& one : progress_()) {
        const auto before = progress_told_.find(one.task);
        const bool fresh = before == progress_told_.end() || before->second < one.at;
        told[one.task] = one.at;
        if (fresh) news.push_back(std::move(one));
    }
    progress_told_ = std::move(told);
    if (news.empty()) return;
    for (const auto& watcher : watchers_) {
        const std::string text = frames_.progress_for(watcher->topics, news);
        if (!text.empty()) watcher->stream->push(text);
    }
}

void Live::Impl::serve_waits(const Batch& batch, Steady::time_point now) {
    std::vector<std::shared_ptr<Wait>> due;
    {
        const std::lock_guard lock(mutex_);
        for (const auto& wait : waits_) {
            const auto found = batch.runs.find(wait->run);
            if (found != batch.runs.end()) wait->state = found->second.state;
            if (is_finished(wait->state) || wait->next <= now) due.push_back(wait);
        }
    }
    // Outside of the lock: the line may read the database.
    for (const auto& wait : due) {
        wait->next = now + wait->interval;
        wait->stream->push(wait->line(wait->state));
        if (!is_finished(wait->state)) continue;
        wait->told = true;
        wait->stream->close();
    }
}

void Live::Impl::forget_gone() {
    const std::lock_guard lock(mutex_);
    std::erase_if(watchers_, [](const auto& watcher) { return watcher->stream->closed(); });
    std::erase_if(waits_, [](const auto& wait) { return wait->told || wait->stream->closed(); });
}

std::string Live::Impl::replay(const Watcher& watcher, std::int64_t since) {
    if (since < floor_.value || since > runtime_.seq().value)
        return http::sse_event("", "resync", R"({"why":"buffer"})");
    Batch merged;
    for (const Batch& batch : past_) {
        // Definitions and import errors move no seq: said twice they do no harm.
        const bool timeless = batch.seq.value == since && batch.tasks.empty() && batch.runs.empty();
        if (batch.seq.value > since || timeless) merged.add(batch);
    }
    return merged.empty() ? std::string() : frames_.frame_for(watcher.topics, merged);
}

http::Reply Live::Impl::open(
    Services& services, const http::Request& request, const Caller& caller
) {
    const auto topics = parse_topics(request.query_value("topics").value_or("dags"));
    if (!topics || topics->empty() || topics->size() > max_topics)
        throw failure(422, "topics is a list of dags, dag:X, run:X/R and log:X/R/T/MAP/TRY@LINE");
    auto watcher = std::make_shared<Watcher>();
    watcher->topics = *topics;
    watcher->user = caller.user;
    watcher->session = caller.session;
    for (const Topic& topic : *topics) {
        if (topic.kind != Topic::Kind::log) continue;
        const AttemptLog log = find_log(
            services,
            request,
            topic.dag_id,
            topic.run_id,
            topic.task_id,
            topic.map_index,
            topic.try_number
        );
        watcher->tails.push_back(
            {topic.key,
             log.path,
             log.found.instance.key,
             log.try_number,
             topic.line,
             0,
             false,
             log.complete,
             false}
        );
    }
    std::string known(request.header("last-event-id"));
    if (known.empty()) known = request.query_value("since").value_or("");
    char* end = nullptr;
    const std::int64_t since = std::strtoll(known.c_str(), &end, 10);
    const bool resumes = !known.empty() && *end == '\0';

    http::Reply reply;
    reply.content_type = "text/event-stream";
    reply.set_header("Cache-Control", "no-store");
    reply.set_header("X-Accel-Buffering", "no");
    reply.stream = watcher->stream = std::make_shared<http::Stream>(stream_bytes);
    watcher->stream->on_gone([this] { wake(); });
    {
        const std::lock_guard lock(mutex_);
        const auto mine = std::ranges::count(watchers_, caller.user, [](const auto& other) {
            return other->user;
        });
        if (watchers_.size() >= max_streams)
            throw failure(429, "Too many live streams are open (limit 500)");
        if (static_cast<std::size_t>(mine) >= max_streams_per_user)
            throw failure(429, "Too many live streams of this user are open (limit 20)");
        Json hello;
        hello["seq"] = runtime_.seq().value;
        hello["server_ms"] = to_millis(clock_.now());
        reply.body = http::sse_event("", "hello", dump(hello));
        if (resumes) reply.body += replay(*watcher, since);
        watchers_.push_back(watcher);
    }
    wake();
    return reply;
}

std::string Live::Impl::bye(const char* why) {
    Json json;
    json["why"] = why;
    if (std::string_view(why) == "shutdown") json["retry_ms"] = 800;
    return http::sse_event("", "bye", dump(json));
}

void Live::Impl::end_session(const std::string& session) {
    if (session.empty()) return;
    const std::lock_guard lock(mutex_);
    for (const auto& watcher : watchers_) {
        if (watcher->session != session) continue;
        watcher->stream->push(bye("auth"));
        watcher->stream->close();
    }
}

void Live::Impl::watch_run(Wait wait) {
    const auto shared = std::make_shared<Wait>(std::move(wait));
    shared->next = Steady::now();
    shared->stream->on_gone([this] { wake(); });
    {
        const std::lock_guard lock(mutex_);
        waits_.push_back(shared);
    }
    // Listed first, read second: an end between the two is told by the feed.
    const auto row = queries_.run(shared->run);
    {
        const std::lock_guard lock(mutex_);
        if (row && !is_finished(shared->state)) shared->state = row->run.state;
    }
    wake();
}

void Live::Impl::stop() {
    {
        const std::lock_guard lock(wake_mutex_);
        stopping_ = true;
    }
    wake_.notify_all();
    if (thread_.joinable()) thread_.join();
    subscription_->on_ready(nullptr);
    const std::lock_guard lock(mutex_);
    for (const auto& watcher : watchers_) {
        watcher->stream->push(bye("shutdown"));
        watcher->stream->close();
        watcher->stream->on_gone(nullptr);
    }
    for (const auto& wait : waits_) {
        wait->stream->close();
        wait->stream->on_gone(nullptr);
    }
    watchers_.clear();
    waits_.clear();
}

Live::Live(
    runtime::Runtime& runtime, store::Queries& queries, Versions& versions, const Clock& clock
)
    : impl_(std::make_unique<Impl>(runtime, queries, versions, clock)) {}
Live::~Live() { impl_->stop(); }
http::Reply Live::open(Services& services, const http::Request& request, const Caller& caller) {
    return impl_->open(services, request, caller);
}
void Live::tell_progress(std::function<std::vector<TaskProgress>()> progress) {
    impl_->tell_progress(std::move(progress));
}
void Live::end_session(const std::string& session) { impl_->end_session(session); }
void Live::watch_run(
    RunKey run,
    std::chrono::milliseconds interval,
    std::shared_ptr<http::Stream> stream,
    std::function<std::string(RunState)> line
) {
    Wait wait;
    wait.run = run;
    wait.interval = interval;
    wait.stream = std::move(stream);
    wait.line = std::move(line);
    impl_->watch_run(std::move(wait));
}
std::size_t Live::streams() const { return impl_->streams(); }
void Live::stop() { impl_->stop(); }

}  // namespace sluice::api
