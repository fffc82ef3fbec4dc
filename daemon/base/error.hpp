// error.hpp — Error, thrown when a job cannot be done; Problem, one thing wrong with an input file.
#pragma once

#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace sluice {

/// What kind of failure; the API maps it to a status, the CLI to an exit code.
enum class ErrorCode {
    invalid,       // the caller's input is wrong (400/422)
    not_found,     // 404
    conflict,      // 409
    unauthorized,  // 401
    forbidden,     // 403
    unavailable,   // try again later (503)
    limit,         // a limit of base/limits.hpp was hit
    internal,
};

class Error : public std::runtime_error {
public:
    Error(ErrorCode code, const std::string& what) : std::runtime_error(what), code_(code) {}
    [[nodiscard]] ErrorCode code() const { return code_; }

private:
    ErrorCode code_;
};

enum class Severity { error, warning };

/// One thing wrong with a file: what, where, and what was probably meant.
struct Problem {
    std::string code;  // "E-UNKNOWN-KEY", "W-MASK-UNKEYED", ...
    Severity severity{Severity::error};
    std::string file;        // path as the user knows it
    std::string pointer;     // JSON pointer, "" = the whole document
    int line{};              // 1-based; 0 = unknown
    int column{};            // 1-based; 0 = unknown
    std::string message;     // a sentence
    std::string suggestion;  // "did you mean \"load\"?", may be empty
};

/// A value, or every problem found. Warnings may come with a value.
template <class T>
struct Parsed {
    std::optional<T> value;
    std::vector<Problem> problems;
};

/// "dags/x.json:14:7: /tasks/2/operator: unknown operator \"lod\" (did you mean \"load\"?)
/// [E-OPERATOR]"
std::string format(const Problem& problem);

}  // namespace sluice
