#include "api/services.hpp"

#include "api/failure.hpp"
#include "api/mapped.hpp"
#include "base/check.hpp"
#include "base/limits.hpp"
#include "http/later.hpp"
#include "runtime/waiter.hpp"

namespace sluice::api {
namespace {

constexpr std::size_t cached_versions = 500;

int status_of(ErrorCode code) {
    switch (code) {
        case ErrorCode::invalid:
            return 422;
        case ErrorCode::not_found:
            return 404;
        case ErrorCode::conflict:
            return 409;
        case ErrorCode::unauthorized:
            return 401;
        case ErrorCode::forbidden:
            return 403;
        case ErrorCode::unavailable:
            return 503;
        case ErrorCode::limit:
            return 429;
        case ErrorCode::internal:
            return 500;
    }
    unreachable();
}

}  // namespace

DagPtr Versions::dag(VersionId id, const std::string& dag_id, int number) {
    if (DagPtr known = registry_.find_version(id)) return known;
    {
        const std::lock_guard lock(mutex_);
        const auto found = dags_.find(id);
        if (found != dags_.end()) return found->second;
    }
    // By its id: a form has the number of its version.
    auto stored = queries_.version(id);
    if (!stored) stored = queries_.version(dag_id, number);
    if (!stored) return nullptr;
    DagPtr dag = read_(*stored);
    const std::lock_guard lock(mutex_);
    if (dags_.size() >= cached_versions) dags_.clear();
    dags_[id] = dag;
    return dag;
}

std::optional<store::VersionRow> Versions::row(const std::string& dag_id, VersionId id) {
    {
        const std::lock_guard lock(mutex_);
        const auto found = rows_.find(id);
        if (found != rows_.end()) return found->second;
    }
    store::PageOf page{.limit = static_cast<std::int64_t>(limits::page_rows), .offset = 0};
    while (true) {
        const auto rows = queries_.versions(dag_id, page);
        const std::lock_guard lock(mutex_);
        for (const auto& row : rows.rows) rows_[row.id] = row;
        const auto found = rows_.find(id);
        if (found != rows_.end()) return found->second;
        page.offset += page.limit;
        if (page.offset >= rows.total) break;
    }
    auto version = queries_.version_of_form(id);
    const std::lock_guard lock(mutex_);
    if (version) rows_[id] = *version;
    return version;
}

bool folder_is_watched(const Instance& instance, Instant now) {
    constexpr auto longest_silence = std::chrono::seconds(90);
    const auto looked = instance.folder_looked_at();
    return now - looked.value_or(instance.started_at) < longest_silence;
}

std::string resolved(const Instance& instance, std::string value) {
    if (instance.artefacts == nullptr) return value;
    return instance.artefacts->resolve(std::move(value));
}

std::string resolved_fields(const Instance& instance, const std::string& fields) {
    if (instance.artefacts == nullptr || references_in(fields).empty()) return fields;
    Json json = stored_json(fields);
    for (auto& [name, value] : json.items())
        if (const auto ref = reference_of(value.dump()))
            value = stored_json(instance.artefacts->get(*ref));
    return json.dump();
}

DagRun with_conf(const Instance& instance, DagRun run) {
    run.conf = resolved(instance, std::move(run.conf));
    return run;
}

http::Reply reply(int status, const Json& json) { return http::json_reply(status, dump(json)); }
http::Reply no_content() { return {204, "", "", {}, nullptr}; }

runtime::ListedDag find_dag(Services& services, const std::string& dag_id) {
    auto listed = services.runtime.registry().find(dag_id);
    if (!listed) throw not_found("The Dag with ID: `" + dag_id + "` was not found");
    return *listed;
}

store::RunRow find_run(Services& services, const std::string& dag_id, const std::string& run_id) {
    auto run = services.queries.run(dag_id, run_id);
    if (!run)
        throw not_found(
            "The DagRun with dag_id: `" + dag_id + "` and run_id: `" + run_id + "` was not found"
        );
    return *run;
}

DagPtr dag_of(Services& services, const store::RunRow& run) {
    DagPtr dag = services.versions.dag(run.run.version, run.run.dag_id, run.version_number);
    if (!dag)
        throw not_found(
            "Version " + std::to_string(run.version_number) + " of Dag `" + run.run.dag_id +
            "` was not found"
        );
    return dag;
}

TaskInstance unborn(RunKey run, TaskNo task, const Task& definition) {
    TaskInstance instance;
    instance.key = {run, task, unmapped};
    instance.max_tries = definition.retries;
    return instance;
}

Found find_instance(
    Services& services,
    const std::string& dag_id,
    const std::string& run_id,
    const std::string& task_id,
    MapIndex map_index
) {
    const auto missing = [&] {
        std::string text = "The Task Instance with dag_id: `" + dag_id + "`, run_id: `" + run_id +
                           "` and task_id: `" + task_id + "`";
        if (map_index != unmapped) text += " and map_index: `" + std::to_string(map_index) + "`";
        return not_found(text + " was not found");
    };
    auto run = services.queries.run(dag_id, run_id);
    if (!run) throw missing();
    Found found;
    found.dag = dag_of(services, *run);
    found.no = find_task(*found.dag, task_id);
    if (found.no == no_task) throw missing();
    const TaskKey key{run->run.key, found.no, map_index};
    const MappedRun mapped(services, run->run, *found.dag);
    const auto length = mapped.length(found.no);
    if (auto row = services.queries.task(key)) {
        found.instance = std::move(row->instance);
    } else {
        if (map_index != unmapped && map_index >= length) throw missing();
        found.instance = mapped.without_row(found.no, map_index);
    }
    found.version = services.versions.row(dag_id, run->run.version);
    found.run = std::move(*run);
    return found;
}

InstanceContext context_of(const Found& found, const Services& services) {
    return {
        found.run.run.dag_id,
        found.run.run.run_id,
        found.task().id,
        found.run.run.logical_date,
        found.run.run.run_after,
        &found.task(),
        found.version,
        services.node,
    };
}

std::vector<TaskInstance> all_instances(
    Services& services, const store::RunRow& run, const Dag& dag
) {
    const MappedRun mapped(services, run.run, dag);
    std::vector<std::map<MapIndex, TaskInstance>> by_task(dag.tasks.size());
    for (auto& row : services.queries.tasks_of(run.run.key)) {
        const auto no = static_cast<std::size_t>(row.instance.key.task);
        if (no >= by_task.size()) continue;
        by_task[no].emplace(row.instance.key.map_index, std::move(row.instance));
    }
    std::vector<TaskInstance> all;
    for (std::size_t i = 0; i < by_task.size(); ++i) {
        const auto no = static_cast<TaskNo>(i);
        const auto add = [&](MapIndex index) {
            const auto row = by_task[i].find(index);
            all.push_back(
                row == by_task[i].end() ? mapped.without_row(no, index) : std::move(row->second)
            );
        };
        if (mapped.length(no) == 0) add(unmapped);
        for (MapIndex index = 0; index < mapped.length(no); ++index) add(index);
    }
    return all;
}

core::Actor actor_of(const http::Request& request, const Caller& caller) {
    core::Actor actor;
    actor.user = caller.user;
    actor.source = request.remote;
    actor.request_id = request.request_id;
    if (!caller.session.empty()) {
        actor.by = TriggeredBy::ui;
    } else {
        actor.by = request.header("user-agent").starts_with("sluice") ? TriggeredBy::cli
                                                                      : TriggeredBy::rest_api;
    }
    return actor;
}

AuditEntry audit_of(
    Services& services, const http::Request& request, const Caller& caller, std::string event
) {
    AuditEntry entry;
    entry.at = services.clock.now();
    entry.actor = caller.user;
    entry.source = request.remote;
    entry.request_id = request.request_id;
    entry.event = std::move(event);
    entry.extra = "{}";
    return entry;
}

Answer command(Services& services, core::Event event) {
    Answer answer = services.runtime.call(std::move(event));
    if (answer.error) throw failure(status_of(*answer.error), answer.message);
    return answer;
}

http::Reply command_later(
    Services& services, core::Event event, std::function<http::Reply(const Answer&)> make
) {
    auto later = std::make_shared<http::Later>();
    later->impatient = [weak = std::weak_ptr(later),
                        patience = runtime::Patience(services.runtime.figures())]() mutable {
        const auto waiting = weak.lock();
        if (!waiting) return;
        try {
            patience.check();
        } catch (const Error&) {
            waiting->ready([why = std::current_exception()]() -> http::Reply {
                std::rethrow_exception(why);
            });
        }
    };
    services.runtime.call_later(
        std::move(event),
        [later, make = std::move(make)](std::shared_future<Answer> answer) {
            later->ready([make, answer = std::move(answer)] { return make(answer.get()); });
        }
    );
    http::Reply reply;
    reply.later = std::move(later);
    return reply;
}

std::vector<Answer> command_all(Services& services, std::vector<core::Event> events) {
    constexpr std::size_t portion = 16;
    std::vector<Answer> answers;
    std::vector<core::Event> some;
    for (std::size_t i = 0; i < events.size(); ++i) {
        some.push_back(std::move(events[i]));
        if (some.size() < portion && i + 1 < events.size()) continue;
        for (auto& answer : services.runtime.call_all(std::exchange(some, {}))) {
            if (answer.error) throw failure(status_of(*answer.error), answer.message);
            answers.push_back(std::move(answer));
        }
    }
    return answers;
}

}  // namespace sluice::api
