// schema.hpp — the parameters of `transform`, as JSON Schema.
#pragma once

namespace sluice::transform {

const char* schema();

}  // namespace sluice::transform
