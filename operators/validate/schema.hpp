// schema.hpp — the parameters of `validate`, as JSON Schema.
#pragma once

namespace sluice::validate {

const char* schema();

}  // namespace sluice::validate
