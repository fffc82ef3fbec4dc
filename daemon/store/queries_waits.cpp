// Reads of what waits: questions to people and their answers.
#include "store/deadline_rows.hpp"
#include "store/pooled.hpp"
#include "store/queries.hpp"
#include "store/rows.hpp"

namespace sluice::store {
namespace {

constexpr Query wait_sql{"wait", "select " SLUICE_WAIT_COLUMNS R"(
    from task_wait w where w.run_key = $1 and w.task_no = $2 and w.map_index = $3)"};
constexpr Query questions_of_run_sql{"questions_of_run", "select " SLUICE_WAIT_COLUMNS R"(
    from task_wait w where w.run_key = $1 and w.kind = 2 order by w.task_no, w.map_index)"};
constexpr Query open_questions_sql{"open_questions", "select " SLUICE_WAIT_COLUMNS R"(
    from task_wait w join dag_run r on r.run_key = w.run_key
    where w.kind = 2 and not w.over and r.state < 2 and ($1 = '' or r.dag_id = $1)
    order by w.first_at, w.run_key, w.task_no, w.map_index limit $2)"};

std::vector<WaitRow> read_all(const Result& result) {
    std::vector<WaitRow> rows;
    for (int i = 0; i < result.rows(); ++i) rows.push_back(read_wait(result, i));
    return rows;
}

}  // namespace

std::optional<WaitRow> Queries::wait(const TaskKey& key) {
    Params params;
    params.add(key.run.value).add_int(key.task).add_int(key.map_index);
    auto rows = read(pool_, [&](Connection& c) { return read_all(c.run(wait_sql, params)); });
    if (rows.empty()) return std::nullopt;
    return std::move(rows.front());
}

std::vector<WaitRow> Queries::questions_of(RunKey run) {
    Params params;
    params.add(run.value);
    return read(pool_, [&](Connection& c) {
        return read_all(c.run(questions_of_run_sql, params));
    });
}

std::vector<WaitRow> Queries::open_questions(const std::string& dag_id, int limit) {
    Params params;
    params.add(dag_id).add(std::int64_t{limit});
    return read(pool_, [&](Connection& c) { return read_all(c.run(open_questions_sql, params)); });
}

std::vector<DeadlineRow> Queries::deadlines(RunKey run) {
    return read(pool_, [&](Connection& c) { return read_deadlines_of(c, run); });
}

}  // namespace sluice::store
