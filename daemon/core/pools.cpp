#include "core/pools.hpp"

#include <algorithm>

#include "base/check.hpp"

namespace sluice::core {
namespace {

constexpr std::int64_t megabyte = 1 << 20;
constexpr std::int64_t default_slots = 128;

Pool make_pool(const std::string& name, std::int64_t slots, const std::string& description) {
    Pool pool;
    pool.name = name;
    pool.slots = slots;
    pool.description = description;
    return pool;
}

/// Adds to the part of the same pool, so that a pool occurs once.
void add_part(Demand& demand, PoolNo pool, std::int64_t amount) {
    const auto size = static_cast<std::size_t>(demand.size);
    for (std::size_t i = 0; i < size; ++i) {
        if (demand.parts[i].pool != pool) continue;
        demand.parts[i].amount += amount;
        return;
    }
    demand.parts[size] = {pool, amount};
    ++demand.size;
}

}  // namespace

Pools::Pools(std::int64_t cpu, std::int64_t memory_mb) {
    put(make_pool(default_pool, default_slots, "Default pool"));
    put(make_pool(cpu_pool, cpu, "Threads of tasks that run in processes"));
    put(make_pool(memory_pool, memory_mb, "Memory of tasks that run in processes, in MiB"));
}

PoolNo Pools::number(const std::string& name) {
    const auto [at, added] = numbers_.try_emplace(name, static_cast<PoolNo>(entries_.size()));
    if (added) entries_.push_back({make_pool(name, 0, ""), false, 0, 0, 0});
    return at->second;
}

void Pools::put(const Pool& pool) {
    auto& entry = entries_[static_cast<std::size_t>(number(pool.name))];
    entry.pool = pool;
    entry.exists = true;
}

void Pools::remove(const std::string& name) {
    auto& entry = entries_[static_cast<std::size_t>(number(name))];
    entry.pool.slots = 0;
    entry.exists = false;
}

const Pool* Pools::find(const std::string& name) const {
    const auto at = numbers_.find(name);
    if (at == numbers_.end()) return nullptr;
    const auto& entry = entries_[static_cast<std::size_t>(at->second)];
    return entry.exists ? &entry.pool : nullptr;
}

bool Pools::is_built_in(const std::string& name) { return name == cpu_pool || name == memory_pool; }

Demand Pools::demand_of(const Task& task) {
    Demand demand;
    add_part(demand, number(task.pool), std::max(task.pool_slots, 1));
    if (task.isolation == Isolation::inline_ && !task.resources.written) return demand;
    const auto cut = [&](const char* pool, std::int64_t wanted) {
        const PoolNo no = number(pool);
        const auto total = entries_[static_cast<std::size_t>(no)].pool.slots;
        add_part(demand, no, std::min(std::max<std::int64_t>(wanted, 1), total));
    };
    cut(cpu_pool, task.resources.threads);
    cut(memory_pool, (task.resources.memory_bytes + megabyte - 1) / megabyte);
    return demand;
}

bool Pools::fits(const Demand& demand) const {
    for (std::size_t i = 0; i < static_cast<std::size_t>(demand.size); ++i)
        if (!fits(demand.parts[i])) return false;
    return true;
}

bool Pools::fits(const Demand::Part& part) const {
    const auto& entry = entries_[static_cast<std::size_t>(part.pool)];
    return entry.pool.slots == -1 || entry.in_use() + part.amount <= entry.pool.slots;
}

void Pools::take(const Demand& demand) {
    for (std::size_t i = 0; i < static_cast<std::size_t>(demand.size); ++i) {
        auto& entry = entries_[static_cast<std::size_t>(demand.parts[i].pool)];
        entry.used += demand.parts[i].amount;
        ++entry.running;
    }
}

void Pools::defer(const Demand& demand, int count) {
    const auto& own = demand.parts[0];  // demand_of puts it first
    auto& entry = entries_[static_cast<std::size_t>(own.pool)];
    entry.deferred += own.amount * count;
    SLUICE_CHECK(entry.deferred >= 0);
}

void Pools::give(const Demand& demand) {
    for (std::size_t i = 0; i < static_cast<std::size_t>(demand.size); ++i) {
        auto& entry = entries_[static_cast<std::size_t>(demand.parts[i].pool)];
        entry.used -= demand.parts[i].amount;
        --entry.running;
        SLUICE_CHECK(entry.used >= 0);
    }
}

}  // namespace sluice::core
