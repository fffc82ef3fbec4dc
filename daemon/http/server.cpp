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
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/chunk_encode.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <spdlog/spdlog.h>

#include "base/error.hpp"
#include "http/asio.hpp"
#include "http/incoming.hpp"
#include "http/job.hpp"
#include "http/later.hpp"
#include "http/pool.hpp"
#include "http/stream.hpp"

namespace sluice::http {
namespace {

using Parser = bhttp::request_parser<bhttp::string_body>;

/// One connection. Used on the io thread only.
struct Session {
    explicit Session(tcp::socket socket) : stream(std::move(socket)) {}
    beast::tcp_stream stream;
    beast::flat_buffer buffer;
    std::string remote;
    bool idle{true};  // between requests: may be closed at once
    std::shared_ptr<Stream> feed;
    std::shared_ptr<Job> job;  // the request that is being answered
};

constexpr std::chrono::milliseconds patience{100};

enum class ReadStatus { ok, over, refused };

struct Read {
    ReadStatus status{ReadStatus::over};
    int error_status{400};
    std::string error;
};

/// Empty path = not a request target that this server serves.
Request to_request(bhttp::request<bhttp::string_body>&& message, const std::string& remote) {
    Request request;
    request.method = std::string(message.method_string());
    set_target(request, {message.target().data(), message.target().size()});
    for (const auto& field : message) {
        const auto name = field.name_string();
        const auto value = field.value();
        add_header(request, {name.data(), name.size()}, {value.data(), value.size()});
    }
    request.body = std::move(message.body());
    request.remote = remote;
    request.request_id = request_id_of(request);
    return request;
}

Read refusal(Code error) {
    if (error == bhttp::error::header_limit)
        return {ReadStatus::refused, 431, "Request header is larger than the limit"};
    if (error == bhttp::error::body_limit)
        return {ReadStatus::refused, 413, "Request body is larger than the limit"};
    if (error == bhttp::error::end_of_stream || error == bhttp::error::partial_message ||
        error.category() != make_error_code(bhttp::error::bad_method).category())
        return {ReadStatus::over, 0, {}};
    return {ReadStatus::refused, 400, "Not a valid HTTP request: " + error.message()};
}

template <class Message>
void set_headers(Message& message, const Reply& reply, const std::string& request_id) {
    message.set(bhttp::field::date, http_date());
    message.set("X-Request-Id", request_id);
    if (!reply.content_type.empty()) message.set(bhttp::field::content_type, reply.content_type);
    for (const auto& [name, value] : reply.headers) message.insert(name, value);
}

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
    net::awaitable<Read> read(std::shared_ptr<Session> session, Parser& parser, bool first);
    net::awaitable<void> run(std::shared_ptr<Job> job);
    net::awaitable<void> wait_for(std::shared_ptr<Job> job);
    net::awaitable<bool> write(
        std::shared_ptr<Session> session, std::shared_ptr<Job> job, unsigned version, bool keep
    );
    net::awaitable<void> stream_reply(
        std::shared_ptr<Session> session, std::shared_ptr<Job> job, unsigned version
    );
    net::awaitable<void> refuse(std::shared_ptr<Session> session, Read why);
    net::awaitable<void> linger(std::shared_ptr<Session> session);
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
        const Read got = co_await read(session, parser, first);
        first = false;
        if (got.status == ReadStatus::refused) {
            counters_.bad_requests.fetch_add(1);
            co_await refuse(session, got);
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
            co_await stream_reply(session, job, version);
            break;
        }
        if (job->reply.stream) job->reply.stream->gone();
        const bool written = co_await write(session, job, version, keep);
        if (!written) break;
    }
    Code ignored;
    session->stream.socket().shutdown(tcp::socket::shutdown_send, ignored);
    ended(session);
}

