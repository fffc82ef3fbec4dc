#include "http/server.hpp"

#include <condition_variable>
#include <mutex>
#include <thread>
#include <unordered_set>
#include <utility>
#include <vector>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include "base/error.hpp"
#include "http/asio.hpp"
#include "http/job.hpp"
#include "http/later.hpp"
#include "http/pool.hpp"
#include "http/session.hpp"

namespace sluice::http {
namespace {

constexpr std::chrono::milliseconds patience{100};

}  // namespace

class Server::Impl {
public:
    Impl(ServerOptions options, Handle handle)
        : options_(std::move(options)),
          handle_(std::move(handle)),
          pool_(options_.threads, 4 * options_.max_connections),
          acceptor_(io_) {
        listen();
        net::co_spawn(io_, accept_all(), net::detached);
        thread_ = std::thread([this] { io_.run(); });
    }
    ~Impl() { stop(); }
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;

    [[nodiscard]] std::uint16_t port() const { return port_; }
    [[nodiscard]] const ServerCounters& counters() const { return counters_; }
    void stop();

private:
    void listen();
    net::awaitable<void> accept_all();
    net::awaitable<void> serve(std::shared_ptr<Session> session);
    net::awaitable<void> run(std::shared_ptr<Job> job);
    net::awaitable<void> wait_for(std::shared_ptr<Job> job);
    void answer(const std::shared_ptr<Job>& job) noexcept;
    /// What its handler left for later.
    void answer_ready() noexcept;
    void deliver(std::vector<std::shared_ptr<Job>> jobs);
    void ended(const std::shared_ptr<Session>& session);

