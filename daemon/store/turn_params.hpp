// turn_params.hpp — a Turn as the parameters of commit_turn (migrations/0022_cheaper_commits.sql,
// changed by 0026 and 0027).
// Included by .cpp files of this folder only.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "model/turn.hpp"
#include "store/pq.hpp"

namespace sluice::store {

inline constexpr int commit_turn_parameters = 16;

/// The database's numbers of the record types that commit_turn takes.
struct TurnTypes {
    Oid task{};
    Oid log{};
    Oid run{};
    Oid key{};
    Oid audit{};
    Oid dag{};
    Oid date{};
};
TurnTypes read_turn_types(Connection& connection);

/// Smallest and largest run key of the rows that go to partitioned tables; none if there are none.
std::optional<std::pair<std::int64_t, std::int64_t>> partition_keys(const Turn& turn);
/// Largest run key of a new run, 0 if there is none.
std::int64_t last_new_run(const Turn& turn);

struct TurnFrame {
    const TurnTypes& types;
    std::int64_t epoch{};
    Duration lease{};
    bool tell{false};  // standbys are told of the commit
};
/// Writes all parameters. `params` is cleared first, its memory is used again.
void write_turn(const Turn& turn, const TurnFrame& frame, Params& params);

}  // namespace sluice::store
