// outbox.hpp — what must leave Sluice other than a task: rows written in the commit of what they
// speak of (commit_x_outbox), delivered at least once. Thread-safe; its own connections.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/ids.hpp"
#include "base/instant.hpp"
#include "store/connection_pool.hpp"
#include "store/queries.hpp"

namespace sluice::store {

struct OutboxRow {
    std::int64_t id{};
    Instant created_at;
    std::string kind;   // http, shell, email
    std::string event;  // on_success, ..., deadline
    RunKey run;
    TaskNo task{no_task};
    MapIndex map_index{unmapped};
    std::string payload;  // {start, try_number, reason, with}
    std::string target;   // where it went, once it was tried
    int tries{0};
    Instant next_try_at;
    std::optional<Instant> delivered_at;
    bool gave_up{false};
    std::string error;  // of the last try
    std::string dag_id;
    std::string run_id;
    std::string task_id;  // "" = of the run
};

/// Empty fields do not filter.
struct OutboxFilter {
    std::string dag_id;
    std::string run_id;
    std::string state;  // waiting, delivered, gave_up
    PageOf page;
};

class Outbox {
public:
    explicit Outbox(ConnectionPool& pool) : pool_(pool) {}

    /// Undelivered rows beyond `after`, in order, at most 1000.
    std::vector<OutboxRow> waiting(std::int64_t after);
    std::optional<OutboxRow> find(std::int64_t id);
    void delivered(std::int64_t id, const std::string& target);
    struct Try {
        std::string target;
        std::string error;
        Instant next;
        bool gave_up{false};
    };
    void failed(std::int64_t id, const Try& what);
    /// Newest first.
    Page<OutboxRow> list(const OutboxFilter& filter);
    /// Makes an undelivered row due at once, with all its tries. False if there is none.
    bool retry(std::int64_t id);

private:
    ConnectionPool& pool_;
};

}  // namespace sluice::store
