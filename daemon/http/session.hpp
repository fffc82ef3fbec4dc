// session.hpp — one connection: requests are read from it, replies are written to it. Used on the
// io thread only. For server.cpp only.
#pragma once

#include <memory>
#include <string>

#include <boost/asio/awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include "http/asio.hpp"
#include "http/job.hpp"
#include "http/server.hpp"
#include "http/stream.hpp"

namespace sluice::http {

using Parser = bhttp::request_parser<bhttp::string_body>;

struct Session {
    explicit Session(tcp::socket socket) : stream(std::move(socket)) {}
    beast::tcp_stream stream;
    beast::flat_buffer buffer;
    std::string remote;
    bool idle{true};  // between requests: may be closed at once
    std::shared_ptr<Stream> feed;
    std::shared_ptr<Job> job;  // the request that is being answered
};

enum class ReadStatus { ok, over, refused };

struct Read {
    ReadStatus status{ReadStatus::over};
    int error_status{400};
    std::string error;
};

// The options outlive the coroutines: they are the server's.

/// Waits for a request and reads it whole. `first`: nothing was read from this connection yet.
net::awaitable<Read> read_request(
    std::shared_ptr<Session> session, const ServerOptions& options, Parser& parser, bool first
);
/// What was read, as handlers see it. Empty path = not a request target that this server serves.
Request to_request(bhttp::request<bhttp::string_body>&& message, const std::string& remote);
/// Tells why nothing could be read. The connection is of no use afterwards.
net::awaitable<void> refuse(
    std::shared_ptr<Session> session, const ServerOptions& options, Read why
);

/// False: the peer is gone.
net::awaitable<bool> write_reply(
    std::shared_ptr<Session> session,
    const ServerOptions& options,
    std::shared_ptr<Job> job,
    unsigned version,
    bool keep
);
/// Until the stream ends or the peer goes. The connection is of no use afterwards.
net::awaitable<void> stream_reply(
    std::shared_ptr<Session> session,
    const ServerOptions& options,
    std::shared_ptr<Job> job,
    unsigned version
);

}  // namespace sluice::http
