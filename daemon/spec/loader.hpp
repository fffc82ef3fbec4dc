// loader.hpp — from the text of a DAG file to a Dag, or all of its problems. Pure but for the
// callback that reads the files a DAG names. Any thread.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "model/catalogue.hpp"
#include "model/dag.hpp"

namespace sluice::spec {

/// Reads a file that the DAG names, by its path relative to the DAG file; none = no such file.
using FileReader = std::function<std::optional<std::string>(const std::string& path)>;

/// A data set that another DAG writes or declares (its `owner`), by name; nullptr = no DAG does.
using OtherDatasets = std::function<const DatasetSpec*(const std::string& name)>;

/// What the other DAGs get of this one's data sets: those it writes or declares itself.
std::vector<DatasetSpec> own_datasets(const Dag& dag);

/// `file` is the path as the user knows it: it stands in every problem and becomes `fileloc`.
/// Warnings may come with a value.
Parsed<Dag> load(
    std::string_view text,
    const std::string& file,
    const Catalogue& catalogue,
    const FileReader& read_file,
    const OtherDatasets& others = {}
);

/// A stored version: what `load` gave as `source` and `files`. An operator that this catalogue does
/// not know is no problem here (its task fails when it runs).
Parsed<Dag> load_stored(
    const std::string& source,
    const std::map<std::string, std::string>& files,
    const std::string& fileloc,
    const Catalogue& catalogue
);

/// Adds upstreams for data sets that a check found in SQL (task -> data sets it reads), as inferred
/// ones, and links the DAG again. The problems of it (a cycle, a data set nobody knows).
std::vector<Problem> add_reads(Dag& dag, const std::map<TaskNo, std::vector<std::string>>& reads);

/// What is wrong with a masking policy; `make validate` and `sluice check` read them alone.
std::vector<Problem> check_policy(std::string_view text, const std::string& file);

/// The JSON Schema of DAG files, for editors: the language and the parameters of every operator.
std::string dag_schema(const Catalogue& catalogue);
std::string policy_schema();
/// The reference pages, in Markdown.
std::string dag_file_page();
std::string operators_page(const Catalogue& catalogue);

}  // namespace sluice::spec
