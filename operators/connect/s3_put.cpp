// Objects into the bucket: whole, or in parts.
#include <algorithm>
#include <fstream>

#include "base/fault.hpp"
#include "operators/connect/file_digest.hpp"
#include "operators/connect/s3_state.hpp"
#include "operators/connect/xml.hpp"
#include "operators/engine/failure.hpp"

namespace sluice::connect {

namespace fs = std::filesystem;
using engine::Failure;

namespace {

constexpr std::int64_t most_parts = 10'000;

std::string piece_of(std::ifstream& in, const fs::path& file, std::int64_t size) {
    std::string bytes(static_cast<std::size_t>(size), '\0');
    in.read(bytes.data(), static_cast<std::streamsize>(size));
    if (in.gcount() != size)
        throw Failure(ErrorClass::transient, "the file " + file.string() + " cannot be read");
    return bytes;
}

const char* content_type(const fs::path& file) {
    return file.extension() == ".parquet" ? "application/vnd.apache.parquet"
                                          : "application/octet-stream";
}

}  // namespace

Pairs S3::State::put_headers(const std::string& type, const std::string& digest) const {
    Pairs headers{{"Content-Type", type}, {digest_header, digest}};
    const auto add = [&](const char* name, const std::string& value) {
        if (!value.empty()) headers.emplace_back(name, value);
    };
    add("x-amz-server-side-encryption", settings.encryption);
    add("x-amz-server-side-encryption-aws-kms-key-id", settings.kms_key_id);
    add("x-amz-storage-class", settings.storage_class);
    return headers;
}

void S3::put(const std::string& key, const fs::path& file) {
    std::error_code error;
    const auto size = static_cast<std::int64_t>(fs::file_size(file, error));
    if (error) throw Failure(ErrorClass::transient, file.string() + ": " + error.message());
    const std::string digest = sha256_of_file(file);
    if (size > state_->settings.part_bytes) return state_->put_parts(key, file, size, digest);
    std::ifstream in(file, std::ios::binary);
    S3Call call{.method = "PUT", .key = state_->full(key)};
    call.headers = state_->put_headers(content_type(file), digest);
    call.body = piece_of(in, file, size);
    state_->calls.send(std::move(call));
}

void S3::put_text(const std::string& key, std::string_view bytes, const std::string& type) {
    FileDigest digest;
    digest.add(bytes);
    S3Call call{.method = "PUT", .key = state_->full(key)};
    call.headers = state_->put_headers(type, digest.hex());
    call.body = bytes;
    state_->calls.send(std::move(call));
}

void S3::State::put_parts(
    const std::string& key, const fs::path& file, std::int64_t size, const std::string& digest
) {
    S3Call begin{.method = "POST", .key = full(key), .query = {{"uploads", ""}}};
    begin.headers = put_headers(content_type(file), digest);
    bool begun_twice = false;
    begin.again = [&](S3Call&) { begun_twice = true; };
    const std::string upload = xml_text(calls.send(std::move(begin)).body, "UploadId");
    if (upload.empty())
        throw Failure(ErrorClass::transient, named(key) + ": the store gave no upload id");
    try {
        const std::string parts = send_parts(key, file, size, upload);
        fault_point("s3_before_complete");
        complete(key, upload, parts, digest);
        // Of the one whose answer was lost nobody knows the id.
        if (begun_twice) end_uploads(key);
    } catch (...) {
        // A cancelled attempt sends nothing more.
        if (!calls.cancelled()) end_upload(key, upload);
        throw;
    }
}

std::string S3::State::send_parts(
    const std::string& key, const fs::path& file, std::int64_t size, const std::string& upload
) {
    const std::int64_t whole = std::max(settings.part_bytes, (size + most_parts - 1) / most_parts);
    std::ifstream in(file, std::ios::binary);
    std::string parts;
    for (std::int64_t begin = 0, number = 1; begin < size; begin += whole, ++number) {
        S3Call call{.method = "PUT", .key = full(key)};
        call.query = {{"partNumber", std::to_string(number)}, {"uploadId", upload}};
        call.body = piece_of(in, file, std::min(whole, size - begin));
        const HttpReply reply = calls.send(std::move(call));
        parts += "<Part><PartNumber>" + std::to_string(number) + "</PartNumber><ETag>" +
                 xml_escape(header_in(reply, "etag")) + "</ETag></Part>";
        fault_point("s3_mid_upload");
    }
    return parts;
}

void S3::State::complete(
    const std::string& key,
    const std::string& upload,
    const std::string& parts,
    const std::string& digest
) {
    S3Call call{.method = "POST", .key = full(key), .query = {{"uploadId", upload}}};
    call.headers = {{"Content-Type", "application/xml"}};
    call.body = "<CompleteMultipartUpload>" + parts + "</CompleteMultipartUpload>";
    call.may_be_missing = true;
    call.looks_inside = true;
    if (calls.send(std::move(call)).status != 404) return;
    // An answer was lost: the upload is gone because it is complete, or somebody ended it.
    const HttpReply there =
        calls.send({.method = "HEAD", .key = full(key), .may_be_missing = true});
    if (there.status == 404 || header_in(there, digest_header) != digest)
        throw Failure(ErrorClass::transient, named(key) + ": the upload was ended by somebody");
}

/// Parts cost money until somebody ends their upload.
void S3::State::end_upload(const std::string& key, const std::string& upload) {
    try {
        calls.send(
            {.method = "DELETE",
             .key = full(key),
             .query = {{"uploadId", upload}},
             .may_be_missing = true}
        );
    } catch (const Error&) {
        // What failed before counts; `retain`, or the bucket's own rule, ends it.
    }
}

void S3::State::end_uploads(const std::string& key) {
    const HttpReply reply = calls.send({.query = {{"uploads", ""}, {"prefix", full(key)}}});
    const auto listed = parse_xml(reply.body, named(key));
    for (const auto& upload : xml_elements(listed, "Upload"))
        if (xml_text(upload, "Key") == full(key)) end_upload(key, xml_text(upload, "UploadId"));
}

void S3::abort_uploads(const std::string& key) { state_->end_uploads(key); }

}  // namespace sluice::connect
