// asio.hpp — short names for Asio and Beast; for http/*.cpp that speak to sockets.
#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/fields.hpp>

namespace sluice::http {

namespace net = boost::asio;
namespace beast = boost::beast;
namespace bhttp = boost::beast::http;
using tcp = net::ip::tcp;
using Code = boost::system::error_code;

/// co_await gives (error code, result) and never throws.
inline constexpr auto tuple = net::as_tuple(net::use_awaitable);

}  // namespace sluice::http
