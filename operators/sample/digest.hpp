// digest.hpp — SHA-256 of bytes that come in pieces.
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace sluice::sample {

class Digest {
public:
    Digest();
    ~Digest();
    Digest(const Digest&) = delete;
    Digest& operator=(const Digest&) = delete;
    void add(std::string_view bytes);
    /// 64 lower hex digits; the last call.
    std::string hex();

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace sluice::sample
