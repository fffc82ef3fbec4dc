// pg_journal_state.hpp — what the files of PgJournal share: its connection, its lease, and what a
// failure of the server means to the daemon.
#pragma once

#include <deque>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "store/lease_keeper.hpp"
#include "store/migrate.hpp"
#include "store/pg_journal.hpp"
#include "store/pq.hpp"
#include "store/run_partitions.hpp"
#include "store/turn_params.hpp"

namespace sluice::store {

struct PgJournal::State {
    explicit State(JournalSettings s)
        : settings(std::move(s)), keeper(settings.url, settings.lease) {}

    JournalSettings settings;
    LeaseKeeper keeper;
    std::unique_ptr<Connection> connection;
    RunPartitions partitions;
    std::int64_t epoch{0};  // 0 = never held the lease
    std::int64_t last_turn{0};
    std::int64_t last_settled{0};
    /// A turn that was sent and that nobody has asked for yet.
    struct Sent {
        LeaseKeeper::Steady::time_point at{};
        bool answered{false};
        std::int64_t number{};         // the lease's, once it is durable
        std::exception_ptr failure{};  // null = it is durable, if answered
    };
    std::deque<Sent> under_way;
    /// Turns that were under way when the connection broke.
    struct Doubt {
        std::int64_t before{};  // the lease's turn when the first of them was sent
        int turns{};
    };
    std::optional<Doubt> in_doubt;
    int commits_happened{0};
    std::int64_t rows_inserted{0};  // since the plans were made
    std::int64_t rows_to_replan{64};
    std::string last_function;  // whose plans they are
    Params turn_params;
    TurnTypes types;
    std::int64_t standbys{0};  // that were seen lately: commits are told to them

    /// The connection, for anything but sending turns: those under way are answered first.
    Connection& connected() {
        receive_all();
        return open();
    }
    Connection& open() {
        if (connection == nullptr) throw Away("no connection to the database");
        return *connection;
    }

    void connect() {
        if (connection != nullptr && !connection->broken()) return;
        disconnect();
        connection = std::make_unique<Connection>(settings.url, "sluice journal");
        keeper.watch(connection->socket());
        migrate(*connection);
        // With `auto` the server would plan every commit anew: array parameters look cheaper.
        connection->script("set plan_cache_mode = force_generic_plan");
        leave_moves_to_commit_turn();
        types = read_turn_types(*connection);
        last_function.clear();
    }

    // commit_turn judges the moves of states itself, and nothing else here writes states: the
    // triggers that do it for everyone else cost a tenth of a small turn. A role that may not leave
    // them out (superuser, or `grant set on parameter session_replication_role`) goes on with both.
    void leave_moves_to_commit_turn() {
        try {
            connection->script("set session_replication_role = replica");
        } catch (const SqlError& error) {
            if (error.state() != "42501") throw;
        }
    }

    void disconnect() {
        keeper.watch(-1);
        connection.reset();
    }

    // Runs `work` on the connection and says of a failure what the seam promises.
    template <class Work>
    auto guarded(Work work) {
        try {
            return work();
        } catch (const ConnectionLost& lost) {
            disconnect();
            throw Away(lost.what());
        } catch (const SqlError& error) {
            if (error.state() == "SL001") {
                keeper.rest();
                throw Deposed(error.what());
            }
            if (error.is_about_data()) throw Refused(error.what());
            // 42: a statement of ours is wrong; trying again cannot help.
            if (error.state().starts_with("42")) throw Error(ErrorCode::internal, error.what());
            disconnect();
            throw Away(error.what());
        }
    }

    void send(const Turn& turn);
    /// Takes the answer of the oldest turn that has none yet, and keeps it for `settle`.
    void receive(Sent& turn);
    void receive_all();
    [[noreturn]] void fail(const std::exception_ptr& why);
    /// What is under way may have happened; the next load tells.
    void doubt();
    void replan_if_grown(const Turn& turn, const std::string& function);
    void take_lease(Snapshot& snapshot);
    void settle_doubt(std::int64_t old_epoch);
    void read_state(Snapshot& snapshot);
    std::vector<StoredRun> read_runs(const Result& runs);
};

}  // namespace sluice::store
