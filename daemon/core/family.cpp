#include "core/family.hpp"

#include <algorithm>
#include <bit>

#include "base/check.hpp"

namespace sluice::core {
namespace {

constexpr std::uint8_t state_bits = 0x0f;
constexpr std::uint8_t row_bit = 0x10;
constexpr Instant never = Instant::min();

std::size_t place(std::int32_t index) { return static_cast<std::size_t>(index); }
std::optional<Instant> maybe(Instant instant) {
    return instant == never ? std::nullopt : std::optional{instant};
}
bool fits(int value) { return value >= 0 && value <= INT16_MAX; }

}  // namespace

void Family::expand(std::int32_t length) {
    SLUICE_CHECK(length > 0 && length_ < 0);
    SLUICE_CHECK(one.row.state == TaskState::none);
    length_ = length;
    make_room(length);
    ready_.assign((bytes_.size() + 63) / 64, 0);
    ready_count_ = 0;
    first_ready_ = 0;
    counts_.fill(0);
    of_outer_.assign(nest != nullptr ? nest->parts.size() : 0, {});
    count_new(0);
    seen.reset();
}

void Family::grow(std::int32_t length) {
    SLUICE_CHECK(nest != nullptr && length > length_);
    const MapIndex from = length_;
    length_ = length;
    make_room(length);
    ready_.resize((bytes_.size() + 63) / 64);
    count_new(from);
    seen.reset();
}

void Family::make_room(std::int32_t length) {
    if (bytes_.size() < place(length)) bytes_.resize(place(length));
    blocks_.resize((bytes_.size() + block_size - 1) / block_size);
}

void Family::count_new(MapIndex from) {
    for (MapIndex i = from; i < length_; ++i) {
        const TaskState is = state(i);
        ++counts_[place(static_cast<int>(is))];
        if (nest == nullptr || is == TaskState::removed) continue;
        auto& outer = of_outer_[place(nest->place(i).outer)];
        ++outer.total;
        outer.add(is, 1);
    }
}

void Family::fold() {
    SLUICE_CHECK(is_expanded() && ready_count_ == 0);
    length_ = -1;
    nest = nullptr;
    of_outer_.clear();
    seen.reset();
}

TaskState Family::state(MapIndex index) const {
    if (index == unmapped) return one.row.state;
    return static_cast<TaskState>(bytes_[place(index)] & state_bits);
}

bool Family::has_row(MapIndex index) const {
    return index == unmapped ? one.has_row : (bytes_[place(index)] & row_bit) != 0;
}

const Family::Brief* Family::brief(MapIndex index) const {
    const auto& block = blocks_[place(index / block_size)];
    return block && has_row(index) ? &(*block)[place(index % block_size)] : nullptr;
}

const MapRange* Family::range(MapIndex index) const {
    for (auto found = ranges_.rbegin(); found != ranges_.rend(); ++found)
        if (found->lo <= index && index <= found->hi) return &*found;
    return nullptr;
}

Instance& Family::at(MapIndex index) {
    if (index == unmapped) return one;
    const auto found = live_.find(index);
    if (found != live_.end()) return found->second;
    Instance fresh;
    fresh.row = row(index);
    fresh.has_row = has_row(index);
    return live_.emplace(index, std::move(fresh)).first->second;
}

Instance* Family::find_live(MapIndex index) {
    if (index == unmapped) return &one;
    const auto found = live_.find(index);
    return found == live_.end() ? nullptr : &found->second;
}

TaskInstance Family::row(MapIndex index) const {
    if (index == unmapped) return one.row;
    if (const auto found = live_.find(index); found != live_.end()) return found->second.row;
    TaskInstance row;
    row.key = {one.row.key.run, one.row.key.task, index};
    row.state = state(index);
    row.max_tries = retries;
    if (const Brief* kept = brief(index)) {
        row.starts = kept->starts;
        row.try_number = kept->tries;
        row.max_tries = kept->max_tries;
        row.attempts_since_clear = kept->since_clear;
        row.scheduled_at = maybe(kept->scheduled);
        row.queued_at = maybe(kept->start);
        row.start_date = maybe(kept->start);
        row.end_date = maybe(kept->end);
    } else if (const MapRange* covering = has_row(index) ? nullptr : range(index);
               covering != nullptr && is_finished(row.state)) {
        row.end_date = covering->at;
        row.note = covering->note;
    }
    return row;
}

std::optional<Instant> Family::end(MapIndex index) const {
    if (index == unmapped) return one.row.end_date;
    if (const auto found = live_.find(index); found != live_.end())
        return found->second.row.end_date;
    if (const Brief* kept = brief(index)) return maybe(kept->end);
    const MapRange* covering = range(index);
    return covering == nullptr ? std::nullopt : std::optional{covering->at};
}

void Family::note_state(MapIndex index, TaskState from, TaskState to) {
    if (index == unmapped) return;
    bytes_[place(index)] = static_cast<std::uint8_t>(
        (bytes_[place(index)] & ~state_bits) | static_cast<std::uint8_t>(to)
    );
    if (index >= length_) return;
    --counts_[place(static_cast<int>(from))];
    ++counts_[place(static_cast<int>(to))];
    if (nest != nullptr) of_outer_[place(nest->place(index).outer)].move(from, to, 1, true);
}

void Family::note_row(MapIndex index) {
    if (index == unmapped)
        one.has_row = true;
    else
        bytes_[place(index)] |= row_bit;
}

std::int32_t Family::count(TaskState state) const {
    if (!is_expanded()) return one.row.state == state ? 1 : 0;
    return counts_[place(static_cast<int>(state))];
}

std::optional<Family::Brief> Family::brief_of(const TaskInstance& row) {
    const bool plain =
        (row.state == TaskState::none || is_finished(row.state)) && row.error.empty() &&
        row.note.empty() && row.error_class == ErrorClass::none && row.lost_in_a_row == 0 &&
        !row.next_try_at && row.queued_at == row.start_date && fits(row.starts) &&
        fits(row.try_number) && fits(row.max_tries) && fits(row.attempts_since_clear);
    if (!plain) return std::nullopt;
    return Brief{
        row.scheduled_at.value_or(never),
        row.start_date.value_or(never),
        row.end_date.value_or(never),
        static_cast<std::int16_t>(row.starts),
        static_cast<std::int16_t>(row.try_number),
        static_cast<std::int16_t>(row.max_tries),
        static_cast<std::int16_t>(row.attempts_since_clear)
    };
}

void Family::pack(MapIndex index) {
    const auto found = live_.find(index);
    if (found == live_.end()) return;
    const Instance& instance = found->second;
    if (instance.has_row) {
        const auto kept = brief_of(instance.row);
        if (!kept) return;
        auto& block = blocks_[place(index / block_size)];
        if (!block) block = std::make_unique<Block>();
        (*block)[place(index % block_size)] = *kept;
    }
    live_.erase(found);
}

void Family::set_range(const MapRange& range) {
    // Clears and marks of the same instances again and again keep one entry.
    std::erase_if(ranges_, [&](const MapRange& old) {
        return range.lo <= old.lo && old.hi <= range.hi;
    });
    ranges_.push_back(range);
    for (MapIndex i = range.lo; i <= range.hi && i < end_of_rows(); ++i)
        if (!has_row(i)) note_state(i, state(i), range.state);
}

void Family::restore(const TaskInstance& row) {
    if (row.key.map_index == unmapped) {
        one.row = row;
        one.has_row = true;
        return;
    }
    const MapIndex index = row.key.map_index;
    SLUICE_CHECK(index >= 0);
    if (bytes_.size() <= place(index)) {  // beyond the length: of a longer mapping before
        bytes_.resize(place(index) + 1);
        blocks_.resize((bytes_.size() + block_size - 1) / block_size);
        ready_.resize((bytes_.size() + 63) / 64);
    }
    note_state(index, state(index), row.state);
    note_row(index);
    if (const auto kept = brief_of(row)) {
        auto& block = blocks_[place(index / block_size)];
        if (!block) block = std::make_unique<Block>();
        (*block)[place(index % block_size)] = *kept;
        return;
    }
    Instance instance;
    instance.row = row;
    instance.has_row = true;
    live_.insert_or_assign(index, std::move(instance));
}

bool Family::is_ready(MapIndex index) const {
    if (index == unmapped) return one.ready;
    return (ready_[place(index / 64)] >> place(index % 64) & 1U) != 0;
}

bool Family::set_ready(MapIndex index, bool ready) {
    if (is_ready(index) == ready) return false;
    if (index == unmapped) {
        one.ready = ready;
        return true;
    }
    const std::size_t word = place(index / 64);
    ready_[word] ^= std::uint64_t{1} << place(index % 64);
    ready_count_ += ready ? 1 : -1;
    if (ready) first_ready_ = std::min(first_ready_, word);
    return true;
}

MapIndex Family::next_ready(MapIndex from) const {
    if (ready_count_ == 0) return unmapped;
    std::size_t word = std::max(first_ready_, place(from / 64));
    const bool from_start = from == 0;
    for (; word < ready_.size(); ++word) {
        std::uint64_t bits = ready_[word];
        if (word == place(from / 64)) bits &= ~std::uint64_t{0} << place(from % 64);
        if (bits == 0) continue;
        if (from_start) first_ready_ = word;
        return static_cast<MapIndex>(word * 64 + place(std::countr_zero(bits)));
    }
    return unmapped;
}

}  // namespace sluice::core
