#include "dag_loading.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <memory>
#include <utility>

#include "base/error.hpp"
#include "operator_catalogue.hpp"
#include "operators/operators.hpp"
#include "spec/loader.hpp"
#include "task/operator.hpp"

namespace sluice {
namespace {

namespace fs = std::filesystem;

/// True when `path` (lexically) stays inside `root`.
bool inside(const fs::path& root, const fs::path& path) {
    const auto relative = path.lexically_relative(root);
    return !relative.empty() && *relative.begin() != "..";
}

}  // namespace

std::optional<std::string> read_file(const fs::path& file) {
    std::ifstream in(file, std::ios::binary);
    if (!in) return std::nullopt;
    return std::string{std::istreambuf_iterator<char>(in), {}};
}

DagLoading::DagLoading(fs::path root) : root_(fs::absolute(std::move(root)).lexically_normal()) {}

const Catalogue& DagLoading::catalogue() { return operator_catalogue(); }

Parsed<Dag> DagLoading::load(const std::string& text, const std::string& file) const {
    const auto folder = (root_ / file).parent_path();
    const auto read = [&](const std::string& path) -> std::optional<std::string> {
        const auto named = (folder / path).lexically_normal();
        // A DAG file may come from somebody who must not read the daemon's other files.
        if (!inside(root_, named)) return std::nullopt;
        return read_file(named);
    };
    return spec::load(text, file, catalogue(), read);
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
    dag.hash = stored.hash;
    dag.version = stored.id;
    dag.version_number = stored.number;
    return std::make_shared<const Dag>(std::move(dag));
}

}  // namespace sluice
