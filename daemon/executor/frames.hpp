// frames.hpp — the worker protocol's framing: JSON messages over a stream socket, in frames of at
// most 1 MiB. Described in README.md. Errors: Error(invalid) for what is no frame of ours,
// Error(limit) for a message that is too large.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

namespace sluice::executor {

inline constexpr std::uint8_t protocol_version = 1;

/// The bytes of a message: one frame, or several when it is larger than a frame.
std::string encode_message(const nlohmann::json& message);

/// Puts messages together from bytes as they come. Not thread-safe.
class MessageReader {
public:
    void feed(std::string_view bytes);
    /// The next whole message.
    std::optional<nlohmann::json> next();
    /// True in the middle of a message.
    [[nodiscard]] bool partial() const { return at_ < buffer_.size() || !message_.empty(); }

private:
    std::string buffer_;
    std::size_t at_{0};    // where the next frame begins in buffer_
    std::string message_;  // the frames so far of a message in several
};

}  // namespace sluice::executor
