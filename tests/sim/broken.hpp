// broken.hpp — an invariant does not hold.
#pragma once

#include <stdexcept>
#include <string>

namespace sluice::sim {

class Broken : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

inline void must(bool holds, const std::string& what) {
    if (!holds) throw Broken(what);
}

}  // namespace sluice::sim
