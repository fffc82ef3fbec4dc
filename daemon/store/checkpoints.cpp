#include "store/checkpoints.hpp"

#include "base/limits.hpp"
#include "model/states.hpp"
#include "store/pooled.hpp"

namespace sluice::store {

void check_checkpoint_size(const std::string& state) {
    if (state.size() <= limits::inline_value_bytes) return;
    throw Error(
        ErrorCode::limit,
        "a checkpoint of " + std::to_string(state.size()) + " bytes; inline_value_bytes is " +
            std::to_string(limits::inline_value_bytes)
    );
}

// running, up_for_reschedule, deferred: the row of an attempt that was lost, cleared or replaced
// says something else.
constexpr Query save_checkpoint_sql{"save_checkpoint", R"(
    insert into checkpoint as c (run_key, task_no, map_index, start_no, at, state)
    select t.run_key, t.task_no, t.map_index, t.starts, clock_timestamp(), $5::text::json
    from task_instance t
    where t.run_key = $1 and t.task_no = $2 and t.map_index = $3 and t.starts = $4
        and t.state in (3, 9, 10)
    on conflict (run_key, task_no, map_index)
    do update set start_no = excluded.start_no, at = excluded.at, state = excluded.state
    where c.start_no <= excluded.start_no)"};
static_assert(static_cast<int>(TaskState::running) == 3);
static_assert(static_cast<int>(TaskState::up_for_reschedule) == 9);
static_assert(static_cast<int>(TaskState::deferred) == 10);

void Checkpoints::save(const AttemptKey& attempt, const std::string& state) {
    check_checkpoint_size(state);
    change(pool_, [&](Connection& connection) {
        Params params;
        params.add(attempt.task.run.value).add_int(attempt.task.task);
        params.add_int(attempt.task.map_index).add_int(attempt.start).add(state);
        if (connection.run(save_checkpoint_sql, params).changed() == 0)
            throw Error(
                ErrorCode::conflict,
                "the checkpoint is refused: this attempt is no longer the running one"
            );
    });
}

constexpr Query load_checkpoint_sql{"load_checkpoint", R"(
    select state from checkpoint where run_key = $1 and task_no = $2 and map_index = $3)"};

std::string Checkpoints::load(const TaskKey& task) {
    return read(pool_, [&](Connection& connection) -> std::string {
        Params params;
        params.add(task.run.value).add_int(task.task).add_int(task.map_index);
        const Result found = connection.run(load_checkpoint_sql, params);
        return found.rows() == 0 ? "null" : found.text(0, 0);
    });
}

}  // namespace sluice::store
