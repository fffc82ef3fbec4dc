// family.hpp — all instances of one task in a run. A mapped task may have a million of them: what
// has not begun or has ended plainly takes a few bytes; whole rows are made for the others only.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "core/nesting.hpp"
#include "core/ready_queue.hpp"
#include "core/trigger_rules.hpp"
#include "model/run.hpp"
#include "model/turn.hpp"

namespace sluice::core {

/// Number of the turn that changed something last; 0 = none.
using TurnNo = std::uint64_t;

struct Instance {
    TaskInstance row;
    TurnNo touched{0};
    Ticket ticket{0};   // of its entry in the ready queue; of mapped ones the family has it
    bool ready{false};  // waits for a slot; of mapped instances the family knows
    bool has_row{false};
    bool timed_out{false};  // its attempt was told to end for its execution_timeout
    Instant ready_since;
};

class Family {
public:
    Instance one;       // map index -1: of a task that is not mapped, or whose length is not known
    UpstreamCounts up;  // of the upstreams' instances; without those that count index by index
    MapNo mapping{no_map};
    int retries{0};                     // of the task
    std::optional<std::uint32_t> seen;  // UpstreamCounts::signature when all were evaluated last
    Ticket ticket{0};                   // of its entry in the ready queue
    bool queued{false};                 // has such an entry: one stands for all that are ready
    Instant ready_since;                // when all became ready
    const Nest* nest{nullptr};          // of a nested mapping, while it is expanded

    /// Has instances 0 to length - 1 instead of `one`.
    [[nodiscard]] bool is_expanded() const { return length_ > 0; }
    [[nodiscard]] std::int32_t length() const { return length_; }
    /// 1 while it is not expanded.
    [[nodiscard]] std::int32_t size() const { return length_ > 0 ? length_ : 1; }
    /// Those that are part of the run: without what a nested mapping's lists no longer have.
    [[nodiscard]] std::int32_t present() const {
        return size() - (nest != nullptr ? count(TaskState::removed) : 0);
    }
    /// Of which outer instance one is.
    [[nodiscard]] MapIndex outer_of(MapIndex index) const {
        return nest != nullptr && index != unmapped ? nest->place(index).outer : index;
    }
    /// All instances of an outer one, as upstreams.
    [[nodiscard]] const UpstreamCounts& of_outer(MapIndex outer) const {
        return of_outer_[static_cast<std::size_t>(outer)];
    }
    void expand(std::int32_t length);
    /// A nested mapping has places more than before; `nest` knows them.
    void grow(std::int32_t length);
    /// Back to `one`. Rows that instances have are remembered; none of them is ready.
    void fold();
    /// Map indexes beyond the length that still have rows, of a longer mapping before.
    [[nodiscard]] MapIndex end_of_rows() const { return static_cast<MapIndex>(bytes_.size()); }

    [[nodiscard]] bool has(MapIndex index) const {
        return index == unmapped ||
               (index >= 0 && index < end_of_rows() && (index < length_ || has_row(index)));
    }
    [[nodiscard]] TaskState state(MapIndex index) const;
    [[nodiscard]] bool has_row(MapIndex index) const;
    /// The whole row, to be changed: it stays in memory until `pack`.
    Instance& at(MapIndex index);
    /// A copy of the row.
    [[nodiscard]] TaskInstance row(MapIndex index) const;
    /// When it ended, if it has.
    [[nodiscard]] std::optional<Instant> end(MapIndex index) const;
    [[nodiscard]] Instance* find_live(MapIndex index);
    std::map<MapIndex, Instance>& live() { return live_; }
    [[nodiscard]] const std::map<MapIndex, Instance>& live() const { return live_; }

    /// Keeps counts and bytes in step; `Instance::row.state` is the caller's.
    void note_state(MapIndex index, TaskState from, TaskState to);
    void note_row(MapIndex index);
    /// Instances of the task in this state.
    [[nodiscard]] std::int32_t count(TaskState state) const;
    /// Forgets the whole row if little memory tells the same.
    void pack(MapIndex index);
    /// States of instances without rows changed together.
    void set_range(const MapRange& range);
    void restore(const TaskInstance& row);

    [[nodiscard]] bool is_ready(MapIndex index) const;
    bool set_ready(MapIndex index, bool ready);  // true if it changed
    [[nodiscard]] std::int32_t ready_count() const { return ready_count_; }
    /// The first ready one from `from` on; none = unmapped.
    [[nodiscard]] MapIndex next_ready(MapIndex from) const;

private:
    /// An instance that waits for nothing, without words: 32 bytes instead of 250.
    struct Brief {
        Instant scheduled;
        Instant start;
        Instant end;
        std::int16_t starts{};
        std::int16_t tries{};
        std::int16_t max_tries{};
        std::int16_t since_clear{};
    };
    static constexpr MapIndex block_size = 1024;
    using Block = std::array<Brief, block_size>;

    static std::optional<Brief> brief_of(const TaskInstance& row);
    [[nodiscard]] const Brief* brief(MapIndex index) const;
    [[nodiscard]] const MapRange* range(MapIndex index) const;
    void make_room(std::int32_t length);
    void count_new(MapIndex from);

    std::int32_t length_{-1};
    std::vector<std::uint8_t> bytes_;  // state, and whether there is a row
    std::vector<std::unique_ptr<Block>> blocks_;
    std::map<MapIndex, Instance> live_;
    std::vector<MapRange> ranges_;  // of instances without rows, later ones last
    std::vector<std::uint64_t> ready_;
    std::int32_t ready_count_{0};
    mutable std::size_t first_ready_{0};  // no word before it has a bit
    std::array<std::int32_t, task_state_count> counts_{};
    std::vector<UpstreamCounts> of_outer_;  // of a nested mapping
};

}  // namespace sluice::core
