#include "http/session.hpp"

#include <chrono>
#include <utility>

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/chunk_encode.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/write.hpp>

#include "http/incoming.hpp"

namespace sluice::http {
namespace {

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

/// Reads on for a moment: closing a socket with unread bytes would reset the connection, and the
/// caller would not see the reply.
net::awaitable<void> linger(std::shared_ptr<Session> session) {
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

}  // namespace

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

net::awaitable<Read> read_request(
    std::shared_ptr<Session> session, const ServerOptions& options, Parser& parser, bool first
) {
    beast::tcp_stream& stream = session->stream;
    parser.header_limit(static_cast<std::uint32_t>(options.header_bytes));
    parser.body_limit(options.body_bytes);
    if (session->buffer.size() == 0) {
        session->idle = true;
        stream.expires_after(first ? options.header_timeout : options.idle_timeout);
        const auto space = session->buffer.prepare(16U << 10U);
        const auto some = co_await stream.async_read_some(space, tuple);
        session->idle = false;
        if (std::get<0>(some)) co_return Read{};
        session->buffer.commit(std::get<1>(some));
    }
    // One deadline for the whole header: bytes that trickle in do not prolong it.
    stream.expires_after(options.header_timeout);
    const auto header = co_await bhttp::async_read_header(stream, session->buffer, parser, tuple);
    if (std::get<0>(header)) co_return refusal(std::get<0>(header));
    if (!parser.is_done()) {
        stream.expires_after(options.body_timeout);
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

net::awaitable<void> refuse(
    std::shared_ptr<Session> session, const ServerOptions& options, Read why
) {
    bhttp::response<bhttp::string_body> message(static_cast<bhttp::status>(why.error_status), 11);
    message.set(bhttp::field::content_type, "application/json");
    message.set(bhttp::field::date, http_date());
    message.keep_alive(false);
    // No quotes come in: the texts are ours and Beast's.
    message.body() = "{\"detail\":\"" + why.error + "\"}";
    message.prepare_payload();
    session->stream.expires_after(options.write_timeout);
    const auto sent = co_await bhttp::async_write(session->stream, message, tuple);
    if (std::get<0>(sent)) co_return;
    co_await linger(session);
}

net::awaitable<bool> write_reply(
    std::shared_ptr<Session> session,
    const ServerOptions& options,
    std::shared_ptr<Job> job,
    unsigned version,
    bool keep
) {
    const Reply& reply = job->reply;
    const auto status = static_cast<bhttp::status>(reply.status);
    session->stream.expires_after(options.write_timeout);
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

net::awaitable<void> stream_reply(
    std::shared_ptr<Session> session,
    const ServerOptions& options,
    std::shared_ptr<Job> job,
    unsigned version
) {
    const std::shared_ptr<Stream> feed = job->reply.stream;
    session->feed = feed;
    const auto io = session->stream.get_executor();
    auto wake = std::make_shared<net::steady_timer>(io);
    feed->set_wake([io, wake] { net::post(io, [wake] { wake->cancel(); }); });
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
    session->stream.expires_after(options.write_timeout);
    const auto began = co_await bhttp::async_write_header(session->stream, serializer, tuple);
    bool ok = !std::get<0>(began);
    std::string pending = std::move(job->reply.body);
    while (ok && !*gone) {
        if (pending.empty()) {
            const bool more = feed->take(pending);
            if (!more) break;
        }
        if (pending.empty()) {
            wake->expires_after(options.heartbeat);
            const auto waited = co_await wake->async_wait(tuple);
            if (!std::get<0>(waited)) pending = feed->heartbeat;
            continue;
        }
        session->stream.expires_after(options.write_timeout);
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
        session->stream.expires_after(options.write_timeout);
        co_await net::async_write(session->stream, last, tuple);
    }
    feed->gone();
}

}  // namespace sluice::http
