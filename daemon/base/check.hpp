// check.hpp — SLUICE_CHECK: programmer errors end the process, in every build. Never used on input.
#pragma once

namespace sluice {

[[noreturn]] void check_failed(const char* expression, const char* file, int line);
/// Marks the end of a switch that handles every enumerator.
[[noreturn]] void unreachable();

}  // namespace sluice

#define SLUICE_CHECK(expression)                                     \
    do {                                                             \
        if (!(expression)) [[unlikely]]                              \
            ::sluice::check_failed(#expression, __FILE__, __LINE__); \
    } while (false)
