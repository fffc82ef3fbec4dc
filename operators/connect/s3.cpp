#include "operators/connect/s3.hpp"

#include <cerrno>
#include <cstring>
#include <ctime>
#include <fstream>

#include <curl/curl.h>
#include <openssl/evp.h>

#include "operators/connect/base64.hpp"
#include "operators/connect/download.hpp"
#include "operators/connect/file_digest.hpp"
#include "operators/connect/s3_state.hpp"
#include "operators/connect/xml.hpp"
#include "operators/engine/failure.hpp"

namespace sluice::connect {

namespace fs = std::filesystem;
using engine::Failure;

namespace {

std::int64_t count_in(const std::string& text) {
    return text.empty() ? -1 : std::atoll(text.c_str());
}

Instant http_time(const std::string& text) {
    const std::time_t at = ::curl_getdate(text.c_str(), nullptr);
    return at < 0 ? Instant::max() : Instant{std::chrono::seconds{at}};
}

std::string md5_base64(std::string_view bytes) {
    std::string digest(EVP_MAX_MD_SIZE, '\0');
    unsigned int size = 0;
    if (EVP_Digest(
            bytes.data(),
            bytes.size(),
            reinterpret_cast<unsigned char*>(digest.data()),
            &size,
            EVP_md5(),
            nullptr
        ) != 1)
        throw Error(ErrorCode::internal, "MD5 failed");
    return base64({digest.data(), size});
}

/// An object on its way into a file.
class Download {
public:
    Download(NewFile& file, const std::function<void(std::int64_t bytes)>& room)
        : file_(file), room_(room) {}

    void take(const HttpReply& head, std::string_view bytes) {
        if (begins_) begin(head);
        file_.write(bytes);
        digest_.add(bytes);
    }
    /// After a try that broke off: the rest of the same object.
    void ask_for_rest(S3Call& call) {
        begins_ = true;
        call.headers.clear();
        if (file_.size() > 0 && !etag_.empty())
            call.headers = {
                {"If-Match", etag_}, {"Range", "bytes=" + std::to_string(file_.size()) + "-"}
            };
    }
    /// All has come; "" or what is wrong.
    std::string judge(const HttpReply& reply) {
        if (begins_) begin(reply);  // an empty object
        if (size_ >= 0 && file_.size() != size_)
            return std::to_string(file_.size()) + " of " + std::to_string(size_) + " bytes came";
        if (const std::string is = digest_.hex(); !wanted_.empty() && is != wanted_)
            return "its content is not what was written (SHA-256 " + is + ", should be " + wanted_ +
                   ")";
        return {};
    }

private:
    void begin(const HttpReply& head) {
        begins_ = false;
        if (head.status == 206) return;
        if (file_.size() > 0) {
            file_.begin_anew();
            digest_.hex();
        }
        size_ = count_in(header_in(head, "content-length"));
        etag_ = header_in(head, "etag");
        wanted_ = header_in(head, digest_header);
        if (room_) room_(size_);
    }

    NewFile& file_;
    const std::function<void(std::int64_t bytes)>& room_;
    FileDigest digest_;
    bool begins_{true};
    std::string etag_;
    std::string wanted_;
    std::int64_t size_{-1};
};

}  // namespace

S3::S3(task::TaskContext& context, const task::Connection& connection)
    : state_(std::make_unique<State>(context, connection)) {}

S3::~S3() = default;

void S3::get(
    const std::string& key,
    const fs::path& file,
    const std::function<void(std::int64_t bytes)>& room
) {
    // Twice: a body can be damaged on its way.
    for (bool first = true;; first = false) {
        NewFile out(file);
        Download download(out, room);
        S3Call call{.key = state_->full(key)};
        call.into = [&](const HttpReply& head, std::string_view bytes) {
            download.take(head, bytes);
        };
        call.again = [&](S3Call& again) { download.ask_for_rest(again); };
        const std::string wrong = download.judge(state_->calls.send(std::move(call)));
        if (wrong.empty()) return out.keep();
        if (!first) throw Failure(ErrorClass::data_quality, state_->named(key) + ": " + wrong);
    }
}

std::string S3::get_range(const std::string& key, std::int64_t begin, std::int64_t bytes) {
    S3Call call{.key = state_->full(key)};
    call.headers = {
        {"Range", "bytes=" + std::to_string(begin) + '-' + std::to_string(begin + bytes - 1)}
    };
    return state_->calls.send(std::move(call)).body;
}

std::optional<S3Object> S3::head(const std::string& key) {
    const HttpReply reply =
        state_->calls.send({.method = "HEAD", .key = state_->full(key), .may_be_missing = true});
    if (reply.status == 404) return std::nullopt;
    return S3Object{
        .key = key,
        .bytes = count_in(header_in(reply, "content-length")),
        .changed_at = http_time(header_in(reply, "last-modified")),
        .etag = header_in(reply, "etag"),
        .sha256 = header_in(reply, digest_header),
    };
}

void S3::list(const std::string& prefix, const std::function<void(const S3Object&)>& each) {
    std::string token;
    do {
        S3Call call{.query = {{"list-type", "2"}, {"prefix", state_->full(prefix)}}};
        if (!token.empty()) call.query.emplace_back("continuation-token", token);
        const HttpReply reply = state_->calls.send(std::move(call));
        const auto listed = parse_xml(reply.body, state_->named(prefix));
        for (const auto& item : xml_elements(listed, "Contents")) {
            const auto changed = parse_time(xml_text(item, "LastModified"));
            each(
                {.key = xml_text(item, "Key").substr(state_->settings.prefix.size()),
                 .bytes = count_in(xml_text(item, "Size")),
                 .changed_at = changed ? changed->at : Instant::max(),
                 .etag = xml_text(item, "ETag")}
            );
        }
        token = xml_text(listed, "IsTruncated") == "true"
                    ? xml_text(listed, "NextContinuationToken")
                    : "";
    } while (!token.empty());
}

void S3::remove(const std::string& key) {
    state_->calls.send({.method = "DELETE", .key = state_->full(key), .may_be_missing = true});
}

std::string S3::lifecycle() {
    const HttpReply reply =
        state_->calls.send({.query = {{"lifecycle", ""}}, .may_be_missing = true});
    return reply.status == 404 ? "" : reply.body;
}

void S3::put_lifecycle(const std::string& xml) {
    if (xml.empty()) {
        state_->calls.send({.method = "DELETE", .query = {{"lifecycle", ""}}});
        return;
    }
    S3Call call{.method = "PUT", .query = {{"lifecycle", ""}}};
    call.headers = {{"Content-MD5", md5_base64(xml)}, {"Content-Type", "application/xml"}};
    call.body = xml;
    state_->calls.send(std::move(call));
}

void S3::try_once() { state_->calls.try_once(); }

std::string S3::address(const std::string& key) const {
    return state_->calls.address(state_->full(key));
}

const std::string& S3::prefix() const { return state_->settings.prefix; }

std::int64_t S3::cache_bytes() const { return state_->settings.cache_bytes; }

}  // namespace sluice::connect
