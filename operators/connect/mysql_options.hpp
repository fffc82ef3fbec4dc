// mysql_options.hpp — what a connection says to Connector/C. Pure.
#pragma once

#include <string>

namespace sluice::task {
struct Connection;
}

namespace sluice::connect {

enum class MysqlTls { off, encrypt, verify };

struct MysqlOptions {
    std::string socket;  // "" = TCP
    MysqlTls tls{MysqlTls::verify};
    std::string ca;  // files
    std::string certificate;
    std::string key;
    unsigned connect_timeout{10};  // seconds
};
/// Throws Error(invalid) naming the connection.
MysqlOptions mysql_options(const task::Connection& connection);

}  // namespace sluice::connect
