// s3_state.hpp — what S3's functions share. For s3*.cpp only.
#pragma once

#include <cstdlib>
#include <string>

#include "operators/connect/s3.hpp"
#include "operators/connect/s3_calls.hpp"

namespace sluice::connect {

/// The object's SHA-256, so that whoever reads it knows that it is what was written: ETags are MD5s
/// of some objects only.
inline constexpr const char* digest_header = "x-amz-meta-sha256";

inline std::string header_in(const HttpReply& reply, const char* name) {
    const auto found = reply.headers.find(name);
    return found == reply.headers.end() ? "" : found->second;
}

struct S3::State {
    State(task::TaskContext& context, const task::Connection& connection)
        : calls(context, connection), settings(calls.settings()) {}

    S3Calls calls;
    const S3Settings& settings;

    [[nodiscard]] std::string full(const std::string& key) const { return settings.prefix + key; }
    [[nodiscard]] std::string named(const std::string& key) const {
        return "connection \"" + settings.connection + "\": " + calls.address(full(key));
    }
    /// What a new object is to be.
    [[nodiscard]] Pairs put_headers(const std::string& type, const std::string& digest) const;
    void put_parts(
        const std::string& key,
        const std::filesystem::path& file,
        std::int64_t size,
        const std::string& digest
    );
    /// The parts as CompleteMultipartUpload wants them.
    std::string send_parts(
        const std::string& key,
        const std::filesystem::path& file,
        std::int64_t size,
        const std::string& upload
    );
    void complete(
        const std::string& key,
        const std::string& upload,
        const std::string& parts,
        const std::string& digest
    );
    void end_upload(const std::string& key, const std::string& upload);
    void end_uploads(const std::string& key);  // all that were begun
};

}  // namespace sluice::connect
