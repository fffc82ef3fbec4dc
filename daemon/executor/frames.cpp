#include "executor/frames.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/limits.hpp"

namespace sluice::executor {
namespace {

using Json = nlohmann::json;

constexpr std::size_t header_bytes = 8;
constexpr std::size_t body_bytes = limits::frame_bytes - header_bytes;
constexpr std::uint8_t more_follows = 1;

void append_frame(std::string& out, std::string_view body, std::uint8_t flags) {
    out += static_cast<char>(protocol_version);
    out += static_cast<char>(flags);
    out.append(2, '\0');
    for (unsigned shift = 0; shift < 32; shift += 8)
        out += static_cast<char>((body.size() >> shift) & 0xFFU);
    out += body;
}

void check_size(std::size_t size) {
    if (size > limits::message_bytes)
        throw Error(
            ErrorCode::limit,
            "a message between daemon and worker has " + std::to_string(size) +
                " bytes; message_bytes is " + std::to_string(limits::message_bytes)
        );
}

}  // namespace

std::string encode_message(const Json& message) {
    const std::string text = message.dump(-1, ' ', false, Json::error_handler_t::replace);
    check_size(text.size());
    std::string out;
    out.reserve(text.size() + header_bytes);
    std::string_view rest = text;
    while (rest.size() > body_bytes) {
        append_frame(out, rest.substr(0, body_bytes), more_follows);
        rest.remove_prefix(body_bytes);
    }
    append_frame(out, rest, 0);
    return out;
}

void MessageReader::feed(std::string_view bytes) {
    if (at_ > 0 && at_ == buffer_.size()) {
        buffer_.clear();
        at_ = 0;
    }
    buffer_ += bytes;
}

std::optional<Json> MessageReader::next() {
    for (;;) {
        const std::string_view rest = std::string_view(buffer_).substr(at_);
        if (rest.size() < header_bytes) return std::nullopt;
        const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(rest[i]); };
        if (byte(0) != protocol_version)
            throw Error(
                ErrorCode::invalid,
                "frame of protocol version " + std::to_string(byte(0)) + ", this is version " +
                    std::to_string(protocol_version)
            );
        std::size_t size = 0;
        for (std::size_t i = 0; i < 4; ++i)
            size |= static_cast<std::size_t>(byte(4 + i)) << (8 * i);
        if (size > body_bytes)
            throw Error(
                ErrorCode::limit,
                "a frame of " + std::to_string(size) + " bytes; frame_bytes is " +
                    std::to_string(limits::frame_bytes)
            );
        if (rest.size() < header_bytes + size) return std::nullopt;
        message_ += rest.substr(header_bytes, size);
        at_ += header_bytes + size;
        check_size(message_.size());
        if ((byte(1) & more_follows) != 0) continue;
        Json message = Json::parse(message_, nullptr, false);
        message_.clear();
        if (at_ > limits::frame_bytes) {
            buffer_.erase(0, at_);
            at_ = 0;
        }
        if (!message.is_object()) throw Error(ErrorCode::invalid, "a frame that is no JSON object");
        return message;
    }
}

}  // namespace sluice::executor
