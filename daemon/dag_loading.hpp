// dag_loading.hpp — from a file on disk to a Dag ready to run: read strictly, then checked by the
// data plane in a worker process (types, classes, edges bound from SQL). Thread-safe.
#pragma once

#include <filesystem>
#include <string>

#include "base/error.hpp"
#include "executor/dag_checks.hpp"
#include "model/catalogue.hpp"
#include "model/dag.hpp"
#include "spec/loader.hpp"
#include "store/journal.hpp"

namespace sluice {

class DagLoading {
public:
    DagLoading(std::filesystem::path root, executor::DagChecks& checks);

    /// `file` is relative to the root folder; the files it names are looked up beside it, and must
    /// lie inside the root.
    [[nodiscard]] Parsed<Dag> load(
        const std::string& text, const std::string& file, const spec::OtherDatasets& others = {}
    ) const;
    /// Without the check of the data plane: who writes and declares what.
    [[nodiscard]] Parsed<Dag> read(
        const std::string& text, const std::string& file, const spec::OtherDatasets& others = {}
    ) const;
    /// A stored definition. One that a later version cannot read in full still has its tasks.
    [[nodiscard]] static DagPtr load_stored(const store::Journal::StoredVersion& stored);

    /// The operators of this program.
    static const Catalogue& catalogue();

private:
    std::filesystem::path root_;
    executor::DagChecks& checks_;
};

/// `file` read whole; none if it cannot be.
std::optional<std::string> read_file(const std::filesystem::path& file);

}  // namespace sluice
