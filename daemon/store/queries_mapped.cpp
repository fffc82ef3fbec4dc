#include "store/mapped_rows.hpp"
#include "store/pooled.hpp"
#include "store/queries.hpp"

namespace sluice::store {
namespace {

// One look into the index a task: by the run alone it would read an entry of each mapped instance.
constexpr Query ended_whole_sql{"ended_whole", R"(
    select d.no from unnest($2::int4[]) as d(no) cross join lateral (
        select from task_instance t
        where t.run_key = $1 and t.task_no = d.no and t.map_index = -1 and t.state <> 0
        limit 1) moved)"};
constexpr Query states_sql{"mapped_states", R"(
    select task_no, state, count(*)::int8 from task_instance
    where run_key = $1 and map_index >= 0 group by task_no, state order by task_no, state)"};
constexpr Query indexes_sql{"map_indexes", R"(
    select map_index from task_instance
    where run_key = $1 and task_no = $2 and map_index >= 0 order by map_index)"};
constexpr Query names_sql{"map_names", R"(
    select n.run_key, n.task_no, n.map_index, n.name
    from unnest($1::int8[], $2::int4[], $3::int4[]) as k(run_key, task_no, map_index)
    join map_name n using (run_key, task_no, map_index))"};
}  // namespace

std::vector<TaskNo> Queries::ended_whole(RunKey run, const std::vector<TaskNo>& tasks) {
    if (tasks.empty()) return {};
    return read(pool_, [&](Connection& connection) {
        Params params;
        params.add(run.value).add(std::span<const std::int32_t>{tasks});
        const Result result = connection.run(ended_whole_sql, params);
        std::vector<TaskNo> moved;
        for (int i = 0; i < result.rows(); ++i) moved.push_back(result.int4(i, 0));
        return moved;
    });
}

std::vector<MapLength> Queries::map_lengths(RunKey run) {
    const std::int64_t key = run.value;
    return read(pool_, [&](Connection& connection) {
        return read_map_lengths(connection, {&key, 1});
    });
}

std::vector<MapRange> Queries::map_ranges(RunKey run) {
    const std::int64_t key = run.value;
    return read(pool_, [&](Connection& connection) {
        return read_map_ranges(connection, {&key, 1});
    });
}

std::vector<Queries::MappedStates> Queries::mapped_states(RunKey run) {
    return read(pool_, [&](Connection& connection) {
        Params params;
        params.add(run.value);
        const Result result = connection.run(states_sql, params);
        std::vector<MappedStates> rows;
        for (int i = 0; i < result.rows(); ++i)
            rows.push_back(
                {result.int4(i, 0), static_cast<TaskState>(result.int2(i, 1)), result.int8(i, 2)}
            );
        return rows;
    });
}

std::vector<MapIndex> Queries::map_indexes(RunKey run, TaskNo task) {
    return read(pool_, [&](Connection& connection) {
        Params params;
        params.add(run.value).add_int(task);
        const Result result = connection.run(indexes_sql, params);
        std::vector<MapIndex> indexes;
        for (int i = 0; i < result.rows(); ++i) indexes.push_back(result.int4(i, 0));
        return indexes;
    });
}

std::map<TaskKey, std::string> Queries::map_names(const std::vector<TaskKey>& keys) {
    std::vector<std::int64_t> runs;
    std::vector<std::int32_t> tasks;
    std::vector<std::int32_t> indexes;
    for (const TaskKey& key : keys) {
        if (key.map_index == unmapped) continue;
        runs.push_back(key.run.value);
        tasks.push_back(key.task);
        indexes.push_back(key.map_index);
    }
    if (runs.empty()) return {};
    return read(pool_, [&](Connection& connection) {
        Params params;
        params.add(std::span<const std::int64_t>{runs});
        params.add(std::span<const std::int32_t>{tasks});
        params.add(std::span<const std::int32_t>{indexes});
        const Result result = connection.run(names_sql, params);
        std::map<TaskKey, std::string> names;
        for (int i = 0; i < result.rows(); ++i)
            names.emplace(
                TaskKey{RunKey{result.int8(i, 0)}, result.int4(i, 1), result.int4(i, 2)},
                result.text(i, 3)
            );
        return names;
    });
}

}  // namespace sluice::store
