// live_batch.hpp — the part of a change that browsers see, small enough to be kept for those who
// come back; several are merged into one frame, the last word on each key wins.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.hpp"
#include "base/instant.hpp"
#include "runtime/feed.hpp"

namespace sluice::api {

struct TaskNews {
    char letter{'n'};
    int try_number{0};
    std::int64_t at_ms{0};
    bool live{false};  // it holds its slots: an attempt is under way
};

struct RunNews {
    std::string dag_id;
    std::string run_id;
    VersionId version;
    RunState state{RunState::queued};
    std::int64_t at_ms{0};
    std::string type;
    std::optional<Instant> logical_date;
    Instant run_after;
};

struct DagNews {
    std::optional<bool> paused;
    std::optional<Instant> next;
    bool has_state{false};
    bool gone{false};
    bool defined{false};
};

struct Batch {
    Seq seq;
    std::map<TaskKey, TaskNews> tasks;
    std::map<RunKey, RunNews> runs;
    std::map<std::string, DagNews> dags;
    bool import_errors{false};  // one came, changed or went

    [[nodiscard]] bool empty() const {
        return tasks.empty() && runs.empty() && dags.empty() && !import_errors;
    }
    [[nodiscard]] std::size_t size() const { return tasks.size() + runs.size() + dags.size(); }
    void add(const Batch& later);
};

Batch batch_of(const runtime::Change& change);

/// A place in the change stream that a browser watches.
struct Topic {
    enum class Kind { dags, dag, run, log } kind{Kind::dags};
    std::string dag_id;
    std::string run_id;
    std::string task_id;
    MapIndex map_index{unmapped};
    int try_number{0};
    std::uint64_t line{0};
    std::string key;  // log: as written, without "log:" and "@LINE"
};

/// "dags,dag:X,run:X/R,log:X/R/T/MAP/TRY@LINE", parts percent-encoded; none if one is not a topic.
std::optional<std::vector<Topic>> parse_topics(std::string_view text);

}  // namespace sluice::api