net::awaitable<Read> Server::Impl::read(
    std::shared_ptr<Session> session, Parser& parser, bool first
) {
    beast::tcp_stream& stream = session->stream;
    parser.header_limit(static_cast<std::uint32_t>(options_.header_bytes));
    parser.body_limit(options_.body_bytes);
    if (session->buffer.size() == 0) {
        session->idle = true;
        stream.expires_after(first ? options_.header_timeout : options_.idle_timeout);
        const auto space = session->buffer.prepare(16U << 10U);
        const auto some = co_await stream.async_read_some(space, tuple);
        session->idle = false;
        if (std::get<0>(some)) co_return Read{};
        session->buffer.commit(std::get<1>(some));
    }
    // One deadline for the whole header: bytes that trickle in do not prolong it.
    stream.expires_after(options_.header_timeout);
    const auto header = co_await bhttp::async_read_header(stream, session->buffer, parser, tuple);
    if (std::get<0>(header)) co_return refusal(std::get<0>(header));
    if (!parser.is_done()) {
        stream.expires_after(options_.body_timeout);
        if (beast::iequals(parser.get()[bhttp::field::expect], "100-continue")) {
            const std::string go_on = "HTTP/1.1 100 Continue\r\n\r\n";
            const auto space = net::buffer(go_on);
            const auto sent = co_await net::async_write(stream, space, tuple);
            if (std::get<0>(sent)) co_return Read{};
        }
        const auto body = co_await bhttp::async_read(stream, session->buffer, parser, tuple);
        if (std::get<0>(body)) co_return refusal(std::get<0>(body));
    }
    Read ok;
    ok.status = ReadStatus::ok;
    co_return ok;
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

net::awaitable<bool> Server::Impl::write(
    std::shared_ptr<Session> session, std::shared_ptr<Job> job, unsigned version, bool keep
) {
    const Reply& reply = job->reply;
    const auto status = static_cast<bhttp::status>(reply.status);
    session->stream.expires_after(options_.write_timeout);
    bool ok = false;
    if (job->request.method == "HEAD" || reply.status == 204 || reply.status == 304) {
        bhttp::response<bhttp::empty_body> message(status, version);
        set_headers(message, reply, job->request.request_id);
        message.keep_alive(keep);
        if (job->request.method == "HEAD") message.content_length(reply.body.size());
        bhttp::response_serializer<bhttp::empty_body> serializer(message);
        const auto sent = co_await bhttp::async_write_header(session->stream, serializer, tuple);
        ok = !std::get<0>(sent);
    } else {
        bhttp::response<bhttp::string_body> message(status, version);
        set_headers(message, reply, job->request.request_id);
        message.keep_alive(keep);
        message.body() = std::move(job->reply.body);
        message.prepare_payload();
        const auto sent = co_await bhttp::async_write(session->stream, message, tuple);
        ok = !std::get<0>(sent);
    }
    co_return ok;
}

net::awaitable<void> Server::Impl::stream_reply(
    std::shared_ptr<Session> session, std::shared_ptr<Job> job, unsigned version
) {
    const std::shared_ptr<Stream> feed = job->reply.stream;
    session->feed = feed;
    counters_.streams.fetch_add(1);
    auto wake = std::make_shared<net::steady_timer>(io_);
    feed->set_wake([this, wake] { net::post(io_, [wake] { wake->cancel(); }); });
    // A reader that goes away is noticed at once, not with the next event.
    const auto gone = std::make_shared<bool>(false);
    session->stream.socket().async_wait(tcp::socket::wait_read, [session, wake, gone](Code error) {
        if (error == net::error::operation_aborted) return;
        char byte{};
        Code peeked;
        session->stream.socket().non_blocking(true, peeked);
        const auto size = session->stream.socket().receive(
            net::buffer(&byte, 1), net::socket_base::message_peek, peeked
        );
        if (size != 0) return;
        *gone = true;
        wake->cancel();
    });
    bhttp::response<bhttp::empty_body> head(static_cast<bhttp::status>(job->reply.status), version);
    set_headers(head, job->reply, job->request.request_id);
    const bool chunked = version >= 11;
    if (chunked) head.chunked(true);
    head.keep_alive(false);
    bhttp::response_serializer<bhttp::empty_body> serializer(head);
    session->stream.expires_after(options_.write_timeout);
    const auto began = co_await bhttp::async_write_header(session->stream, serializer, tuple);
    bool ok = !std::get<0>(began);
    std::string pending = std::move(job->reply.body);
    while (ok && !*gone) {
        if (pending.empty()) {
            const bool more = feed->take(pending);
            if (!more) break;
        }
        if (pending.empty()) {
            wake->expires_after(options_.heartbeat);
            const auto waited = co_await wake->async_wait(tuple);
            if (!std::get<0>(waited)) pending = feed->heartbeat;
            continue;
        }
        session->stream.expires_after(options_.write_timeout);
        const auto bytes = net::buffer(pending);
        if (chunked) {
            const auto chunk = bhttp::make_chunk(bytes);
            const auto sent = co_await net::async_write(session->stream, chunk, tuple);
            ok = !std::get<0>(sent);
        } else {
            const auto sent = co_await net::async_write(session->stream, bytes, tuple);
            ok = !std::get<0>(sent);
        }
        pending.clear();
    }
    if (ok && !*gone && chunked) {
        const auto last = bhttp::make_chunk_last();
        session->stream.expires_after(options_.write_timeout);
        co_await net::async_write(session->stream, last, tuple);
    }
    feed->gone();
    counters_.streams.fetch_sub(1);
}

net::awaitable<void> Server::Impl::refuse(std::shared_ptr<Session> session, Read why) {
    bhttp::response<bhttp::string_body> message(static_cast<bhttp::status>(why.error_status), 11);
    message.set(bhttp::field::content_type, "application/json");
    message.set(bhttp::field::date, http_date());
    message.keep_alive(false);
    // No quotes come in: the texts are ours and Beast's.
    message.body() = "{\"detail\":\"" + why.error + "\"}";
    message.prepare_payload();
    session->stream.expires_after(options_.write_timeout);
    const auto sent = co_await bhttp::async_write(session->stream, message, tuple);
    if (std::get<0>(sent)) co_return;
    co_await linger(session);
}

/// Reads on for a moment: closing a socket with unread bytes would reset the connection, and the
/// caller would not see the reply.
net::awaitable<void> Server::Impl::linger(std::shared_ptr<Session> session) {
    Code ignored;
    session->stream.socket().shutdown(tcp::socket::shutdown_send, ignored);
    session->stream.expires_after(std::chrono::milliseconds(500));
    session->buffer.clear();
    std::size_t total = 0;
    while (total < (std::size_t{1} << 24U)) {
        const auto space = session->buffer.prepare(64U << 10U);
        const auto some = co_await session->stream.async_read_some(space, tuple);
        if (std::get<0>(some)) co_return;
        total += std::get<1>(some);
    }
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
