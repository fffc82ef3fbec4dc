// check.cpp — the verb check: reads DAG files and policies as the daemon would, and says all that
// is wrong with them. Needs no daemon.
#include <filesystem>
#include <iostream>
#include <memory>
#include <set>

#include <CLI/CLI.hpp>

#include "base/error.hpp"
#include "cli/verbs.hpp"
#include "config.hpp"
#include "folder_loading.hpp"
#include "operators/operators.hpp"
#include "runtime/dag_folder.hpp"
#include "spec/loader.hpp"
#include "wiring.hpp"

namespace sluice {
namespace {

namespace fs = std::filesystem;

struct Tally {
    int files{0};
    int errors{0};
    int warnings{0};
};

void print(const std::vector<Problem>& problems, Tally& tally) {
    for (const auto& problem : problems) {
        ++(problem.severity == Severity::error ? tally.errors : tally.warnings);
        std::cout << format(problem) << '\n';
    }
}

void check_file(const fs::path& root, const fs::path& file, FolderLoading& dags, Tally& tally) {
    ++tally.files;
    const auto name = file.lexically_relative(root).string();
    const bool is_policy = file.parent_path().filename() == "policies";
    if (!is_policy) return print(dags.load(name).problems, tally);
    const auto text = read_file(file);
    print(
        text ? spec::check_policy(*text, name)
             : std::vector<
                   Problem>{{.code = "E-READ", .file = name, .message = "the file cannot be read"}},
        tally
    );
}

bool wanted(const fs::path& file) {
    const auto extension = file.extension();
    if (extension != ".json" && extension != ".yaml") return false;
    const auto parent = file.parent_path().filename();
    return parent == "policies" || !runtime::is_side_folder(parent);
}

void check(const std::vector<std::string>& paths) {
    Tally tally;
    executor::DagChecks checks(ops::all_operators(), program());
    for (const auto& path : paths) {
        if (!fs::exists(path)) throw Error(ErrorCode::not_found, path + " does not exist");
        const fs::path given = fs::absolute(path).lexically_normal();
        if (!fs::is_directory(given)) {
            // The data sets of the folder's other DAGs are known, their problems are not told.
            FolderLoading dags(given.parent_path(), checks);
            check_file(given.parent_path(), given, dags, tally);
            continue;
        }
        FolderLoading dags(given, checks);
        std::set<fs::path> files;
        for (const auto& entry : fs::recursive_directory_iterator(given))
            if (entry.is_regular_file() && wanted(entry.path())) files.insert(entry.path());
        for (const auto& file : files) check_file(given, file, dags, tally);
    }
    std::cout << tally.files << " files, " << tally.errors << " errors, " << tally.warnings
              << " warnings\n";
    if (tally.errors > 0) throw Error(ErrorCode::invalid, "not every file is right");
}

}  // namespace

void add_check(CLI::App& app) {
    auto* verb = app.add_subcommand("check", "say all that is wrong with DAG files and policies");
    const auto paths = std::make_shared<std::vector<std::string>>();
    verb->add_option("path", *paths, "files or folders")->required();
    // Asks nobody, but takes what every verb takes.
    const auto target = std::make_shared<cli::Target>();
    cli::add_target(*verb, *target);
    verb->callback([paths, target] { check(*paths); });
}

}  // namespace sluice
