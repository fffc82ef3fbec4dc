// failure.hpp — a reply other than success, thrown by handlers and answered by the app.
#pragma once

#include <exception>
#include <string>
#include <utility>

namespace sluice::api {

class Failure : public std::exception {
public:
    /// `detail` is JSON text: a quoted string or, for validation, a list.
    Failure(int status, std::string detail) : status_(status), detail_(std::move(detail)) {}
    [[nodiscard]] int status() const { return status_; }
    [[nodiscard]] const std::string& detail() const { return detail_; }
    [[nodiscard]] const char* what() const noexcept override { return detail_.c_str(); }

private:
    int status_;
    std::string detail_;
};

/// With a text as the detail.
Failure failure(int status, const std::string& text);
/// "The Dag with ID: `x` was not found" and its like.
Failure not_found(const std::string& text);

}  // namespace sluice::api
