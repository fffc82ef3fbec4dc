#include "base/problem.hpp"

#include <utility>

namespace sluice {

Problem problem(
    std::string code, std::string pointer, std::string message, std::string suggestion
) {
    Problem out;
    out.code = std::move(code);
    out.pointer = std::move(pointer);
    out.message = std::move(message);
    out.suggestion = std::move(suggestion);
    return out;
}

}  // namespace sluice
