#include "store/mapped_rows.hpp"

#include <nlohmann/json.hpp>

namespace sluice::store {
namespace {

constexpr Query lengths_sql{"map_lengths_of_runs", "select " SLUICE_MAP_LENGTH R"( from map_length
    where run_key = any($1) order by run_key, map_no, outer_index)"};
constexpr Query ranges_sql{"map_ranges_of_runs", R"(
    select run_key, seq, task_no, map_lo, map_hi, state, at, note from map_range
    where run_key = any($1) order by seq)"};
constexpr Query plain_sql{"plain_instances", R"(
    select t.run_key, t.task_no, t.map_index, t.state, t.try_number, t.max_tries, t.starts,
        t.attempts_since_clear, t.scheduled_at, t.start_date, t.end_date
    from task_instance t
    where t.run_key = $1 and (t.task_no, t.map_index) > ($2, $3) and )" SLUICE_PLAIN_INSTANCE R"(
    order by t.task_no, t.map_index limit 50000)"};

/// Piece by piece: a million rows at once would take more memory than the daemon may have.
void read_plain(Connection& connection, RunKey run, Snapshot& snapshot) {
    int task = -1;
    MapIndex index = -1;
    for (;;) {
        Params params;
        params.add(run.value).add_int(task).add_int(index);
        const Result rows = connection.run(plain_sql, params);
        for (int i = 0; i < rows.rows(); ++i) {
            task = rows.int4(i, 1);
            index = rows.int4(i, 2);
            snapshot.plain.push_back(
                {{run, task, index},
                 static_cast<TaskState>(rows.int2(i, 3)),
                 rows.int4(i, 4),
                 rows.int4(i, 5),
                 rows.int4(i, 6),
                 rows.int4(i, 7),
                 rows.maybe_time(i, 8),
                 rows.maybe_time(i, 9),
                 rows.maybe_time(i, 10)}
            );
        }
        if (rows.rows() < 50'000) return;
    }
}

}  // namespace

void read_mapped(Connection& connection, Snapshot& snapshot) {
    std::vector<std::int64_t> runs;
    for (const DagRun& run : snapshot.open_runs) runs.push_back(run.key.value);
    if (runs.empty()) return;
    snapshot.map_lengths = read_map_lengths(connection, runs);
    snapshot.map_ranges = read_map_ranges(connection, runs);
    RunKey last;
    for (const MapLength& length : snapshot.map_lengths) {
        if (length.run == last) continue;
        last = length.run;
        read_plain(connection, last, snapshot);
    }
}

MapLength read_map_length(const Result& rows, int i) {
    MapLength row{
        RunKey{rows.int8(i, 0)}, rows.int4(i, 1), rows.int4(i, 2), rows.int8(i, 3), rows.text(i, 4)
    };
    row.outer = rows.int4(i, 5);
    if (row.outer != unmapped) nlohmann::json::parse(rows.text(i, 6)).get_to(row.blocks);
    return row;
}

std::vector<MapLength> read_map_lengths(
    Connection& connection, std::span<const std::int64_t> runs
) {
    Params params;
    params.add(runs);
    const Result rows = connection.run(lengths_sql, params);
    std::vector<MapLength> found;
    for (int i = 0; i < rows.rows(); ++i) found.push_back(read_map_length(rows, i));
    return found;
}

std::vector<MapRange> read_map_ranges(Connection& connection, std::span<const std::int64_t> runs) {
    Params params;
    params.add(runs);
    const Result rows = connection.run(ranges_sql, params);
    std::vector<MapRange> found;
    for (int i = 0; i < rows.rows(); ++i)
        found.push_back(
            {Seq{rows.int8(i, 1)},
             RunKey{rows.int8(i, 0)},
             rows.int4(i, 2),
             rows.int4(i, 3),
             rows.int4(i, 4),
             static_cast<TaskState>(rows.int2(i, 5)),
             rows.time(i, 6),
             rows.text(i, 7)}
        );
    return found;
}

}  // namespace sluice::store
