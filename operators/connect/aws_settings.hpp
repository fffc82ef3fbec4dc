// aws_settings.hpp — what a connection of type `s3` or `aws` says, in Airflow's words, and the
// part of the daemon's environment that belongs to it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "operators/connect/download.hpp"
#include "task/context.hpp"

namespace sluice::connect {

/// True for the types that these settings can be read from.
bool is_object_store(const task::Connection& connection);

/// AWS_PROFILE and the like. A worker's own environment has none of them: the daemon sends them
/// with the connection (`extra.environment`).
class AwsEnvironment {
public:
    explicit AwsEnvironment(const task::Connection& connection);
    /// "" if it is not set.
    [[nodiscard]] std::string get(const std::string& name) const;

private:
    std::map<std::string, std::string> values_;
};

struct S3Settings {
    std::string connection;  // its id, for messages
    std::string bucket;
    std::string prefix;      // of all keys: "" or "a/b/"
    std::string region;      // "us-east-1" if nothing says another
    std::string endpoint;    // "http://127.0.0.1:9000"; "" = Amazon's
    bool path_style{false};  // https://host/bucket/key, else https://bucket.host/key
    std::string encryption;  // "", "AES256", "aws:kms", "aws:kms:dsse"
    std::string kms_key_id;
    std::string storage_class;
    std::string ca_file;  // "" = the system's
    int retries{7};       // tries beyond the first
    long connect_seconds{10};
    long stall_seconds{60};                           // so long without a byte is an error
    std::int64_t part_bytes{std::int64_t{16} << 20};  // longer objects go in parts of this size
    std::int64_t cache_bytes{cache_bytes_default};    // of files read by one task, on its disk
};

/// Throws Error(invalid) that names the connection and the key.
S3Settings s3_settings(const task::Connection& connection);

/// The address of an object: scheme, host and path, percent-encoded; key "" = of the bucket.
std::string s3_url(const S3Settings& settings, const std::string& key);

}  // namespace sluice::connect
