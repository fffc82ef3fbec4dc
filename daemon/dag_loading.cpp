#include "dag_loading.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/json_text.hpp"
#include "base/limits.hpp"
#include "model/layout.hpp"
#include "model/lineage_file.hpp"
#include "operator_catalogue.hpp"
#include "operators/operators.hpp"
#include "spec/loader.hpp"
#include "task/check.hpp"
#include "task/operator.hpp"

namespace sluice {
namespace {

namespace fs = std::filesystem;

/// True when `path` (lexically) stays inside `root`.
bool inside(const fs::path& root, const fs::path& path) {
    const auto relative = path.lexically_relative(root);
    return !relative.empty() && *relative.begin() != "..";
}

// Not a file of the folder: the report of a version's check, kept in its bundle.
constexpr const char* report_file = ".sluice/check.json";

/// Puts what the check derived into the DAG: columns, types and classes of its data sets, and the
/// edges that only binding SQL could show.
void apply(const task::CheckReport& report, Dag& dag, std::vector<Problem>& problems) {
    std::map<TaskNo, std::vector<std::string>> reads;
    for (const auto& check : report.tasks) {
        problems.insert(problems.end(), check.problems.begin(), check.problems.end());
        const TaskNo task = find_task(dag, check.task_id);
        if (task != no_task && !check.reads.empty()) reads[task] = check.reads;
    }
    for (const auto& derived : report.datasets) {
        const auto known = std::ranges::find(dag.datasets, derived.name, &DatasetSpec::name);
        if (known == dag.datasets.end()) {
            dag.datasets.push_back(derived);
        } else {
            known->columns = derived.columns;
            if (known->key.empty()) known->key = derived.key;
        }
    }
    auto more = spec::add_reads(dag, reads);
    problems.insert(problems.end(), more.begin(), more.end());
}

/// Computed again for versions that were stored without it.
void add_lineage(Dag& dag) {
    if (!dag.datasets.empty()) dag.files[lineage_file] = ops::lineage(dag);
}

/// The check knows pointers only: file, line and column come from the text.
void place(std::vector<Problem>& problems, const std::string& text, const std::string& file) {
    const bool placed =
        std::ranges::all_of(problems, [](const Problem& problem) { return problem.line > 0; });
    if (placed) return;
    const auto document = read_text(text, file, {limits::dag_file_bytes, limits::dag_file_depth});
    for (auto& problem : problems) {
        if (problem.file.empty()) problem.file = file;
        if (problem.line > 0) continue;
        const Position at = document.map->value(problem.pointer);
        problem.line = at.line;
        problem.column = at.column;
    }
}

}  // namespace

std::optional<std::string> read_file(const fs::path& file) {
    std::ifstream in(file, std::ios::binary);
    if (!in) return std::nullopt;
    return std::string{std::istreambuf_iterator<char>(in), {}};
}

DagLoading::DagLoading(fs::path root, executor::DagChecks& checks)
    : root_(fs::absolute(std::move(root)).lexically_normal()), checks_(checks) {}

const Catalogue& DagLoading::catalogue() { return operator_catalogue(); }

Parsed<Dag> DagLoading::read(
    const std::string& text, const std::string& file, const spec::OtherDatasets& others
) const {
    const auto folder = (root_ / file).parent_path();
    const auto read = [&](const std::string& path) -> std::optional<std::string> {
        const auto named = (folder / path).lexically_normal();
        // A DAG file may come from somebody who must not read the daemon's other files.
        if (!inside(root_, named)) return std::nullopt;
        return read_file(named);
    };
    return spec::load(text, file, catalogue(), read, others);
}

Parsed<Dag> DagLoading::load(
    const std::string& text, const std::string& file, const spec::OtherDatasets& others
) const {
    auto parsed = read(text, file, others);
    if (!parsed.value) return parsed;
    const auto report = [&]() -> std::shared_ptr<const task::CheckReport> {
        try {
            return checks_.report(*parsed.value);
        } catch (const Error& error) {
            parsed.problems.push_back({.code = "E-CHECK", .file = file, .message = error.what()});
            return nullptr;
        }
    }();
    if (report) {
        apply(*report, *parsed.value, parsed.problems);
        // The answer is stored with the version: a restart needs no second check.
        if (!report->tasks.empty())
            parsed.value->files[report_file] = task::to_json(*report).dump();
        add_lineage(*parsed.value);
    }
    place(parsed.problems, text, file);
    const bool failed = std::ranges::any_of(parsed.problems, [](const Problem& problem) {
        return problem.severity == Severity::error;
    });
    if (failed) parsed.value.reset();
    return parsed;
}

DagPtr DagLoading::load_stored(const store::Journal::StoredVersion& stored) {
    auto parsed = spec::load_stored(stored.source, stored.files, stored.fileloc, catalogue());
    if (!parsed.value) {
        std::string why;
        for (const auto& problem : parsed.problems) why += format(problem) + '\n';
        throw Error(
            ErrorCode::internal,
            "version " + std::to_string(stored.number) + " of DAG " + stored.dag_id +
                " cannot be read by this program:\n" + why
        );
    }
    Dag dag = std::move(*parsed.value);
    if (const auto report = stored.files.find(report_file); report != stored.files.end()) {
        std::vector<Problem> known;  // it loaded well once
        apply(task::report_of(nlohmann::json::parse(report->second)), dag, known);
        dag.files[report_file] = report->second;
        add_lineage(dag);
    }
    if (const auto layout = stored.files.find(layout_file); layout != stored.files.end())
        dag = with_layout(std::move(dag), layout->second);
    dag.hash = stored.hash;
    dag.version = stored.id;
    dag.version_number = stored.number;
    return std::make_shared<const Dag>(std::move(dag));
}

}  // namespace sluice
