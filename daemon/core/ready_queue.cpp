#include "core/ready_queue.hpp"

#include <algorithm>
#include <tuple>

#include "base/check.hpp"

namespace sluice::core {
namespace {

bool after(const ReadyTask& a, const ReadyTask& b) { return b.before(a); }

}  // namespace

bool ReadyTask::before(const ReadyTask& other) const {
    if (weight != other.weight) return weight > other.weight;
    return std::tie(run_after, run, task, map_index) <
           std::tie(other.run_after, other.run, other.task, other.map_index);
}

void ReadyHeap::push(const ReadyTask& task) {
    heap_.push_back(task);
    std::ranges::push_heap(heap_, after);
}

ReadyTask ReadyHeap::pop() {
    std::ranges::pop_heap(heap_, after);
    const ReadyTask task = heap_.back();
    heap_.pop_back();
    return task;
}

LaneNo ReadyQueue::lane_for(const Demand& demand) {
    const auto [at, added] = numbers_.try_emplace(demand, static_cast<LaneNo>(lanes_.size()));
    if (added) lanes_.push_back({demand, {}, false});
    return at->second;
}

void ReadyQueue::push(const ReadyTask& task) {
    lanes_[static_cast<std::size_t>(task.lane)].heap.push(task);
    ++size_;
}

const ReadyTask* ReadyQueue::best() const {
    const ReadyTask* best = nullptr;
    for (const auto& lane : lanes_) {
        if (lane.closed || lane.heap.empty()) continue;
        if (best == nullptr || lane.heap.top().before(*best)) best = &lane.heap.top();
    }
    return best;
}

ReadyTask ReadyQueue::pop_best() {
    const auto* task = best();
    SLUICE_CHECK(task != nullptr);
    --size_;
    return lanes_[static_cast<std::size_t>(task->lane)].heap.pop();
}

void ReadyQueue::open_lanes() {
    for (auto& lane : lanes_) lane.closed = false;
}

void ReadyQueue::hold(Gate& gate, ReadyTask task) {
    task.origin = Origin::ready;
    task.dag_gate = nullptr;
    gate.waiting[task.lane].push(task);
}

void ReadyQueue::release(Gate& gate) {
    for (auto at = gate.waiting.begin(); at != gate.waiting.end();) {
        const auto lane = (at++)->first;  // `release` may drop the entry
        release(gate, lane);
    }
}

void ReadyQueue::release(Gate& gate, LaneNo lane) {
    const auto at = gate.waiting.find(lane);
    if (at == gate.waiting.end()) return;
    auto task = at->second.pop();
    task.origin = gate.kind;
    task.dag_gate = gate.kind == Origin::dag_gate ? &gate : nullptr;
    push(task);
    if (at->second.empty()) gate.waiting.erase(at);
}

}  // namespace sluice::core
