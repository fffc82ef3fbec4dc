// shop.hpp — the change logs of the sample's two dimensions, in COPY text.
#pragma once

#include "operators/sample/plan.hpp"

namespace sluice::sample {

/// Returns the number of rows.
std::int64_t write_customers(const Plan& plan, const CopySink& sink);
std::int64_t write_products(const Plan& plan, const CopySink& sink);

}  // namespace sluice::sample
