#include "operators/extract/pg_scan.hpp"

#include <utility>

#include "operators/engine/failure.hpp"

namespace sluice::extract {

using connect::Postgres;
using engine::Failure;

namespace {

/// Of the rows of one batch; one row may be larger.
constexpr std::size_t block_bytes = std::size_t{1} << 20;
/// The thread is no further ahead of the engine than this.
constexpr std::size_t ahead_bytes = 4 * block_bytes;

}  // namespace

std::int64_t copy_rows(
    Postgres& postgres,
    const std::string& copy,
    std::size_t columns,
    const std::function<void(std::string_view fields, std::int64_t number)>& each,
    TableProgress* progress
) {
    std::int64_t number = 0;
    PgCopyRows rows(columns, [&](std::string_view fields) { each(fields, ++number); });
    bool ours = false;
    try {
        postgres.copy_out(copy, [&](std::string_view bytes) {
            ours = true;
            rows.take(bytes);
            if (progress != nullptr) progress->add(rows.rows(), bytes.size());
            ours = false;
        });
        rows.finish();
    } catch (const Failure& failure) {
        if (ours) throw;
        throw Failure(
            failure.error_class(),
            "after row " + std::to_string(rows.rows()) + ": " + failure.what()
        );
    }
    return rows.rows();
}

PgScan::PgScan(
    std::shared_ptr<Postgres> postgres,
    std::string copy,
    std::vector<PgColumn> columns,
    TableProgress progress
)
    : postgres_(std::move(postgres)),
      copy_(std::move(copy)),
      columns_(std::move(columns)),
      progress_(std::move(progress)) {}

PgScan::~PgScan() {
    std::unique_lock lock(mutex_);
    const bool over = over_;
    lock.unlock();
    if (!over) fail(std::make_exception_ptr(Failure(ErrorClass::transient, "cancelled")));
    if (thread_.joinable()) thread_.join();
}

void PgScan::begin() {
    const std::lock_guard lock(mutex_);
    if (thread_.joinable()) throw Error(ErrorCode::internal, "the rows of a COPY are there once");
    thread_ = std::thread([this] { read(); });
}

void PgScan::next(engine::RowAppender& into) {
    const auto block = take();
    if (!block) return;
    try {
        std::size_t begin = 0;
        std::int64_t number = block->first;
        for (const std::size_t end : block->ends) {
            put_row(
                into, columns_, std::string_view(block->bytes).substr(begin, end - begin), number++
            );
            begin = end;
        }
    } catch (const Error&) {
        fail(std::current_exception());
        throw;
    }
}

void PgScan::check() {
    const std::lock_guard lock(mutex_);
    if (failure_) std::rethrow_exception(failure_);
}

std::int64_t PgScan::rows() {
    const std::lock_guard lock(mutex_);
    return rows_;
}

void PgScan::read() noexcept {
    try {
        const std::int64_t rows = copy_rows(
            *postgres_,
            copy_,
            columns_.size(),
            [this](std::string_view fields, std::int64_t number) { add(fields, number); },
            &progress_
        );
        if (!filling_.ends.empty()) hand_over();
        postgres_->execute("commit");
        const std::lock_guard lock(mutex_);
        rows_ = rows;
        over_ = true;
        changed_.notify_all();
    } catch (...) {
        fail(std::current_exception());
    }
}

void PgScan::add(std::string_view fields, std::int64_t number) {
    if (filling_.ends.empty()) filling_.first = number;
    filling_.bytes += fields;
    filling_.ends.push_back(filling_.bytes.size());
    if (filling_.ends.size() == engine::batch_rows || filling_.bytes.size() >= block_bytes)
        hand_over();
}

void PgScan::hand_over() {
    Block next;
    next.bytes.reserve(filling_.bytes.size());
    next.ends.reserve(engine::batch_rows);
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return over_ || ready_bytes_ < ahead_bytes; });
    if (over_) throw Failure(ErrorClass::transient, "cancelled");
    ready_bytes_ += filling_.bytes.size();
    ready_.push_back(std::exchange(filling_, std::move(next)));
    changed_.notify_all();
}

std::optional<PgScan::Block> PgScan::take() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return over_ || !ready_.empty(); });
    if (failure_) std::rethrow_exception(failure_);
    if (ready_.empty()) return std::nullopt;
    Block block = std::move(ready_.front());
    ready_.pop_front();
    ready_bytes_ -= block.bytes.size();
    changed_.notify_all();
    return block;
}

void PgScan::fail(std::exception_ptr failure) noexcept {
    {
        const std::lock_guard lock(mutex_);
        if (failure_) return;
        // Rows that came to their end may still hold a value that is bad.
        failure_ = std::move(failure);
        over_ = true;
        changed_.notify_all();
    }
    postgres_->cancel();
}

}  // namespace sluice::extract
