// pooled.hpp — work on a pool's connection, with failures said as Error. Included by .cpp files of
// this folder only.
#pragma once

#include "base/error.hpp"
#include "store/connection_pool.hpp"
#include "store/pq.hpp"

namespace sluice::store {

[[noreturn]] inline void rethrow(const SqlError& error) {
    if (error.state() == "23505") throw Error(ErrorCode::conflict, error.what());
    if (error.is_about_data()) throw Error(ErrorCode::invalid, error.what());
    if (error.state() == "57014") {
        throw Error(ErrorCode::limit, "the query took longer than statement_timeout (30 s)");
    }
    if (error.state().starts_with("42")) throw Error(ErrorCode::internal, error.what());
    throw Error(ErrorCode::unavailable, error.what());
}

/// Changes something, once.
template <class Work>
auto change(ConnectionPool& pool, Work work) {
    auto connection = pool.take();
    try {
        return work(*connection);
    } catch (const ConnectionLost& lost) {
        throw Error(ErrorCode::unavailable, std::string{"the database is away: "} + lost.what());
    } catch (const SqlError& error) {
        rethrow(error);
    }
}

/// Reads. A connection that lay idle while the server was restarted is replaced once.
template <class Work>
auto read(ConnectionPool& pool, Work work) {
    try {
        auto connection = pool.take();
        return work(*connection);
    } catch (const ConnectionLost&) {
        return change(pool, work);
    } catch (const SqlError& error) {
        rethrow(error);
    }
}

}  // namespace sluice::store
