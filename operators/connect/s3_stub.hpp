// s3_stub.hpp — an object store of a test, in memory, behind Loopback: signatures are checked, and
// any request can be made to fail. Not for product code.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/hash.hpp"
#include "operators/connect/loopback.hpp"
#include "operators/connect/sigv4.hpp"
#include "operators/connect/xml.hpp"
#include "task/context.hpp"

namespace sluice::connect {

class S3Stub {
public:
    struct Object {
        std::string bytes;
        std::map<std::string, std::string> headers;  // x-amz-*
    };

    S3Stub() : server_([this](const std::string& request) { return answer(request); }) {}

    using Instead = std::function<std::optional<std::string>(int number)>;
    using OnTheWay = std::function<std::string(int number, std::string reply)>;
    /// Request `number` (from 1 on) is not carried out: these are the bytes of its reply instead.
    void instead(Instead other) {
        const std::lock_guard lock(mutex_);
        instead_ = std::move(other);
    }
    /// What becomes of a reply on its way; "" = the connection breaks.
    void on_the_way(OnTheWay change) {
        const std::lock_guard lock(mutex_);
        on_the_way_ = std::move(change);
    }
    /// Keys of a list.
    void page(std::size_t size) {
        const std::lock_guard lock(mutex_);
        page_ = size;
    }
    [[nodiscard]] task::Connection connection(nlohmann::json extra = nlohmann::json::object()) {
        extra["endpoint_url"] = "http://127.0.0.1:" + std::to_string(server_.port());
        return {
            .id = "lake",
            .type = "s3",
            .host = "bucket",
            .login = "key",
            .password = Secret("secret"),
            .schema = "some/lake",
            .extra = extra.dump(),
        };
    }
    [[nodiscard]] std::map<std::string, Object> objects() const {
        const std::lock_guard lock(mutex_);
        return objects_;
    }
    [[nodiscard]] std::size_t uploads() const {
        const std::lock_guard lock(mutex_);
        return uploads_.size();
    }
    void damage(const std::string& key) {
        const std::lock_guard lock(mutex_);
        objects_.at(key).bytes.back() ^= 1;
    }
    /// Numbers begin with 1 again.
    void count_anew() {
        const std::lock_guard lock(mutex_);
        number_ = 0;
    }
    [[nodiscard]] int requests() const {
        const std::lock_guard lock(mutex_);
        return number_;
    }
    [[nodiscard]] std::vector<std::string> targets() const { return server_.targets(); }

    static std::string error(int status, const std::string& code, const std::string& headers = "") {
        return Loopback::reply(
            status,
            "<?xml version=\"1.0\"?><Error><Code>" + code + "</Code><Message>said &quot;" + code +
                "&quot;</Message></Error>",
            headers
        );
    }

private:
    struct Upload {
        std::string key;
        Object made;
        std::map<int, std::string> parts;
    };
    struct Asked {
        std::string method;
        std::string path;
        std::string key;
        Pairs query;
        std::string body;
    };

