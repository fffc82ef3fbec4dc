#include "http/forward.hpp"

#include <array>
#include <future>
#include <mutex>
#include <set>
#include <string_view>
#include <thread>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>

#include "base/error.hpp"
#include "base/limits.hpp"
#include "http/asio.hpp"
#include "http/stream.hpp"

namespace sluice::http {
namespace {

constexpr auto connect_time = std::chrono::seconds{3};
constexpr auto reply_time = std::chrono::seconds{45};   // longer than the owner takes to say no
constexpr auto stream_time = std::chrono::seconds{60};  // streams have a heartbeat every 15 s
constexpr std::size_t reply_bytes = std::size_t{512} << 20;
constexpr std::size_t stream_bytes = std::size_t{4} << 20;

/// Headers that speak of one connection, or that are written anew.
bool is_of_the_hop(std::string_view name) {
    for (const std::string_view other :
         {"connection",
          "keep-alive",
          "proxy-authenticate",
          "proxy-authorization",
          "te",
          "trailer",
          "transfer-encoding",
          "upgrade",
          "content-length",
          "content-type",
          "date",
          "expect"})
        if (beast::iequals(name, other)) return true;
    return false;
}

/// What one call needs; shared by the caller and the io thread.
struct Call {
    Call(net::io_context& io) : stream(io), resolver(io) {}
    beast::tcp_stream stream;
    tcp::resolver resolver;
    bhttp::request<bhttp::string_body> request;
    beast::flat_buffer buffer;
    std::string host;
    std::string port;
    std::promise<Reply> reply;
    std::shared_ptr<Stream> out;  // set once the reply turned out to be a stream
};
using CallPtr = std::shared_ptr<Call>;
using ReplyParser = bhttp::response_parser<bhttp::buffer_body>;

bhttp::request<bhttp::string_body> message_of(const Request& request, const std::string& host) {
    bhttp::request<bhttp::string_body> message;
    message.method_string(request.method);
    message.target(
        request.query_text.empty() ? request.path : request.path + '?' + request.query_text
    );
    message.version(11);
    for (const auto& [name, value] : request.headers)
        if (!is_of_the_hop(name)) message.insert(name, value);
    // The host stays as the caller wrote it: cookies and origins are judged by it.
    if (request.header("host").empty()) message.set(bhttp::field::host, host);
    if (const auto type = request.header("content-type"); !type.empty())
        message.set(bhttp::field::content_type, std::string(type));
    message.set(Forwarder::mark, "1");
    message.set("X-Request-Id", request.request_id);
    message.set("X-Forwarded-For", request.remote);
    message.set(bhttp::field::connection, "close");
    message.body() = request.body;
    message.prepare_payload();
    return message;
}

Reply reply_of(const bhttp::response_header<>& header) {
    Reply reply;
    reply.status = static_cast<int>(header.result_int());
    for (const auto& field : header) {
        const std::string_view name(field.name_string().data(), field.name_string().size());
        const std::string value(field.value().data(), field.value().size());
        if (beast::iequals(name, "content-type")) reply.content_type = value;
        if (is_of_the_hop(name) || beast::iequals(name, "x-request-id")) continue;
        reply.set_header(std::string(name), value);
    }
    return reply;
}

[[noreturn]] void fail(const std::string& what) { throw Error(ErrorCode::unavailable, what); }

void check(Code error, const Call& call) {
    if (error) fail("no reply from " + call.host + ':' + call.port + ": " + error.message());
}

net::awaitable<void> connect_and_send(CallPtr call) {
    auto [unresolved, endpoints] =
        co_await call->resolver.async_resolve(call->host, call->port, tuple);
    check(unresolved, *call);
    call->stream.expires_after(connect_time);
    auto [refused, endpoint] = co_await call->stream.async_connect(endpoints, tuple);
    check(refused, *call);
    call->stream.expires_after(reply_time);
    auto [unsent, bytes] = co_await bhttp::async_write(call->stream, call->request, tuple);
    check(unsent, *call);
}

/// The rest of the body as it comes: into the reply, or into its stream. False at the end.
net::awaitable<bool> read_some(CallPtr call, ReplyParser& parser, std::string& out) {
    std::array<char, 16'384> bytes{};
    parser.get().body().data = bytes.data();
    parser.get().body().size = bytes.size();
    auto [error, count] = co_await bhttp::async_read(call->stream, call->buffer, parser, tuple);
    if (error && error != bhttp::error::need_buffer) check(error, *call);
    out.assign(bytes.data(), bytes.size() - parser.get().body().size);
    co_return !parser.is_done();
}

net::awaitable<void> pump(CallPtr call, ReplyParser& parser) {
    std::string some;
    for (bool more = true; more;) {
        call->stream.expires_after(stream_time);
        // An event must not wait for a full buffer.
        std::array<char, 16'384> bytes{};
        parser.get().body().data = bytes.data();
        parser.get().body().size = bytes.size();
        auto [error, count] =
            co_await bhttp::async_read_some(call->stream, call->buffer, parser, tuple);
        if (error && error != bhttp::error::need_buffer) break;
        some.assign(bytes.data(), bytes.size() - parser.get().body().size);
        more = !parser.is_done();
        if (!some.empty() && !call->out->push(some)) break;
    }
    call->out->close();
}

}  // namespace

class Forwarder::Impl {
public:
    Impl() : thread_([this] { io_.run(); }) {}
    ~Impl() { stop(); }
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;

