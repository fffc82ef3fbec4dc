#include "base/error.hpp"

namespace sluice {

std::string format(const Problem& problem) {
    std::string out = problem.file;
    if (problem.line > 0) {
        out += ':' + std::to_string(problem.line);
        if (problem.column > 0) out += ':' + std::to_string(problem.column);
    }
    if (!out.empty()) out += ": ";
    if (problem.severity == Severity::warning) out += "warning: ";
    if (!problem.pointer.empty()) out += problem.pointer + ": ";
    out += problem.message;
    if (!problem.suggestion.empty()) out += " (" + problem.suggestion + ')';
    if (!problem.code.empty()) out += " [" + problem.code + ']';
    return out;
}

}  // namespace sluice
