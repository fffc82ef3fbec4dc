// fault.hpp — named fault points. SLUICE_FAULT=NAME:N kills the process (SIGKILL) the N-th time it
// comes to fault_point("NAME"); compiled to nothing without SLUICE_FAULT_POINTS (release builds).
#pragma once

#include <string_view>

namespace sluice {

#ifdef SLUICE_FAULT_POINTS
void fault_point(std::string_view name);
#else
inline void fault_point(std::string_view) {}
#endif

}  // namespace sluice
