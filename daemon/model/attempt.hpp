// attempt.hpp — what the scheduler hands to the executor, and what comes back.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.hpp"
#include "base/instant.hpp"
#include "model/dag.hpp"
#include "model/run.hpp"
#include "model/wait.hpp"

namespace sluice {

/// An order to start one attempt; given out after the commit that made it durable.
struct AttemptOrder {
    AttemptKey key;
    DagPtr dag;
    std::shared_ptr<const DagRun> run;
    int try_number{1};
    int max_tries{0};
    Instant start_date;
    std::optional<Instant> deadline;  // of this poke: its start + execution_timeout
    std::optional<PokeInfo> poke;     // the task has waited before
    std::string exception;            // of a callback: why it is due
    // Of a mapping inside a mapped group: whose list the instance is of, and which of it. Where it
    // is not said (callbacks), the database knows.
    MapIndex outer{unmapped};
    std::int32_t inner{0};
};

/// An order to find out how many instances a mapping has: its templates are rendered, the items
/// kept, and `core::Expanded` posted. Takes no slot; given again after a crash.
struct ExpandOrder {
    RunKey run_key;
    MapNo map{no_map};
    std::int64_t serial{};  // of this order: the answer to an older one is void
    DagPtr dag;
    std::shared_ptr<const DagRun> run;
    MapIndex outer{unmapped};  // whose list, of a mapping inside a mapped group
};

enum class CancelReason : std::uint8_t {
    user,         // cleared, marked, run cancelled or set by hand
    timeout,      // execution_timeout
    run_timeout,  // dagrun_timeout
    shutdown,     // the daemon stops: the attempt is lost, not failed
};
std::string_view name(CancelReason reason);

enum class OutcomeKind : std::uint8_t { success, skipped, failed, lost, waiting };

/// Which way a run goes on below a task that succeeded: what is not chosen is skipped.
struct Branch {
    std::vector<std::string> chosen;  // full ids of direct downstream tasks or groups
    /// Nothing is chosen, and everything below is skipped at once whatever its trigger rule says,
    /// teardowns excepted.
    bool skip_all_below{false};
    friend bool operator==(const Branch&, const Branch&) = default;
};

struct Outcome {
    OutcomeKind kind{OutcomeKind::success};
    ErrorClass error_class{ErrorClass::none};
    std::string message;                  // error or skip reason, <= 4 KiB, redacted
    std::optional<Duration> retry_after;  // rate_limited: the server's wish
    bool unchanged{false};                // `reuse`: nothing was written
    std::optional<Branch> branch{};       // of a success; none = all downstreams go on
    bool skip_on_timeout{false};          // its execution_timeout makes it skipped, not failed
    std::optional<WaitOrder> wait;        // waiting: for what
};

struct XcomValue {
    std::string key;
    std::string value;  // JSON text
};

/// A lake slice that the attempt wrote, to be made live in the commit of its success.
struct OutputCommit {
    std::string dataset;
    std::string partition;
    std::string slice;
    std::int64_t generation{};
    std::int64_t rows{};
    std::int64_t bytes{};
    std::string content_hash;  // 32 hex digits: sum of row hashes mod 2^128
    std::string files;         // JSON array of {path, rows, bytes}
    std::string input;         // JSON array of {dataset, partition, slice, generation}
    std::string code_hash;     // hex
};

struct AttemptResult {
    AttemptKey key;
    Instant end_date;
    Outcome outcome;
    std::vector<XcomValue> xcoms;
    std::vector<OutputCommit> outputs;
    std::string rendered;      // JSON object of the rendered parameters, secrets masked; "" = none
    std::string map_name;      // the rendered map_index_template; "" = none
    bool checkpointed{false};  // it left a checkpoint, or found one
};

}  // namespace sluice
