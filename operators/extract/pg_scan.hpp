// pg_scan.hpp — the rows of a COPY while a statement of the engine reads them: a thread takes them
// from the server, the engine's threads decode them, and no table lies between.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "operators/connect/postgres.hpp"
#include "operators/engine/database.hpp"
#include "operators/extract/pg_copy.hpp"
#include "operators/extract/table_progress.hpp"

namespace sluice::extract {

/// Runs COPY ... TO STDOUT and gives its rows to `each`. A failure of the server says after which
/// row. Returns the rows.
std::int64_t copy_rows(
    connect::Postgres& postgres,
    const std::string& copy,
    std::size_t columns,
    const std::function<void(std::string_view fields, std::int64_t number)>& each,
    TableProgress* progress = nullptr
);

class PgScan {
public:
    /// The connection is in a transaction, which is committed behind the last row.
    PgScan(
        std::shared_ptr<connect::Postgres> postgres,
        std::string copy,
        std::vector<PgColumn> columns,
        TableProgress progress
    );
    ~PgScan();
    PgScan(const PgScan&) = delete;
    PgScan& operator=(const PgScan&) = delete;

    /// For a RowSource; the rows are there once.
    void begin();
    void next(engine::RowAppender& into);

    /// Throws what went wrong, if something did.
    void check();
    [[nodiscard]] std::int64_t rows();

private:
    /// Rows that were sent one behind the other.
    struct Block {
        std::int64_t first{0};  // number of the first row
        std::string bytes;
        std::vector<std::size_t> ends;
    };

    void read() noexcept;
    void add(std::string_view fields, std::int64_t number);
    void hand_over();
    std::optional<Block> take();
    void fail(std::exception_ptr failure) noexcept;

    const std::shared_ptr<connect::Postgres> postgres_;
    const std::string copy_;
    const std::vector<PgColumn> columns_;
    TableProgress progress_;  // of the thread
    Block filling_;           // of the thread

    std::mutex mutex_;  // guards all below
    std::condition_variable changed_;
    std::deque<Block> ready_;
    std::size_t ready_bytes_{0};
    std::int64_t rows_{0};
    bool over_{false};  // nothing more comes, or is wanted
    std::exception_ptr failure_;
    std::thread thread_;  // begun under the mutex
};

}  // namespace sluice::extract
