// Edges: written upstreams, and those inferred from data sets, XComs and gates.
#include <algorithm>

#include <fmt/format.h>

#include "spec/draft.hpp"

namespace sluice::spec {
namespace {

bool in_group(const std::string& group, const std::string& of) {
    return group == of || group.starts_with(of + '.');
}

class Edges {
public:
    explicit Edges(Draft& draft)
        : draft_(draft), written_(draft.dag.tasks.size()), inferred_(draft.dag.tasks.size()) {
        for (std::size_t i = 0; i < draft.dag.tasks.size(); ++i)
            numbers_[draft.dag.tasks[i].id] = static_cast<TaskNo>(i);
    }

    void connect() {
        read_names();
        data_edges();
        xcom_edges();
        written_edges();
        gate_edges();
        for (std::size_t i = 0; i < written_.size(); ++i) {
            auto& task = draft_.dag.tasks[i];
            std::set<TaskNo> all = written_[i];
            for (const TaskNo up : inferred_[i])
                if (all.insert(up).second) task.inferred.push_back(up);
            task.upstream.assign(all.begin(), all.end());
        }
    }

private:
    using Numbers = std::set<TaskNo>;

    DatasetSpec* find(const std::string& name) {
        const auto found = std::ranges::find(draft_.dag.datasets, name, &DatasetSpec::name);
        return found == draft_.dag.datasets.end() ? nullptr : &*found;
    }

    /// What is written but not declared gets a data set of its own.
    DatasetSpec& ensure(const std::string& name) {
        if (auto* known = find(name)) return *known;
        DatasetSpec fresh;
        fresh.name = name;
        fresh.partition = usual_partition_;
        draft_.dag.datasets.push_back(std::move(fresh));
        return draft_.dag.datasets.back();
    }

    void note_writer(const std::string& name, TaskNo task, const std::string& pointer) {
        auto& dataset = ensure(name);
        if (dataset.writer == no_task && !dataset.declared)
            check_only_writer(draft_, name, pointer);
        if (dataset.writer == no_task || dataset.writer == task) {
            dataset.writer = task;
            return;
        }
        draft_.problems.error(
            "E-DATASET-WRITERS",
            pointer,
            fmt::format(
                "{} is written by the task \"{}\" already; a data set has one writer",
                name,
                draft_.dag.tasks[at(dataset.writer)].id
            )
        );
    }

    void read_names() {
        usual_partition_ = usual();
        for (std::size_t i = 0; i < draft_.tasks.size(); ++i) {
            const auto task = static_cast<TaskNo>(i);
            for (const auto& use : draft_.tasks[i].writes)
                if (check_dataset_name(use.name, use.pointer, draft_.dag, draft_.problems))
                    note_writer(use.name, task, use.pointer);
            for (const auto& name : draft_.tasks[i].side_writes)
                if (find(name) == nullptr) {
                    // Rejects stand beside a data set that has been looked at already.
                    if (!name.ends_with("_rejects"))
                        check_only_writer(draft_, name, draft_.tasks[i].pointer);
                    ensure(name).writer = task;
                }
        }
    }

    /// As the schedule's preset says; the same for every data set that does not say it.
    std::string usual() const {
        const auto& crons = draft_.dag.schedule.crons;
        if (crons.size() != 1) return "day";
        if (crons.front() == "0 * * * *") return "hour";
        if (crons.front() == "0 0 1 * *") return "month";
        if (crons.front() == "0 0 1 */3 *") return "quarter";
        if (crons.front() == "0 0 1 1 *") return "year";
        return "day";
    }

    void data_edges() {
        for (std::size_t i = 0; i < draft_.tasks.size(); ++i) {
            const auto task = static_cast<TaskNo>(i);
            for (const auto& use : draft_.tasks[i].reads) {
                const bool from_sql = use.pointer.starts_with("sql:");
                if (!from_sql &&
                    !check_dataset_name(use.name, use.pointer, draft_.dag, draft_.problems))
                    continue;
                DatasetSpec* dataset = find(use.name);
                if (dataset == nullptr) dataset = adopt_dataset(draft_, use.name);
                if (dataset == nullptr) {
                    // In SQL it may be a column of an alias; binding the statement tells.
                    if (!from_sql) unknown(use);
                    continue;
                }
                if (std::ranges::find(dataset->readers, task) == dataset->readers.end())
                    dataset->readers.push_back(task);
                if (dataset->writer != no_task && dataset->writer != task)
                    inferred_[i].insert(dataset->writer);
            }
        }
    }

    void unknown(const DatasetUse& use) {
        if (draft_.stored || !draft_.operators_known) return;
        std::vector<std::string> known;
        for (const auto& dataset : draft_.dag.datasets) known.push_back(dataset.name);
        draft_.problems.error(
            "E-DATASET-UNKNOWN",
            use.pointer,
            fmt::format("no task writes {} and it is not declared, in no DAG", use.name),
            did_you_mean(use.name, known)
        );
    }

