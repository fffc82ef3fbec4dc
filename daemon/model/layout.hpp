// layout.hpp — a DAG version in the task numbers of a run that was begun on another one.
//
// Every stored row names its task by number, and the numbers of a run never change. So a run that
// moves to another version does so to a form of it: the same definition, its tasks and mappings
// numbered as the run has them, new ones behind. Tasks that the version has not any more keep their
// numbers and names, as `gone` ones without edges; so old rows can be read for ever.
#pragma once

#include <string>

#include "model/dag.hpp"

namespace sluice {

/// The file of a form's bundle that says how it is numbered.
inline constexpr const char* layout_file = ".sluice/layout.json";

/// `latest` in the numbers of `before`, with a hash of its own; `latest` itself where its numbers
/// follow those of `before` already. Without version id and number.
Dag form_of(const Dag& latest, const Dag& before);

/// `before` is `latest`, or a form of it.
bool is_of(const Dag& before, const Dag& latest);

/// Makes the form from its definition, as read from its own bundle.
Dag with_layout(Dag dag, const std::string& layout);

}  // namespace sluice
