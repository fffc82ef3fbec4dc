// secret.hpp — a string that no log, JSON view or message can print by accident.
#pragma once

#include <string>
#include <utility>

namespace sluice {

class Secret {
public:
    Secret() = default;
    explicit Secret(std::string value) : value_(std::move(value)) {}
    /// The one way to the bytes: call it where they go to a socket or a key derivation, nowhere
    /// else.
    [[nodiscard]] const std::string& reveal() const { return value_; }
    [[nodiscard]] bool empty() const { return value_.empty(); }

private:
    std::string value_;
};

}  // namespace sluice
