// ids.hpp — strong integer ids and the key of a task instance.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace sluice {

template <class Tag>
struct Id {
    std::int64_t value{};
    friend auto operator<=>(const Id&, const Id&) = default;
};

/// The number of a DAG run in the database; given by core, never reused.
using RunKey = Id<struct RunKeyTag>;
/// The number of a stored DAG version (all DAGs share one sequence).
using VersionId = Id<struct VersionIdTag>;
using BackfillId = Id<struct BackfillIdTag>;
/// Place of a row in the transition log, without gaps; also the id in the event stream.
using Seq = Id<struct SeqTag>;
/// Correlates a command event with its answer; unique in one daemon's life.
using RequestId = Id<struct RequestIdTag>;

/// A task's place in its DAG version, 0-based: an index into `Dag::tasks`.
using TaskNo = std::int32_t;
/// -1 = not mapped.
using MapIndex = std::int32_t;
/// The number of a mapping: an index into `Dag::mappings`.
using MapNo = std::int32_t;
inline constexpr MapNo no_map = -1;
/// Stands for "the run itself" where a row may speak of a run or of a task.
inline constexpr TaskNo no_task = -1;
inline constexpr MapIndex unmapped = -1;

/// One task instance.
struct TaskKey {
    RunKey run;
    TaskNo task{no_task};
    MapIndex map_index{unmapped};
    friend auto operator<=>(const TaskKey&, const TaskKey&) = default;
};

/// One try of one task instance. `start` counts dispatches of the instance over all clears and
/// losses, so a result that comes late can never be taken for another attempt's.
struct AttemptKey {
    TaskKey task;
    std::int32_t start{};
    /// 0 = the attempt's first poke. Later ones of a task that waits are no new attempts: they are
    /// told apart by this number, which is never stored.
    std::int64_t poke{0};
    friend auto operator<=>(const AttemptKey&, const AttemptKey&) = default;
};

}  // namespace sluice

template <class Tag>
struct std::hash<sluice::Id<Tag>> {
    std::size_t operator()(sluice::Id<Tag> id) const noexcept {
        return std::hash<std::int64_t>{}(id.value);
    }
};

template <>
struct std::hash<sluice::TaskKey> {
    std::size_t operator()(const sluice::TaskKey& key) const noexcept {
        const auto mix = static_cast<std::uint64_t>(key.run.value) * 0x9E3779B97F4A7C15ULL ^
                         static_cast<std::uint64_t>(static_cast<std::uint32_t>(key.task)) *
                             0xBF58476D1CE4E5B9ULL ^
                         static_cast<std::uint64_t>(static_cast<std::uint32_t>(key.map_index));
        return static_cast<std::size_t>(mix ^ (mix >> 31));
    }
};
