// check.cpp — the verb check: reads DAG files and policies as the daemon would, and says all that
// is wrong with them. Needs no daemon.
#include <filesystem>
#include <iostream>
#include <memory>
#include <set>

#include <CLI/CLI.hpp>

#include "base/error.hpp"
#include "config.hpp"
#include "dag_loading.hpp"
#include "operators/operators.hpp"
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

void check_file(
    const fs::path& root, const fs::path& file, executor::DagChecks& checks, Tally& tally
) {
    ++tally.files;
    const auto text = read_file(file);
    const auto name = fs::relative(file, root).string();
    if (!text) {
        print({{.code = "E-READ", .file = name, .message = "the file cannot be read"}}, tally);
        return;
    }
    const bool is_policy = file.parent_path().filename() == "policies";
    print(
        is_policy ? spec::check_policy(*text, name)
                  : DagLoading(root, checks).load(*text, name).problems,
        tally
    );
}

bool wanted(const fs::path& file) {
    const auto extension = file.extension();
    if (extension != ".json" && extension != ".yaml") return false;
    const auto parent = file.parent_path().filename();
    return parent != "schemas" && parent != "sql";
}

void check(const std::vector<std::string>& paths) {
    Tally tally;
    executor::DagChecks checks(ops::all_operators(), program());
    for (const auto& path : paths) {
        if (!fs::exists(path)) throw Error(ErrorCode::not_found, path + " does not exist");
        if (!fs::is_directory(path)) {
            const auto parent = fs::path(path).parent_path();
            check_file(parent.empty() ? "." : parent, path, checks, tally);
            continue;
        }
        std::set<fs::path> files;
        for (const auto& entry : fs::recursive_directory_iterator(path))
            if (entry.is_regular_file() && wanted(entry.path())) files.insert(entry.path());
        for (const auto& file : files) check_file(path, file, checks, tally);
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
    verb->callback([paths] { check(*paths); });
}

}  // namespace sluice
