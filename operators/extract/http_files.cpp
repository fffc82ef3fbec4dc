#include "operators/extract/http_files.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <ctime>
#include <memory>
#include <string_view>

#include <curl/curl.h>

#include "base/error.hpp"
#include "base/hash.hpp"
#include "operators/connect/download.hpp"
#include "operators/connect/files.hpp"
#include "operators/connect/sigv4.hpp"
#include "operators/external/http_auth.hpp"
#include "operators/extract/patient_http.hpp"

namespace sluice::extract {

namespace {

using connect::HttpReply;
using connect::HttpRequest;
using connect::NewFile;
using connect::PlacedFile;
using engine::Failure;

std::string header_of(const HttpReply& reply, const char* name) {
    const auto found = reply.headers.find(name);
    return found == reply.headers.end() ? "" : found->second;
}

std::int64_t size_in(std::string_view text) {
    std::int64_t number = -1;
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
    return failed == std::errc{} && end == text.data() + text.size() ? number : -1;
}

/// "bytes 5-9/10": where it begins, and the size of the whole; -1 for what is not said.
struct ContentRange {
    std::int64_t begin{-1};
    std::int64_t whole{-1};
};
ContentRange range_of(const HttpReply& reply) {
    const std::string text = header_of(reply, "content-range");
    const auto slash = text.find('/');
    if (!text.starts_with("bytes ") || slash == std::string::npos) return {};
    const std::string_view bytes(text);
    return {
        size_in(bytes.substr(6, std::min(bytes.find('-'), slash) - 6)),
        size_in(bytes.substr(slash + 1))
    };
}

/// Spaces, controls and bytes beyond ASCII are encoded; what is written encoded stays so.
std::string address_text(const std::string& path) {
    std::string out;
    for (const char c : path) {
        const auto byte = static_cast<unsigned char>(c);
        const bool plain = byte > 0x20 && byte < 0x7F && c != '"' && c != '<' && c != '>';
        out += plain ? std::string(1, c) : connect::uri_encode({&c, 1});
    }
    return out;
}

/// The body is not wanted any more.
struct Enough {};

class WebFile {
    [[nodiscard]] std::string where() const {
        return "connection \"" + connection_.id + "\", GET /" + name_;
    }

    template <class Step>
    auto named(const Step& step) const {
        try {
            return step();
        } catch (const RateLimited& failure) {
            throw RateLimited(where() + ": " + failure.what(), failure.retry_after());
        } catch (const Failure& failure) {
            throw Failure(failure.error_class(), where() + ": " + failure.what());
        }
    }

public:
    WebFile(task::TaskContext& context, const task::Connection& connection)
        : http_(context, connection, "connection \"" + connection.id + "\", GET"),
          connection_(connection) {}

    std::vector<PlacedFile> find(const std::string& pattern) {
        const std::string written =
            pattern.substr(std::min(pattern.find_first_not_of('/'), pattern.size()));
        connect::check_inside(written);
        name_ = written.substr(0, written.find('?'));
        if (name_.find('*') != std::string::npos)
            throw Error(
                ErrorCode::invalid,
                where() + ": an HTTP server cannot say which files it has: write the path of one"
            );
        url_ = ops::http_url(connection_, address_text(written));
        const auto head = named([&] { return look(); });
        if (!head) return {};
        return {placed(*head)};
    }

    void fetch(NewFile& to, const std::function<void(std::int64_t)>& room) {
        named([&] {
            try {
                download(to, room);
            } catch (const Refused& failure) {
                if (!is_gone(failure)) throw;
                throw Failure(
                    ErrorClass::transient,
                    std::string(failure.what()) + ": it was there a moment ago"
                );
            }
        });
    }

private:
    static bool is_gone(const Refused& failure) {
        return failure.status() == 404 || failure.status() == 410;
    }

    [[nodiscard]] HttpRequest request(const char* method) const {
        HttpRequest made;
        made.method = method;
        made.url = url_;
        made.redirects = false;
        made.as_stored = true;
        return made;
    }