    const ServerOptions options_;
    const Handle handle_;
    ServerCounters counters_;
    BlockingPool pool_;
    const std::shared_ptr<Desk> desk_{std::make_shared<Desk>([this] {
        pool_.post([this] { answer_ready(); });
    })};
    net::io_context io_{1};
    net::executor_work_guard<net::io_context::executor_type> work_{io_.get_executor()};
    tcp::acceptor acceptor_;
    std::uint16_t port_{0};
    bool stopping_{false};                                   // io thread
    std::unordered_set<std::shared_ptr<Session>> sessions_;  // io thread
    std::mutex mutex_;                                       // guards open_
    std::condition_variable none_open_;
    std::size_t open_{0};
    std::thread thread_;
};

void Server::Impl::listen() {
    const std::string where = options_.address + ":" + std::to_string(options_.port);
    Code error;
    const auto address = net::ip::make_address(options_.address, error);
    if (error) throw Error(ErrorCode::invalid, "cannot listen on " + where + ": not an IP address");
    const tcp::endpoint endpoint(address, options_.port);
    acceptor_.open(endpoint.protocol(), error);
    if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(net::socket_base::max_listen_connections, error);
    if (error == net::error::address_in_use)
        throw Error(
            ErrorCode::conflict,
            "cannot listen on " + where + ": port " + std::to_string(options_.port) +
                " is in use by another program; end it or choose another port"
        );
    if (error)
        throw Error(ErrorCode::unavailable, "cannot listen on " + where + ": " + error.message());
    port_ = acceptor_.local_endpoint().port();
}

net::awaitable<void> Server::Impl::accept_all() {
    net::steady_timer pause(io_);
    while (!stopping_) {
        auto accepted = co_await acceptor_.async_accept(tuple);
        const Code error = std::get<0>(accepted);
        if (stopping_) co_return;
        if (error) {
            // Out of file descriptors, or the peer was gone already: try again a little later.
            pause.expires_after(std::chrono::milliseconds(20));
            co_await pause.async_wait(tuple);
            continue;
        }
        counters_.accepted.fetch_add(1);
        if (sessions_.size() >= options_.max_connections) {
            counters_.refused.fetch_add(1);
            continue;  // closed by the socket's destructor
        }
        auto session = std::make_shared<Session>(std::move(std::get<1>(accepted)));
        Code ignored;
        session->stream.socket().set_option(tcp::no_delay(true), ignored);
        const auto peer = session->stream.socket().remote_endpoint(ignored);
        session->remote = peer.address().to_string();
        sessions_.insert(session);
        counters_.connections.store(sessions_.size());
        {
            const std::lock_guard lock(mutex_);
            ++open_;
        }
        net::co_spawn(io_, serve(session), net::detached);
    }
}

void Server::Impl::ended(const std::shared_ptr<Session>& session) {
    session->stream.close();
    if (session->feed) session->feed->gone();
    sessions_.erase(session);
    counters_.connections.store(sessions_.size());
    const std::lock_guard lock(mutex_);
    --open_;
    if (open_ == 0) none_open_.notify_all();
}

net::awaitable<void> Server::Impl::serve(std::shared_ptr<Session> session) {
    bool first = true;
    bool keep = true;
    while (keep && !stopping_) {
        Parser parser;
        const Read got = co_await read_request(session, options_, parser, first);
        first = false;
        if (got.status == ReadStatus::refused) {
            counters_.bad_requests.fetch_add(1);
            co_await refuse(session, options_, got);
        }
        if (got.status != ReadStatus::ok) break;
        const unsigned version = parser.get().version();
        keep = parser.get().keep_alive();
        auto job = std::make_shared<Job>(to_request(parser.release(), session->remote));
        const bool head = job->request.method == "HEAD";
        session->job = job;
        co_await run(job);
        session->job.reset();
        if (job->given_up) break;
        if (stopping_) keep = false;
        if (job->reply.stream && !head) {
            counters_.streams.fetch_add(1);
            co_await stream_reply(session, options_, job, version);
            counters_.streams.fetch_sub(1);
            break;
        }
        if (job->reply.stream) job->reply.stream->gone();
        const bool written = co_await write_reply(session, options_, job, version, keep);
        if (!written) break;
    }
    Code ignored;
    session->stream.socket().shutdown(tcp::socket::shutdown_send, ignored);
    ended(session);
}

void Server::Impl::answer(const std::shared_ptr<Job>& job) noexcept {
    // Method and id are needed for the reply's header after the handler has consumed the request.
    Request request = std::move(job->request);
    job->request = Request{};
    job->request.method = request.method;
    job->request.request_id = request.request_id;
    job->path = request.path;
    make_reply(*job, [&] {
        return request.path.empty() ? json_reply(400, R"({"detail":"Bad request target"})")
                                    : handle_(std::move(request));
    });
    const std::shared_ptr<Later> later = std::exchange(job->reply.later, nullptr);
    if (!later) return deliver({job});
    {
        const std::lock_guard lock(job->mutex);
        job->later = later;
    }
    // Whoever closes the desk gives up what waits by then.
    if (desk_->closed()) {
        job->reply = json_reply(503, R"({"detail":"The server is stopping"})");
        return deliver({job});
    }
    later->on_ready([desk = desk_, weak = std::weak_ptr(job)](Later::Make make_it) {
        desk->put({weak, std::move(make_it)});
    });
}

void Server::Impl::answer_ready() noexcept {
    std::vector<std::shared_ptr<Job>> jobs;
    for (const Ready& ready : desk_->take()) {
        const std::shared_ptr<Job> job = ready.job.lock();
        if (!job) continue;
        make_reply(*job, ready.make);
        jobs.push_back(job);
    }
    deliver(std::move(jobs));
}

void Server::Impl::deliver(std::vector<std::shared_ptr<Job>> jobs) {
    net::post(io_, [jobs = std::move(jobs)] {
        for (const auto& job : jobs) {
            job->done = true;
            if (job->wake) job->wake();
        }
    });
}

net::awaitable<void> Server::Impl::run(std::shared_ptr<Job> job) {
    const bool posted = pool_.post([this, job] { answer(job); });
    if (!posted) {
        counters_.refused.fetch_add(1);
        job->reply = json_reply(503, R"({"detail":"The server is busy, try again"})");
        job->reply.set_header("Retry-After", "1");
        co_return;
    }
    co_await wait_for(job);
}

net::awaitable<void> Server::Impl::wait_for(std::shared_ptr<Job> job) {
    net::steady_timer timer(io_);
    job->wake = [&timer] { timer.cancel(); };
    bool over = job->done || job->given_up;
    while (!over) {
        timer.expires_after(patience);
        const auto waited = co_await timer.async_wait(tuple);
        over = job->done || job->given_up;
        if (over || std::get<0>(waited)) continue;
        std::shared_ptr<Later> later;
        {
            const std::lock_guard lock(job->mutex);
            later = job->later;
        }
        if (later && later->impatient) later->impatient();
    }
    job->wake = nullptr;
}

void Server::Impl::stop() {
    if (!thread_.joinable()) return;
    net::post(io_, [this] {
        stopping_ = true;
        Code ignored;
        acceptor_.close(ignored);
        for (const auto& session : sessions_) {
            if (session->idle) session->stream.close();
            if (session->feed) session->feed->close();
        }
    });
    {
        std::unique_lock lock(mutex_);
        none_open_.wait_for(lock, options_.stop_grace, [this] { return open_ == 0; });
    }
    desk_->close();
    net::post(io_, [this] {
        for (const auto& session : sessions_) {
            session->stream.close();
            if (session->feed) session->feed->close();
            if (!session->job) continue;
            const std::lock_guard lock(session->job->mutex);
            if (!session->job->later) continue;
            session->job->given_up = true;
            if (session->job->wake) session->job->wake();
        }
    });
    pool_.stop();
    work_.reset();
    thread_.join();
}

Server::Server(ServerOptions options, Handle handle)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(handle))) {}
Server::~Server() = default;
std::uint16_t Server::port() const { return impl_->port(); }
const ServerCounters& Server::counters() const { return impl_->counters(); }
void Server::stop() { impl_->stop(); }

}  // namespace sluice::http
