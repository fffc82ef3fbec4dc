// copy_sender.hpp — a COPY into PostgreSQL whose pieces are sent by a thread of its own: the engine
// makes the next rows while the server takes those before.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <mutex>
#include <string>
#include <thread>

#include "operators/connect/postgres.hpp"

namespace sluice::load {

class CopySender {
public:
    /// Begins `statement`, COPY ... FROM STDIN. Until its end nobody else may use the connection,
    /// but to cancel.
    CopySender(connect::Postgres& postgres, const std::string& statement);
    /// Without end(): the COPY has no effect.
    ~CopySender();
    CopySender(const CopySender&) = delete;
    CopySender& operator=(const CopySender&) = delete;

    /// Takes the bytes, leaves room for the next. Waits while several pieces are still to be sent.
    /// Throws what went wrong with those before.
    void put(std::string& bytes);
    /// Waits until all is there; the rows that the server counted. Throws what it says against
    /// them.
    std::int64_t end();

private:
    void send() noexcept;
    void join();

    connect::Postgres& postgres_;
    bool ended_{false};

    std::mutex mutex_;  // guards all below
    std::condition_variable changed_;
    std::deque<std::string> ready_;
    bool last_{false};  // nothing more is put
    std::exception_ptr failure_;
    std::thread thread_;  // behind all that it uses
};

}  // namespace sluice::load
