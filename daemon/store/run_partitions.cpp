#include "store/run_partitions.hpp"

#include <algorithm>

#include "store/migrate.hpp"
#include "store/turn_params.hpp"

namespace sluice::store {
namespace {

std::string call_of(const std::string& function) {
    std::string sql = "select " + function + "(";
    for (int i = 1; i <= commit_turn_parameters; ++i) {
        if (i > 1) sql += ", ";
        sql += "$" + std::to_string(i);
    }
    return sql + ")";
}

constexpr Query partitions_sql{
    "partitions", "select number, lo, hi from run_partition order by number"
};

}  // namespace

RunPartitions::RunPartitions() : across_{0, 0, "commit_turn", call_of("commit_turn")} {}

void RunPartitions::read(Connection& connection) {
    const Result rows = connection.run(partitions_sql);
    partitions_.clear();
    for (int i = 0; i < rows.rows(); ++i) {
        const std::string function = "commit_turn_p" + std::to_string(rows.int4(i, 0));
        partitions_.push_back({rows.int8(i, 1), rows.int8(i, 2), function, call_of(function)});
    }
}

constexpr Query raise_open_from_sql{"raise_open_from", "select raise_open_from($1, $2)"};

bool RunPartitions::covers(std::int64_t run_key) const {
    if (partitions_.empty()) return false;
    const Partition& last = partitions_.back();
    return run_key < last.hi - (last.hi - last.lo) / 8;
}

void RunPartitions::cover(Connection& connection, std::int64_t epoch, std::int64_t run_key) {
    if (covers(run_key)) return;
    make_partitions(connection, run_key);
    read(connection);
    Params params;
    params.add(epoch).add(partition_runs / 2);
    connection.run(raise_open_from_sql, params);
}

const RunPartitions::Partition& RunPartitions::of(const Turn& turn) const {
    const auto keys = partition_keys(turn);
    if (!keys) return across_;
    const auto found = std::ranges::find_if(partitions_, [&](const Partition& partition) {
        return partition.lo <= keys->first && keys->second < partition.hi;
    });
    return found == partitions_.end() ? across_ : *found;
}

}  // namespace sluice::store
