// attempt_channel.hpp — the daemon's end of one attempt: answers its requests, takes what it says.
// The same object serves an inline operator (a direct call) and a worker (frames). Thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "executor/redactor.hpp"
#include "executor/services.hpp"
#include "executor/task_log.hpp"
#include "model/attempt.hpp"
#include "task/context.hpp"

namespace sluice::executor {

/// What a running task last said of how far it is.
struct Progress {
    double fraction{0};     // of all there is to do; 0 = unknown
    std::string what;       // "" = it has said nothing yet
    std::int64_t rows{-1};  // so far; -1 = it does not say
    std::int64_t bytes{-1};
    Instant since{};  // it began to count
    Instant at{};     // it said so
};

class AttemptChannel final : public task::Channel {
public:
    /// All must outlive the channel.
    AttemptChannel(
        const AttemptOrder& order, const Services& services, Redactor& redactor, TaskLog& log
    );

    /// Lets go of its artefacts: their commit follows soon, or they are garbage.
    ~AttemptChannel() override;

    /// connection, secret, partition, inputs, claim, latest, checkpoint, metrics, progress. Throws
    /// Error.
    nlohmann::json call(const nlohmann::json& request) override;
    /// log, progress, xcom, output. Throws Error(limit) for a value that is too large.
    void send(const nlohmann::json& notice) override;

    /// What was pushed, secrets taken out: the last value of each key.
    [[nodiscard]] std::vector<XcomValue> take_xcoms();
    [[nodiscard]] std::vector<OutputCommit> take_outputs();
    /// JSON {data set or "": {metric: number}}; "" = it measured nothing.
    [[nodiscard]] std::string metrics() const;
    /// A checkpoint was written.
    [[nodiscard]] bool checkpointed() const;
    [[nodiscard]] Progress progress() const;

    /// The value of an XCom as it goes into a row: itself, or a reference to the artefact it has
    /// become. Throws Error(limit).
    std::string stored(const std::string& key, std::string value);

private:
    nlohmann::json answer_metrics(const nlohmann::json& request);
    void take_progress(const nlohmann::json& said);

    const AttemptOrder& order_;
    const Services& services_;
    Redactor& redactor_;
    TaskLog& log_;
    mutable std::mutex mutex_;  // guards all below
    std::vector<XcomValue> xcoms_;
    std::vector<OutputCommit> outputs_;
    Progress progress_;
    std::map<std::string, std::string> metrics_;  // by data set, JSON
    bool checkpointed_{false};
    std::vector<std::string> held_;  // hashes of artefacts
};

/// Looks a connection up and makes its password unprintable. Throws Error(not_found) that says how
/// to define it.
task::Connection require_connection(
    const Services& services, Redactor& redactor, const std::string& conn_id
);

/// The same for a secret.
Secret require_secret(const Services& services, Redactor& redactor, const std::string& name);

}  // namespace sluice::executor
