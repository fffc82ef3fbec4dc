// ready_queue.hpp — tasks whose dependencies are met, in the order in which they should start.
//
// Tasks that take the same from the same pools form a lane: one heap each, so that a task which
// does not fit never stands before one that does. A task that a limit holds back waits at that
// limit's Gate and comes back, the best one first, when the limit has room. So every start costs
// O(lanes + log n), whatever number of tasks is waiting.
//
// Shares: tasks of backfills have lanes of their own. While both kinds wait, four starts of five
// are not a backfill's, so neither starves. Among tasks of one lane and one weight the DAG that had
// fewer starts of late goes first.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/ids.hpp"
#include "base/instant.hpp"
#include "core/pools.hpp"

namespace sluice::core {

struct Gate;
using LaneNo = std::int32_t;
/// Number of an entry; each has its own.
using Ticket = std::int64_t;

/// Where a task in the queue comes from: straight, or let go by a gate of its run or DAG.
enum class Origin : std::uint8_t { ready, run_gate, run_task_gate, dag_gate };

struct ReadyTask {
    std::int64_t weight{};
    std::int32_t dag{};  // its number
    Instant run_after;
    RunKey run;
    TaskNo task{no_task};
    MapIndex map_index{unmapped};
    Ticket ticket{};  // void unless its task, or its family, holds the same one
    LaneNo lane{};
    Origin origin{Origin::ready};  // that gate is owed another one if this does not start
    Gate* dag_gate{nullptr};       // Origin::dag_gate: which; gates of runs die with their run
    Instant since;                 // when it became ready

    [[nodiscard]] TaskKey key() const { return {run, task, map_index}; }
    /// Weight desc, run date asc, then run, task and map index order.
    [[nodiscard]] bool before(const ReadyTask& other) const;
};

/// Who a lane is for.
enum class Share : std::uint8_t { regular, backfill };
inline constexpr std::array<std::int64_t, 2> share_of_starts{4, 1};  // by Share

class ReadyHeap {
public:
    void push(const ReadyTask& task);
    ReadyTask pop();
    [[nodiscard]] const ReadyTask& top() const { return heap_.front(); }
    [[nodiscard]] bool empty() const { return heap_.empty(); }
    [[nodiscard]] std::size_t size() const { return heap_.size(); }

private:
    std::vector<ReadyTask> heap_;
};

/// One lane's tasks: by weight, then DAGs in turn, then as ReadyTask has it.
class FairHeap {
public:
    enum class Popped { put_aside, started };

    void push(const ReadyTask& task);
    ReadyTask pop(Popped how);
    [[nodiscard]] const ReadyTask& top() const { return order_.begin()->flow->heap.top(); }
    [[nodiscard]] bool empty() const { return order_.empty(); }

private:
    struct Flow {
        ReadyHeap heap;
        std::int64_t starts{0};  // a DAG that comes anew begins where the others are
    };
    struct Place {
        std::int64_t weight;
        std::int64_t starts;
        ReadyTask top;
        Flow* flow;
        bool operator<(const Place& other) const;
    };
    void place(Flow& flow);

    std::unordered_map<std::int32_t, Flow> flows_;  // by DAG
    std::set<Place> order_;                         // of the flows that are not empty
    std::int64_t served_{0};                        // starts of the flow that had one last
};

/// A limit on attempts at once (of a run, a DAG, a task), and who waits for it.
struct Gate {
    int active{0};
    std::optional<int> most;  // none = no limit
    Origin kind{Origin::dag_gate};
    std::map<LaneNo, ReadyHeap> waiting;

    /// `own`: attempts that would end first.
    [[nodiscard]] bool is_full(int own = 0) const { return most && active - own >= *most; }
};

class ReadyQueue {
public:
    LaneNo lane_for(const Demand& demand, Share share);
    [[nodiscard]] const Demand& demand(LaneNo lane) const {
        return lanes_[static_cast<std::size_t>(lane)].demand;
    }

    void push(const ReadyTask& task);
    /// The best task of all lanes that are not closed.
    [[nodiscard]] const ReadyTask* best() const;
    ReadyTask pop_best(FairHeap::Popped how = FairHeap::Popped::put_aside);
    /// Nothing more of this lane until `open_lanes`: what it takes is not there.
    void close_lane(LaneNo lane) { lanes_[static_cast<std::size_t>(lane)].closed = true; }
    void open_lanes();

    static void hold(Gate& gate, ReadyTask task);
    /// The gate has room for one more: its best task of each lane comes back.
    void release(Gate& gate);
    /// The same for one lane: a released task did not start after all.
    void release(Gate& gate, LaneNo lane);

    /// Tasks in the lanes; those at gates are not among them.
    [[nodiscard]] std::size_t size() const { return size_; }

private:
    struct Lane {
        Demand demand;
        Share share{Share::regular};
        FairHeap heap;
        bool closed{false};
    };
    /// The best open lane of each share; none = -1.
    [[nodiscard]] std::array<LaneNo, 2> best_lanes() const;
    [[nodiscard]] LaneNo best_lane() const;

    std::vector<Lane> lanes_;
    std::map<std::pair<Demand, Share>, LaneNo> numbers_;
    std::array<std::int64_t, 2> turns_{};  // by Share: starts, weighed; the lower one is next
    std::size_t size_{0};
};

}  // namespace sluice::core
