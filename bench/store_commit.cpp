// store_commit.cpp — how long PgJournal's commits take, without scheduler or executor: replays the
// turns of a chain of one-task commits and of a fan-out in batches, on a private PostgreSQL.
// Usage: store_commit HOME [partitions [across]]
// `partitions` more are made first, each of 1,000 run keys; `across` commits through the
// partitioned tables instead of the partition's own function.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

#include "store/cluster.hpp"
#include "store/pg_journal.hpp"
#include "store/pq.hpp"

namespace {

using namespace sluice;
using Steady = std::chrono::steady_clock;

struct World {
    store::PgJournal& journal;
    std::int64_t seq;
    std::int64_t run;

    Instant now() const {
        return std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
    }

    void log(Turn& turn, TaskNo task, MapIndex map, int from, int to, const char* cause) {
        turn.transitions.push_back(
            {Seq{++seq}, RunKey{run}, task, map, map, from, to, 1, turn.now, cause, ""}
        );
    }
    void start(Turn& turn, TaskNo task, MapIndex map) {
        TaskChange change;
        change.row = RowIs::fresh;
        change.instance.key = {RunKey{run}, task, map};
        change.instance.state = TaskState::running;
        change.instance.try_number = change.instance.starts = 1;
        change.instance.scheduled_at = change.instance.queued_at = turn.now;
        change.instance.start_date = turn.now;
        turn.tasks.push_back(change);
        log(turn, task, map, 0, 3, "dispatch");
    }
    void finish(Turn& turn, TaskNo task, MapIndex map) {
        TaskChange change;
        change.row = RowIs::existing;
        change.from = TaskState::running;
        change.instance.key = {RunKey{run}, task, map};
        change.instance.state = TaskState::success;
        change.instance.try_number = change.instance.starts = 1;
        change.instance.scheduled_at = change.instance.queued_at = turn.now;
        change.instance.start_date = change.instance.end_date = turn.now;
        turn.tasks.push_back(change);
        log(turn, task, map, 3, 4, "result");
    }
    void begin_run(Turn& turn) {
        ++run;
        RunChange change;
        change.row = RowIs::fresh;
        change.run.key = RunKey{run};
        change.run.dag_id = "bench";
        change.run.run_id = "manual__" + std::to_string(run);
        change.run.state = RunState::running;
        change.run.run_after = change.run.queued_at = turn.now;
        change.run.start_date = turn.now;
        turn.runs.push_back(change);
        log(turn, no_task, unmapped, -1, 1, "trigger");
    }
    void end_run(Turn& turn) {
        RunChange change;
        change.from = RunState::running;
        change.run.key = RunKey{run};
        change.run.dag_id = "bench";
        change.run.state = RunState::success;
        change.run.run_after = change.run.queued_at = turn.now;
        change.run.start_date = change.run.end_date = turn.now;
        turn.runs.push_back(change);
        log(turn, no_task, unmapped, 1, 2, "tasks_done");
    }
    Turn turn() const {
        Turn made;
        made.now = now();
        return made;
    }
};

double milliseconds(Steady::duration d) {
    return std::chrono::duration<double, std::milli>(d).count();
}

// A chain of n tasks: n + 1 commits.
double chain(World& world, int tasks) {
    const auto begin = Steady::now();
    Turn first = world.turn();
    world.begin_run(first);
    world.start(first, 0, unmapped);
    world.journal.commit(first);
    for (TaskNo task = 0; task < tasks; ++task) {
        Turn turn = world.turn();
        world.finish(turn, task, unmapped);
        if (task + 1 < tasks) {
            world.start(turn, task + 1, unmapped);
        } else {
            world.end_run(turn);
        }
        world.journal.commit(turn);
    }
    return milliseconds(Steady::now() - begin);
}

// n mapped instances, `slots` at once, a full batch each commit.
double fan_out(World& world, int tasks, int slots) {
    const auto begin = Steady::now();
    Turn first = world.turn();
    world.begin_run(first);
    int started = 0;
    for (; started < slots; ++started) world.start(first, 0, started);
    world.journal.commit(first);
    for (int finished = 0; finished < tasks;) {
        Turn turn = world.turn();
        const int end = std::min(finished + slots, tasks);
        for (; finished < end; ++finished) world.finish(turn, 0, finished);
        for (int i = 0; i < slots && started < tasks; ++i, ++started) world.start(turn, 0, started);
        if (finished == tasks) world.end_run(turn);
        world.journal.commit(turn);
    }
    return milliseconds(Steady::now() - begin);
}

double fdatasync_us(const std::string& home) {
    const std::string path = home + "/fdatasync.probe";
    const int file = ::open(path.c_str(), O_RDWR | O_CREAT, 0600);
    const std::vector<char> block(8192, 'x');
    std::vector<double> times;
    for (int i = 0; i < 200; ++i) {
        if (::pwrite(file, block.data(), block.size(), 0) < 0) break;
        const auto begin = Steady::now();
        ::fdatasync(file);
        times.push_back(milliseconds(Steady::now() - begin) * 1000);
    }
    ::close(file);
    ::unlink(path.c_str());
    std::ranges::sort(times);
    return times.empty() ? 0 : times[times.size() / 2];
}

void measure(const std::string& home, int partitions, bool across) {
    store::Cluster cluster{home};
    cluster.start();
    std::printf("fdatasync %.0f us\n", fdatasync_us(home));
    {
        store::PgJournal{{cluster.url("sluice"), "bench", ""}}.load();
    }
    store::Connection admin{cluster.url("sluice"), "bench"};
    admin.script(
        "do $$ declare top bigint; begin select max(hi) into top from run_partition; for i in 1.." +
        std::to_string(partitions) +
        " loop call make_partition(top, top + 1000); top := top + 1000; end loop; end $$"
    );
    if (across) {
        // Turns that fit no single partition take this way.
        admin.script("update run_partition set lo = lo + 1000000000, hi = hi + 1000000000");
    }
    store::PgJournal journal{{cluster.url("sluice"), "bench", ""}};
    const Snapshot snapshot = journal.load();
    World world{journal, snapshot.last_seq.value, snapshot.last_run.value};
    // A small analysed table is the trap of generic plans.
    chain(world, 5);
    admin.script("analyze");
    std::vector<double> chains;
    for (int i = 0; i < 40; ++i) chains.push_back(chain(world, 40));
    std::ranges::sort(chains);
    std::printf(
        "chain of 40: median %.2f ms, p95 %.2f ms (%.3f ms a commit)\n",
        chains[20],
        chains[38],
        chains[20] / 41
    );
    for (const int slots : {64, 8}) {
        std::vector<double> fans;
        for (int i = 0; i < 3; ++i) fans.push_back(fan_out(world, 20'000, slots));
        std::ranges::sort(fans);
        std::printf(
            "fan-out 20,000, %d slots: %.0f tasks/s, %.1f us a task\n",
            slots,
            20'000 / fans[1] * 1000,
            fans[1] / 20
        );
    }
}

}  // namespace

int main(int argc, char** argv) {
    try {
        if (argc < 2) throw std::runtime_error("usage: store_commit HOME [partitions [across]]");
        measure(argv[1], argc > 2 ? std::atoi(argv[2]) : 0, argc > 3);
        return 0;
    } catch (const std::exception& error) {
        std::cerr << error.what() << "\n";
        return 1;
    }
}
