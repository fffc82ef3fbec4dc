#include "store/mapped_rows.hpp"
#include "store/pooled.hpp"
#include "store/queries.hpp"

namespace sluice::store {
namespace {

constexpr Query ended_whole_sql{"ended_whole", R"(
    select task_no from task_instance where run_key = $1 and map_index = -1 and state <> 0)"};
constexpr Query states_sql{"mapped_states", R"(
    select task_no, state, count(*)::int8 from task_instance
    where run_key = $1 and map_index >= 0 group by task_no, state order by task_no, state)"};
constexpr Query indexes_sql{"map_indexes", R"(
    select map_index from task_instance
    where run_key = $1 and task_no = $2 and map_index >= 0 order by map_index)"};
constexpr Query name_sql{"map_name", R"(
    select name from map_name where run_key = $1 and task_no = $2 and map_index = $3)"};
}  // namespace

std::vector<TaskNo> Queries::ended_whole(RunKey run) {
    return read(pool_, [&](Connection& connection) {
        Params params;
        params.add(run.value);
        const Result result = connection.run(ended_whole_sql, params);
        std::vector<TaskNo> tasks;
        for (int i = 0; i < result.rows(); ++i) tasks.push_back(result.int4(i, 0));
        return tasks;
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

std::string Queries::map_name(const TaskKey& key) {
    return read(pool_, [&](Connection& connection) -> std::string {
        Params params;
        params.add(key.run.value).add_int(key.task).add_int(key.map_index);
        const Result result = connection.run(name_sql, params);
        return result.rows() == 0 ? std::string{} : result.text(0, 0);
    });
}

}  // namespace sluice::store
