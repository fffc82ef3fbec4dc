// samples.hpp — what of a failing row may be shown: values of declared columns without a class.
// Whatever else there is shows as "***", in samples as in the words of an engine.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "operators/binding/columns.hpp"
#include "operators/engine/value.hpp"

namespace sluice::validate {

inline constexpr int samples_shown = 3;

/// A cell as JSON: null stays null, what is not open is "***", a long text is cut.
nlohmann::json sample_value(const engine::Value& cell, bool open);

/// True for a declared column without a class.
bool may_show(const binding::Columns& columns, const std::string& name);

/// An engine that cannot convert a value quotes it: the same message with every quoted text taken
/// out that is no name of `columns`. Other messages stay as they are.
std::string without_values(const std::string& message, const binding::Columns& columns);

/// Runs `body`; what it throws says no value of the data.
void hiding_values(const binding::Columns& columns, const std::function<void()>& body);

}  // namespace sluice::validate