    void xcom_edges() {
        for (std::size_t i = 0; i < draft_.tasks.size(); ++i) {
            for (const auto& id : draft_.tasks[i].xcom_tasks) {
                const auto found = numbers_.find(id);
                if (found == numbers_.end()) continue;  // the check of templates has said so
                if (at(found->second) == i) {
                    draft_.problems.error(
                        "E-CYCLE",
                        draft_.tasks[i].pointer,
                        fmt::format("\"{}\" reads its own XCom", id)
                    );
                    continue;
                }
                inferred_[i].insert(found->second);
            }
        }
    }

    Numbers members(const std::string& group) const {
        Numbers out;
        for (std::size_t i = 0; i < draft_.dag.tasks.size(); ++i)
            if (in_group(draft_.dag.tasks[i].group, group)) out.insert(static_cast<TaskNo>(i));
        return out;
    }

    template <class Use>
    void each_upstream(TaskNo task, const Use& use) const {
        for (const TaskNo up : written_[at(task)]) use(up);
        for (const TaskNo up : inferred_[at(task)]) use(up);
    }

    /// Tasks of the group that nothing in the group depends on, or that depend on nothing in it.
    /// In the place of a last task that is a teardown stand the tasks right above it: what follows
    /// the group does not wait for it.
    Numbers lasts(const std::string& group) const {
        Numbers all = members(group);
        Numbers out = all;
        for (const TaskNo task : all) each_upstream(task, [&](TaskNo up) { out.erase(up); });
        if (out.empty()) return all;
        Numbers work;
        for (const TaskNo task : out) add_last(task, all, work);
        return work.empty() ? out : work;
    }
    void add_last(TaskNo task, const Numbers& all, Numbers& out) const {
        const auto& tasks = draft_.dag.tasks;
        if (!tasks[at(task)].is_teardown) {
            out.insert(task);
            return;
        }
        each_upstream(task, [&](TaskNo up) {
            if (!all.contains(up) || tasks[at(up)].is_setup) return;
            if (tasks[at(up)].is_teardown)
                add_last(up, all, out);
            else
                out.insert(up);
        });
    }
    Numbers firsts(const std::string& group) const {
        const Numbers all = members(group);
        Numbers out;
        for (const TaskNo task : all) {
            bool first = true;
            each_upstream(task, [&](TaskNo up) { first = first && !all.contains(up); });
            if (first) out.insert(task);
        }
        return out.empty() ? all : out;
    }

    /// The tasks a written name stands for; reports what it cannot be.
    Numbers upstream_tasks(
        const std::string& name, const std::string& self, const std::string& pointer
    ) {
        if (const auto task = numbers_.find(name); task != numbers_.end()) return {task->second};
        if (draft_.groups.contains(name)) {
            if (!in_group(self, name)) return lasts(name);
            draft_.problems.error(
                "E-UPSTREAM",
                pointer,
                fmt::format("\"{}\" lies in the group \"{}\" itself", self, name)
            );
            return {};
        }
        std::vector<std::string> known;
        std::string hint;
        for (const auto& [id, where] : draft_.ids) {
            known.push_back(id);
            if (id.ends_with('.' + name)) hint = fmt::format("did you mean \"{}\"?", id);
        }
        if (hint.empty()) hint = did_you_mean(name, known);
        draft_.problems.error(
            "E-UPSTREAM",
            pointer,
            fmt::format("there is no task or group \"{}\"", name),
            std::move(hint)
        );
        return {};
    }

    /// Names of tasks first, then groups from the inside out: what the last and first tasks of a
    /// group are depends on the edges inside it.
    void written_edges() {
        struct Wanted {
            int depth;
            std::string name;
            std::string owner;
            std::string pointer;
            TaskNo task;  // no_task = the owner is a group
        };
        std::vector<Wanted> wanted;
        for (std::size_t i = 0; i < draft_.tasks.size(); ++i) {
            const auto& task = draft_.dag.tasks[i];
            const auto group = draft_.groups.find(task.group);
            const int depth = group == draft_.groups.end() ? 0 : group->second.depth;
            for (const auto& name : draft_.tasks[i].written_upstream) {
                const bool to_task = numbers_.contains(name);
                wanted.push_back(
                    {to_task ? 1'000 : depth,
                     name,
                     task.id,
                     child_pointer(draft_.tasks[i].pointer, "upstream"),
                     static_cast<TaskNo>(i)}
                );
            }
        }
        for (const auto& [id, group] : draft_.groups)
            for (const auto& name : group.upstream)
                wanted.push_back(
                    {group.depth - 1, name, id, child_pointer(group.pointer, "upstream"), no_task}
                );
        std::ranges::stable_sort(wanted, std::greater<>{}, &Wanted::depth);
        for (const auto& want : wanted) {
            const Numbers ups = upstream_tasks(want.name, want.owner, want.pointer);
            const Numbers downs = want.task != no_task ? Numbers{want.task} : firsts(want.owner);
            for (const TaskNo down : downs) {
                for (const TaskNo up : ups) {
                    if (up != down) {
                        written_[at(down)].insert(up);
                    } else {
                        draft_.problems.error(
                            "E-CYCLE",
                            want.pointer,
                            fmt::format("\"{}\" is its own upstream", want.owner)
                        );
                    }
                }
            }
        }
    }