    Reply forward(const Request& request, const std::string& base) {
        constexpr std::string_view scheme = "http://";
        const auto colon = base.rfind(':');
        if (!base.starts_with(scheme) || colon <= scheme.size())
            fail("\"" + base + "\" is not an address of the form http://HOST:PORT");
        auto call = std::make_shared<Call>(io_);
        call->host = base.substr(scheme.size(), colon - scheme.size());
        call->port = base.substr(colon + 1);
        call->request = message_of(request, call->host + ':' + call->port);
        auto reply = call->reply.get_future();
        {
            const std::lock_guard lock(mutex_);
            if (stopping_) fail("the daemon is stopping");
            calls_.insert(call);
        }
        net::co_spawn(io_, serve(call, request.method == "HEAD"), net::detached);
        return reply.get();
    }

    void stop() {
        {
            const std::lock_guard lock(mutex_);
            stopping_ = true;
        }
        net::post(io_, [this] {
            const std::lock_guard lock(mutex_);
            for (const auto& call : calls_) call->stream.close();
        });
        work_.reset();
        if (thread_.joinable()) thread_.join();
    }

private:
    net::awaitable<void> serve(CallPtr call, bool head) {
        bool answered = false;
        try {
            co_await connect_and_send(call);
            ReplyParser parser;
            parser.skip(head);
            parser.body_limit(reply_bytes);
            auto [error, count] =
                co_await bhttp::async_read_header(call->stream, call->buffer, parser, tuple);
            check(error, *call);
            Reply reply = reply_of(parser.get());
            if (parser.chunked() && !head) {
                reply.stream = call->out = std::make_shared<Stream>(stream_bytes);
                reply.stream->on_gone([this, weak = std::weak_ptr(call)] {
                    net::post(io_, [weak] {
                        if (const auto gone = weak.lock()) gone->stream.close();
                    });
                });
                answered = true;
                call->reply.set_value(std::move(reply));
                co_await pump(call, parser);
            } else {
                std::string some;
                for (bool more = !parser.is_done(); more;) {
                    more = co_await read_some(call, parser, some);
                    reply.body += some;
                }
                answered = true;
                call->reply.set_value(std::move(reply));
            }
        } catch (...) {
            if (!answered) call->reply.set_exception(std::current_exception());
            if (call->out) call->out->close();
        }
        call->stream.close();
        const std::lock_guard lock(mutex_);
        calls_.erase(call);
    }

    net::io_context io_{1};
    net::executor_work_guard<net::io_context::executor_type> work_{io_.get_executor()};
    std::mutex mutex_;  // guards calls_ and stopping_
    std::set<CallPtr> calls_;
    bool stopping_{false};
    std::thread thread_;
};

Forwarder::Forwarder() : impl_(std::make_unique<Impl>()) {}
Forwarder::~Forwarder() = default;
Reply Forwarder::forward(const Request& request, const std::string& base) {
    return impl_->forward(request, base);
}
void Forwarder::stop() { impl_->stop(); }

}  // namespace sluice::http