    static std::string decoded(const std::string& text) {
        std::string out;
        for (std::size_t i = 0; i < text.size(); ++i) {
            if (text[i] != '%') {
                out += text[i];
            } else {
                out += static_cast<char>(std::stoi(text.substr(i + 1, 2), nullptr, 16));
                i += 2;
            }
        }
        return out;
    }
    static Asked read(const std::string& request) {
        Asked asked;
        const auto space = request.find(' ');
        asked.method = request.substr(0, space);
        std::string target = request.substr(space + 1, request.find(' ', space + 1) - space - 1);
        if (const auto mark = target.find('?'); mark != std::string::npos) {
            std::string query = target.substr(mark + 1) + '&';
            target.resize(mark);
            for (std::size_t end = 0; (end = query.find('&')) != std::string::npos;
                 query.erase(0, end + 1)) {
                const std::string pair = query.substr(0, end);
                const auto equals = pair.find('=');
                asked.query.emplace_back(
                    decoded(pair.substr(0, equals)), decoded(pair.substr(equals + 1))
                );
            }
        }
        asked.path = target;
        if (target.starts_with("/bucket/")) asked.key = decoded(target.substr(8));
        asked.body = request.substr(request.find("\r\n\r\n") + 4);
        return asked;
    }
    static const std::string* find(const Asked& asked, const std::string& name) {
        for (const auto& [known, value] : asked.query)
            if (known == name) return &value;
        return nullptr;
    }
    /// The signature as it must be for what came over the wire.
    static bool is_signed(const std::string& request, const Asked& asked) {
        const std::string given = Loopback::header(request, "Authorization");
        const auto begin = given.find("SignedHeaders=") + 14;
        std::string names = given.substr(begin, given.find(',', begin) - begin) + ';';
        SigV4Request wanted{asked.method, asked.path, asked.query, {}, sha256_hex(asked.body)};
        for (std::size_t end = 0; (end = names.find(';')) != std::string::npos;
             names.erase(0, end + 1)) {
            const std::string name = names.substr(0, end);
            std::string value = Loopback::header(request, name);
            for (const char* written :
                 {"Host", "Content-Type", "Content-MD5", "Range", "If-Match"}) {
                std::string lower = written;
                std::ranges::transform(lower, lower.begin(), ::tolower);
                if (lower == name) value = Loopback::header(request, written);
            }
            wanted.headers.emplace_back(name, value);
        }
        return given == sigv4_authorization(
                            {"key", Secret("secret"), "us-east-1", "s3"},
                            wanted,
                            Loopback::header(request, "x-amz-date")
                        );
    }
    static std::map<std::string, std::string> kept_headers(const std::string& request) {
        std::map<std::string, std::string> out;
        for (const char* name :
             {"x-amz-meta-sha256",
              "x-amz-server-side-encryption",
              "x-amz-server-side-encryption-aws-kms-key-id",
              "x-amz-storage-class"})
            if (auto value = Loopback::header(request, name); !value.empty())
                out[name] = std::move(value);
        return out;
    }