    Numbers ancestors(TaskNo task) const {
        Numbers seen;
        std::vector<TaskNo> open{task};
        while (!open.empty()) {
            const TaskNo next = open.back();
            open.pop_back();
            each_upstream(next, [&](TaskNo up) {
                if (seen.insert(up).second) open.push_back(up);
            });
        }
        return seen;
    }

    void gate_edges() {
        for (std::size_t i = 0; i < draft_.tasks.size(); ++i) {
            if (!draft_.tasks[i].is_gate) continue;
            const auto gate = static_cast<TaskNo>(i);
            const Numbers before = ancestors(gate);
            const auto from = child_pointer(child_pointer(draft_.tasks[i].pointer, "with"), "from");
            for (const auto& use : draft_.tasks[i].reads) {
                if (!use.pointer.starts_with(from)) continue;
                const DatasetSpec* dataset = find(use.name);
                if (dataset == nullptr) continue;
                for (const TaskNo reader : dataset->readers)
                    if (reader != gate && !before.contains(reader))
                        inferred_[at(reader)].insert(gate);
            }
        }
    }

    Draft& draft_;
    std::map<std::string, TaskNo> numbers_;
    std::vector<Numbers> written_;
    std::vector<Numbers> inferred_;
    std::string usual_partition_;
};

std::string cycle_text(const Dag& dag, const std::vector<TaskNo>& cycle) {
    std::string out;
    for (const TaskNo task : cycle) out += dag.tasks[at(task)].id + " -> ";
    return out + dag.tasks[at(cycle.front())].id;
}

}  // namespace

void connect_tasks(Draft& draft) {
    Edges(draft).connect();
    check_schedule_assets(draft);
    const auto cycle = link_tasks(draft.dag);
    if (!cycle.empty())
        draft.problems.error(
            "E-CYCLE",
            draft.tasks[at(cycle.front())].pointer,
            fmt::format("the tasks wait for each other: {}", cycle_text(draft.dag, cycle))
        );
    if (draft.stored || draft.problems.has_errors()) return;
    for (const auto& dataset : draft.dag.datasets)
        if (dataset.declared && dataset.owner.empty() && dataset.writer == no_task)
            draft.problems.warning(
                "W-DATASET-UNWRITTEN",
                child_pointer("/datasets", dataset.name),
                fmt::format("no task of this DAG writes {}", dataset.name)
            );
}

std::vector<Problem> add_reads(Dag& dag, const std::map<TaskNo, std::vector<std::string>>& reads) {
    std::vector<Problem> out;
    const auto problem = [&](std::string code, std::string message) {
        out.push_back(
            {.code = std::move(code),
             .severity = Severity::error,
             .file = dag.fileloc,
             .pointer = "",
             .message = std::move(message),
             .suggestion = {}}
        );
    };
    for (const auto& [task, names] : reads) {
        for (const auto& name : names) {
            const auto dataset = std::ranges::find(dag.datasets, name, &DatasetSpec::name);
            if (dataset == dag.datasets.end()) {
                problem(
                    "E-DATASET-UNKNOWN",
                    fmt::format(
                        "\"{}\" reads {}, which no task writes and nothing declares",
                        dag.tasks[at(task)].id,
                        name
                    )
                );
                continue;
            }
            if (std::ranges::find(dataset->readers, task) == dataset->readers.end())
                dataset->readers.push_back(task);
            auto& here = dag.tasks[at(task)];
            const TaskNo up = dataset->writer;
            if (up == no_task || up == task || std::ranges::binary_search(here.upstream, up))
                continue;
            here.upstream.insert(std::ranges::lower_bound(here.upstream, up), up);
            here.inferred.insert(std::ranges::lower_bound(here.inferred, up), up);
        }
    }
    if (const auto cycle = link_tasks(dag); !cycle.empty())
        problem(
            "E-CYCLE", fmt::format("the tasks wait for each other: {}", cycle_text(dag, cycle))
        );
    return out;
}

}  // namespace sluice::spec
