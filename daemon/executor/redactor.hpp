// redactor.hpp — takes secret values out of text. Thread-safe.
#pragma once

#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/secret.hpp"

namespace sluice::executor {

class Redactor {
public:
    /// From now on the value is replaced by `***`: as it is, in JSON, percent-encoded, in base64.
    /// Values under three bytes are not: they would blacken half of every log.
    void add(const Secret& secret);
    [[nodiscard]] std::string redact(std::string_view text) const;
    [[nodiscard]] bool empty() const;

private:
    mutable std::mutex mutex_;           // guards patterns_
    std::vector<std::string> patterns_;  // longest first
};

}  // namespace sluice::executor