    std::string answer(const std::string& request) {
        const std::lock_guard lock(mutex_);
        const int number = ++number_;
        if (instead_)
            if (auto other = instead_(number)) return *other;
        std::string reply = carry_out(request);
        return on_the_way_ ? on_the_way_(number, std::move(reply)) : reply;
    }
    std::string carry_out(const std::string& request) {
        const Asked asked = read(request);
        const std::string proof = Loopback::header(request, "Authorization");
        if (proof.find("Credential=key/") == std::string::npos)
            return error(403, "InvalidAccessKeyId");
        if (!is_signed(request, asked)) return error(403, "SignatureDoesNotMatch");
        if (!asked.path.starts_with("/bucket")) return error(404, "NoSuchBucket");
        if (asked.key.empty()) return of_bucket(asked);
        if (asked.method == "POST") return post(request, asked);
        if (asked.method == "PUT") return put(request, asked);
        if (asked.method == "DELETE") {
            if (const auto* id = find(asked, "uploadId")) {
                uploads_.erase(*id);
            } else {
                objects_.erase(asked.key);
            }
            return "HTTP/1.1 204 X\r\nConnection: close\r\n\r\n";
        }
        return get(request, asked);
    }
    std::string put(const std::string& request, const Asked& asked) {
        if (const auto* id = find(asked, "uploadId")) {
            const auto upload = uploads_.find(*id);
            if (upload == uploads_.end()) return error(404, "NoSuchUpload");
            upload->second.parts[std::stoi(*find(asked, "partNumber"))] = asked.body;
        } else {
            objects_[asked.key] = {asked.body, kept_headers(request)};
        }
        return Loopback::reply(200, "", "ETag: \"" + sha256_hex(asked.body) + "\"\r\n");
    }
    std::string post(const std::string& request, const Asked& asked) {
        if (find(asked, "uploads") != nullptr) {
            const std::string id = "upload/" + std::to_string(++last_upload_);
            uploads_[id] = {asked.key, {"", kept_headers(request)}, {}};
            return Loopback::reply(200, "<R><UploadId>" + id + "</UploadId></R>");
        }
        const auto upload = uploads_.find(*find(asked, "uploadId"));
        if (upload == uploads_.end()) return error(404, "NoSuchUpload");
        const auto parts = parse_xml(asked.body, "the client");
        for (const auto& part : xml_elements(parts, "Part")) {
            const std::string& bytes =
                upload->second.parts.at(std::stoi(xml_text(part, "PartNumber")));
            if (xml_text(part, "ETag") != '"' + sha256_hex(bytes) + '"')
                return error(400, "InvalidPart");
            upload->second.made.bytes += bytes;
        }
        objects_[asked.key] = upload->second.made;
        uploads_.erase(upload);
        return Loopback::reply(200, "<CompleteMultipartUploadResult/>");
    }
    std::string get(const std::string& request, const Asked& asked) const {
        const auto found = objects_.find(asked.key);
        if (found == objects_.end()) return error(404, "NoSuchKey");
        const std::string& bytes = found->second.bytes;
        const std::string etag = '"' + sha256_hex(bytes) + '"';
        std::string headers =
            "ETag: " + etag + "\r\nLast-Modified: Mon, 05 Jan 2026 10:00:00 GMT\r\n";
        for (const auto& [name, value] : found->second.headers)
            headers += name + ": " + value + "\r\n";
        if (const auto match = Loopback::header(request, "If-Match");
            !match.empty() && match != etag)
            return error(412, "PreconditionFailed");
        std::string part = bytes;
        int status = 200;
        if (const auto range = Loopback::header(request, "Range"); !range.empty()) {
            const std::size_t begin = std::stoul(range.substr(6));
            const std::string end = range.substr(range.find('-') + 1);
            part =
                bytes.substr(begin, end.empty() ? std::string::npos : std::stoul(end) - begin + 1);
            status = 206;
        }
        std::string reply = Loopback::reply(status, part, headers);
        if (asked.method == "HEAD") reply.resize(reply.size() - part.size());
        return reply;
    }
    std::string of_bucket(const Asked& asked) {
        if (find(asked, "lifecycle") != nullptr) {
            if (asked.method != "GET") {
                lifecycle_ = asked.body;
                return Loopback::reply(200, "");
            }
            return lifecycle_.empty() ? error(404, "NoSuchLifecycleConfiguration")
                                      : Loopback::reply(200, lifecycle_);
        }
        const std::string prefix = *find(asked, "prefix");
        std::string xml = "<?xml version=\"1.0\"?>\n<Result>";
        if (find(asked, "uploads") != nullptr) {
            for (const auto& [id, upload] : uploads_)
                if (upload.key.starts_with(prefix))
                    xml += "<Upload><Key>" + xml_escape(upload.key) + "</Key><UploadId>" + id +
                           "</UploadId></Upload>";
            return Loopback::reply(200, xml + "</Result>");
        }
        const auto* after = find(asked, "continuation-token");
        std::size_t count = 0;
        std::string last;
        for (const auto& [key, object] : objects_) {
            if (!key.starts_with(prefix) || (after != nullptr && key <= *after)) continue;
            if (++count > page_) break;
            last = key;
            xml += "<Contents><Key>" + xml_escape(key) +
                   "</Key><LastModified>2026-01-05T10:00:00.000Z</LastModified><Size>" +
                   std::to_string(object.bytes.size()) + "</Size></Contents>";
        }
        const bool more = count > page_;
        xml += std::string("<KeyCount>1</KeyCount><IsTruncated>") + (more ? "true" : "false") +
               "</IsTruncated>";
        if (more) xml += "<NextContinuationToken>" + xml_escape(last) + "</NextContinuationToken>";
        return Loopback::reply(200, xml + "</Result>");
    }

    mutable std::mutex mutex_;  // guards all below
    Instead instead_;
    OnTheWay on_the_way_;
    std::size_t page_{1'000};
    int number_{0};
    int last_upload_{0};
    std::map<std::string, Object> objects_;
    std::map<std::string, Upload> uploads_;
    std::string lifecycle_;
    Loopback server_;  // last: it uses the above
};

}  // namespace sluice::connect
