#include "base/check.hpp"

#include <cstdio>
#include <cstdlib>

namespace sluice {

void check_failed(const char* expression, const char* file, int line) {
    std::fprintf(stderr, "sluice: internal error at %s:%d: %s\n", file, line, expression);
    std::abort();
}

void unreachable() { check_failed("unreachable", __FILE__, __LINE__); }

}  // namespace sluice
