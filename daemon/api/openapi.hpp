// openapi.hpp — the OpenAPI document, made from the table of routes.
#pragma once

#include <string>
#include <vector>

#include "http/router.hpp"

namespace sluice::api {

std::string openapi_document(const std::vector<http::Route>& routes, const std::string& version);

}  // namespace sluice::api
