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

bool FairHeap::Place::operator<(const Place& other) const {
    if (weight != other.weight) return weight > other.weight;
    if (starts != other.starts) return starts < other.starts;
    if (top.before(other.top)) return true;
    if (other.top.before(top)) return false;
    return top.dag < other.top.dag;
}

void FairHeap::place(Flow& flow) {
    const auto& top = flow.heap.top();
    order_.insert({top.weight, flow.starts, top, &flow});
}

void FairHeap::push(const ReadyTask& task) {
    Flow& flow = flows_[task.dag];
    if (flow.heap.empty()) {
        flow.starts = std::max(flow.starts, served_);
    } else {
        if (!task.before(flow.heap.top())) return flow.heap.push(task);
        const auto& top = flow.heap.top();
        order_.erase({top.weight, flow.starts, top, &flow});
    }
    flow.heap.push(task);
    place(flow);
}

ReadyTask FairHeap::pop(Popped how) {
    const auto first = order_.begin();
    Flow& flow = *first->flow;
    order_.erase(first);
    const ReadyTask task = flow.heap.pop();
    if (how == Popped::started) served_ = flow.starts++;
    if (!flow.heap.empty()) place(flow);
    return task;
}

LaneNo ReadyQueue::lane_for(const Demand& demand, Share share) {
    const auto [at, added] =
        numbers_.try_emplace({demand, share}, static_cast<LaneNo>(lanes_.size()));
    if (added) {
        auto& lane = lanes_.emplace_back();
        lane.demand = at->first.first;  // `demand` may lie in the list that has just grown
        lane.share = share;
    }
    return at->second;
}

void ReadyQueue::push(const ReadyTask& task) {
    lanes_[static_cast<std::size_t>(task.lane)].heap.push(task);
    ++size_;
}

std::array<LaneNo, 2> ReadyQueue::best_lanes() const {
    std::array<LaneNo, 2> best{-1, -1};
    for (std::size_t i = 0; i < lanes_.size(); ++i) {
        const auto& lane = lanes_[i];
        if (lane.closed || lane.heap.empty()) continue;
        auto& found = best[static_cast<std::size_t>(lane.share)];
        if (found < 0 || lane.heap.top().before(lanes_[static_cast<std::size_t>(found)].heap.top()))
            found = static_cast<LaneNo>(i);
    }
    return best;
}

LaneNo ReadyQueue::best_lane() const {
    const auto [regular, backfill] = best_lanes();
    if (regular < 0) return backfill;
    if (backfill < 0) return regular;
    return turns_[1] < turns_[0] ? backfill : regular;
}

const ReadyTask* ReadyQueue::best() const {
    const LaneNo lane = best_lane();
    return lane < 0 ? nullptr : &lanes_[static_cast<std::size_t>(lane)].heap.top();
}

ReadyTask ReadyQueue::pop_best(FairHeap::Popped how) {
    const auto best = best_lanes();
    const LaneNo chosen = best_lane();
    SLUICE_CHECK(chosen >= 0);
    --size_;
    auto& lane = lanes_[static_cast<std::size_t>(chosen)];
    if (how == FairHeap::Popped::started) {
        const auto own = static_cast<std::size_t>(lane.share);
        turns_[own] += share_of_starts[1 - own];
        // Who does not wait saves nothing up.
        if (best[1 - own] < 0) turns_[1 - own] = std::max(turns_[1 - own], turns_[own]);
    }
    return lane.heap.pop(how);
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
