// operator_catalogue.hpp — the operators of this program as data, for spec and core.
#pragma once

#include "model/catalogue.hpp"

namespace sluice {

/// Made once; those that the language knows and this version does not are `not_yet`.
const Catalogue& operator_catalogue();

}  // namespace sluice
