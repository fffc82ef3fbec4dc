#include "operators/engine/content_hash.hpp"

#include <map>

#include "base/error.hpp"
#include "operators/engine/sql.hpp"

namespace sluice::engine {

namespace {

/// Those that live, by the numbers that stand in SQL.
struct LiveSums {
    std::mutex mutex;
    std::map<std::int64_t, ContentSum*> sums;
    std::int64_t last{0};
};

LiveSums& live_sums() {
    static LiveSums live;
    return live;
}

}  // namespace

ContentSum::ContentSum() {
    LiveSums& live = live_sums();
    const std::lock_guard lock(live.mutex);
    number_ = ++live.last;
    live.sums[number_] = this;
}

ContentSum::~ContentSum() {
    LiveSums& live = live_sums();
    const std::lock_guard lock(live.mutex);
    live.sums.erase(number_);
}

std::string ContentSum::row_hash(const std::vector<ColumnInfo>& columns) const {
    const std::string texts = hashed_columns(columns);
    return "sluice_row_hash_sum(" + std::to_string(number_) + (texts.empty() ? "" : ", ") + texts +
           ")";
}

std::int64_t ContentSum::rows() const {
    const std::lock_guard lock(mutex_);
    return rows_;
}

std::string ContentSum::hash() const {
    const std::lock_guard lock(mutex_);
    return hash_digits(sum_);
}

void ContentSum::add(std::int64_t number, std::int64_t rows, Uint128 sum) {
    LiveSums& live = live_sums();
    const std::lock_guard lock(live.mutex);
    const auto found = live.sums.find(number);
    if (found == live.sums.end())
        throw Error(ErrorCode::internal, "there is no sum " + std::to_string(number));
    const std::lock_guard inner(found->second->mutex_);
    found->second->rows_ += rows;
    found->second->sum_ += sum;
}

}  // namespace sluice::engine