    /// What the server says of the file; none if it has none.
    std::optional<HttpReply> look() {
        try {
            return http_.send(request("HEAD"));
        } catch (const Refused& failure) {
            if (is_gone(failure)) return std::nullopt;
            if (failure.status() != 405 && failure.status() != 501) throw;
        }
        // It does not speak HEAD: the first byte, with what stands in front of it.
        HttpReply head;
        HttpRequest probe = request("GET");
        probe.headers = {{"Range", "bytes=0-0"}};
        probe.into = [&](const HttpReply& reply, std::string_view) {
            head = reply;
            throw Enough{};
        };
        try {
            return http_.send(std::move(probe));
        } catch (const Enough&) {
            return head;
        } catch (const Refused& failure) {
            if (is_gone(failure)) return std::nullopt;
            if (failure.status() != 416) throw;
            return HttpReply{.status = 416, .headers = {}, .body = {}};  // it is empty
        }
    }

    [[nodiscard]] PlacedFile placed(const HttpReply& head) const {
        const auto now = std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now());
        PlacedFile file{.name = name_, .path = {}, .changed_at = now};
        file.bytes =
            head.status == 206 ? range_of(head).whole : size_in(header_of(head, "content-length"));
        file.bytes = std::max<std::int64_t>(0, file.bytes);
        const std::string modified = header_of(head, "last-modified");
        if (const std::time_t at = ::curl_getdate(modified.c_str(), nullptr); at >= 0)
            file.changed_at = Instant{std::chrono::seconds{at}};
        // Where the server says nothing that tells versions apart, only the content does.
        const std::string version = header_of(head, "etag") + '\n' + modified;
        file.written = now.time_since_epoch().count();
        if (version != "\n") {
            const auto digest = sha256(version);
            file.written = 0;
            for (std::size_t i = 0; i < 7; ++i) file.written = file.written * 256 + digest.at(i);
        }
        return file;
    }

    void download(NewFile& to, const std::function<void(std::int64_t)>& room) {
        std::int64_t whole = -1;
        std::string version;  // what a rest must be of
        bool begins = true;
        const auto begin = [&](const HttpReply& head) {
            begins = false;
            if (head.status == 206) {
                if (range_of(head).begin == to.size()) return;
                throw Failure(ErrorClass::transient, "the server sent another part than the rest");
            }
            if (to.size() > 0) to.begin_anew();
            whole = size_in(header_of(head, "content-length"));
            version = header_of(head, "etag");
            if (version.empty() || version.starts_with("W/"))
                version = header_of(head, "last-modified");
            if (whole >= 0) room(whole);
        };
        HttpRequest asked = request("GET");
        asked.into = [&](const HttpReply& head, std::string_view bytes) {
            if (begins) begin(head);
            to.write(bytes);
        };
        const HttpReply reply = http_.send(std::move(asked), [&](HttpRequest& again) {
            begins = true;
            again.headers.clear();
            if (to.size() > 0 && !version.empty())
                again.headers = {
                    {"Range", "bytes=" + std::to_string(to.size()) + '-'}, {"If-Range", version}
                };
        });
        if (begins) begin(reply);  // an empty file
        if (whole >= 0 && to.size() != whole)
            throw Failure(
                ErrorClass::transient,
                std::to_string(to.size()) + " of " + std::to_string(whole) + " bytes came"
            );
    }

    PatientHttp http_;
    task::Connection connection_;
    std::string url_;
    std::string name_;
};

}  // namespace

connect::RemoteFiles http_files(task::TaskContext& context, const task::Connection& connection) {
    const auto file = std::make_shared<WebFile>(context, connection);
    return {
        .told = ops::http_url(connection, ""),
        .find = [file](const std::string& pattern) { return file->find(pattern); },
        .fetch = [file](
                     const PlacedFile&, NewFile& to, const std::function<void(std::int64_t)>& room
                 ) { file->fetch(to, room); },
        .instead_of = {},
    };
}

}  // namespace sluice::extract
