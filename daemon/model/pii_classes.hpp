// pii_classes.hpp — the classes of personal data that columns and policies name. Any thread.
#pragma once

#include <string>
#include <vector>

namespace sluice {

const std::vector<std::string>& pii_classes();

}  // namespace sluice
