// failure.hpp — Failure, an Error that knows its error class (what `retry_policy` looks at), and
// the one place where operators turn exceptions into outcomes.
#pragma once

#include <functional>
#include <string>

#include "base/error.hpp"
#include "task/operator.hpp"

namespace sluice::engine {

class Failure : public Error {
public:
    Failure(ErrorClass error_class, const std::string& what);
    [[nodiscard]] ErrorClass error_class() const { return error_class_; }

private:
    ErrorClass error_class_;
};

/// Throws Failure(data_quality): the rows are wrong, not the program.
[[noreturn]] void bad_data(const std::string& what);
/// Throws Failure(schema): columns or types do not fit.
[[noreturn]] void bad_schema(const std::string& what);

/// Runs `body`; a Failure becomes a failed outcome of its class, an Error one by its code.
Outcome guarded(const std::function<Outcome()>& body);

}  // namespace sluice::engine
