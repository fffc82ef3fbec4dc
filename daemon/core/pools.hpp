// pools.hpp — named pools of slots and who could take from them. A task takes from several at once:
// its own and the built-in `cpu` and `memory_mb`.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "model/dag.hpp"
#include "model/run.hpp"

namespace sluice::core {

inline constexpr const char* default_pool = "default_pool";
inline constexpr const char* cpu_pool = "cpu";
inline constexpr const char* memory_pool = "memory_mb";

using PoolNo = std::int32_t;

/// What one attempt takes: amounts of at most three different pools.
struct Demand {
    struct Part {
        PoolNo pool{};
        std::int64_t amount{};
        friend auto operator<=>(const Part&, const Part&) = default;
    };
    std::array<Part, 3> parts{};
    std::uint8_t size{};
    friend auto operator<=>(const Demand&, const Demand&) = default;
};

class Pools {
public:
    /// Makes default_pool (128), cpu and memory_mb.
    Pools(std::int64_t cpu, std::int64_t memory_mb);

    /// The number of a pool; one that does not exist (yet) has no slots.
    PoolNo number(const std::string& name);
    void put(const Pool& pool);
    /// Its tasks wait until a pool of that name exists again.
    void remove(const std::string& name);
    [[nodiscard]] const Pool* find(const std::string& name) const;
    [[nodiscard]] static bool is_built_in(const std::string& name);

    /// What a task takes. Threads and memory beyond the totals are cut to them, so that the task
    /// can run alone.
    Demand demand_of(const Task& task);

    [[nodiscard]] bool fits(const Demand& demand) const;
    [[nodiscard]] bool fits(const Demand::Part& part) const;
    void take(const Demand& demand);
    void give(const Demand& demand);
    /// A deferred task holds (`count` 1) or no longer holds (-1) the slots of its own pool there.
    void defer(const Demand& demand, int count);

    struct Entry {
        Pool pool;
        bool exists{false};
        std::int64_t used{};      // slots
        std::int64_t running{};   // attempts
        std::int64_t deferred{};  // slots of deferred tasks; taken if `include_deferred`
        [[nodiscard]] std::int64_t in_use() const {
            return used + (pool.include_deferred ? deferred : 0);
        }
    };
    [[nodiscard]] const std::vector<Entry>& all() const { return entries_; }

private:
    std::vector<Entry> entries_;
    std::unordered_map<std::string, PoolNo> numbers_;
};

}  // namespace sluice::core
