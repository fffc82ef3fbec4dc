// problem.hpp — what an operator's check says is wrong, in one line.
#pragma once

#include <string>

#include "task/operator.hpp"

namespace sluice::task {

/// Adds an error; `pointer` is relative to the task's `with`.
inline void problem(
    CheckResult& result,
    std::string code,
    std::string pointer,
    std::string message,
    std::string suggestion = {}
) {
    Problem found;
    found.code = std::move(code);
    found.pointer = std::move(pointer);
    found.message = std::move(message);
    found.suggestion = std::move(suggestion);
    result.problems.push_back(std::move(found));
}

}  // namespace sluice::task
