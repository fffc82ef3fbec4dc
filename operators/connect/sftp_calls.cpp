#include "operators/connect/sftp_calls.hpp"

#include <algorithm>
#include <exception>

#include "base/hash.hpp"
#include "operators/connect/base64.hpp"
#include "operators/connect/patience.hpp"
#include "operators/connect/sigv4.hpp"
#include "operators/engine/failure.hpp"

namespace sluice::connect {

using engine::Failure;

/// One try of a call.
struct SftpCalls::Try {
    const SftpCall& call;
    char message[CURL_ERROR_SIZE] = "";
    CURLcode code{CURLE_OK};
    std::exception_ptr refused{};  // by `into`
    std::string shown{};           // the fingerprint of a key that is not the known one
    bool other_key{false};         // another one is known

    static std::size_t take(char* data, std::size_t size, std::size_t count, void* to) {
        auto& self = *static_cast<Try*>(to);
        if (self.call.into) try {
                self.call.into({data, size * count});
            } catch (...) {
                self.refused = std::current_exception();
                return 0;
            }
        return size * count;
    }
    static int judge_key(
        CURL*, const curl_khkey*, const curl_khkey* found, curl_khmatch match, void* to
    ) {
        if (match == CURLKHMATCH_OK) return CURLKHSTAT_FINE;
        auto& self = *static_cast<Try*>(to);
        const auto digest = sha256({found->key, found->len});
        self.shown = base64({reinterpret_cast<const char*>(digest.data()), digest.size()});
        while (self.shown.ends_with('=')) self.shown.pop_back();
        self.other_key = match == CURLKHMATCH_MISMATCH;
        return CURLKHSTAT_REJECT;
    }
};

SftpCalls::SftpCalls(task::TaskContext& context, const task::Connection& connection)
    : context_(context),
      connection_(connection),
      login_(sftp_login(context, connection)),
      retries_(retries_of(connection)) {
    start_curl();
    multi_ = new_multi(context);
}

std::string SftpCalls::address(const std::string& path) const {
    return "sftp://" + connection_.host +
           (connection_.port == 0 ? "" : ':' + std::to_string(connection_.port)) + path;
}

std::string SftpCalls::named(const std::string& path) const {
    return "connection \"" + connection_.id + "\": " + address(path);
}

Easy SftpCalls::make_easy(const SftpCall& call, Try& coming) const {
    Easy easy = new_easy();
    set(easy, CURLOPT_URL, address(uri_encode(call.path, true)).c_str());
    set(easy, CURLOPT_PROTOCOLS_STR, "sftp");
    set(easy, CURLOPT_NOSIGNAL, 1L);
    set(easy, CURLOPT_ERRORBUFFER, &coming.message[0]);
    set(easy, CURLOPT_CONNECTTIMEOUT, 10L);
    set(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
    set(easy, CURLOPT_LOW_SPEED_TIME, 120L);
    set(easy, CURLOPT_FILETIME, 1L);
    set(easy, CURLOPT_WRITEFUNCTION, &Try::take);
    set(easy, CURLOPT_WRITEDATA, &coming);
    if (call.head) set(easy, CURLOPT_NOBODY, 1L);
    if (call.names) set(easy, CURLOPT_DIRLISTONLY, 1L);
    if (call.begin) set(easy, CURLOPT_RESUME_FROM_LARGE, curl_off_t{call.begin()});
    set(easy, CURLOPT_USERNAME, connection_.login.c_str());
    if (login_.key_file.empty()) {
        set(easy, CURLOPT_SSH_AUTH_TYPES, long{CURLSSH_AUTH_PASSWORD | CURLSSH_AUTH_KEYBOARD});
        set(easy, CURLOPT_PASSWORD, connection_.password.reveal().c_str());
    } else {
        set(easy, CURLOPT_SSH_AUTH_TYPES, long{CURLSSH_AUTH_PUBLICKEY});
        set(easy, CURLOPT_SSH_PRIVATE_KEYFILE, login_.key_file.c_str());
        set(easy, CURLOPT_KEYPASSWD, login_.passphrase.reveal().c_str());
    }
    if (!login_.fingerprint.empty()) {
        set(easy, CURLOPT_SSH_HOST_PUBLIC_KEY_SHA256, login_.fingerprint.c_str());
    } else {
        set(easy, CURLOPT_SSH_KNOWNHOSTS, login_.known_hosts.c_str());
        set(easy, CURLOPT_SSH_KEYFUNCTION, &Try::judge_key);
        set(easy, CURLOPT_SSH_KEYDATA, &coming);
    }
    return easy;
}

void SftpCalls::refuse_key(const Try& coming) const {
    const std::string host = "connection \"" + connection_.id + "\": " + address("");
    if (!login_.fingerprint.empty())
        throw Failure(
            ErrorClass::auth,
            host + ": the key of the server is not the one of extra.host_key_fingerprint (" +
                coming.message + ')'
        );
    const std::string shows = "it shows SHA256:" + coming.shown;
    if (coming.other_key)
        throw Failure(
            ErrorClass::auth,
            host + ": the key of the server is not the known one, " + shows +
                ": somebody may be in between, or the server has a new key"
        );
    throw Failure(
        ErrorClass::permanent,
        host + ": the key of the server is not known, " + shows +
            ": if that is right, write it as extra.host_key_fingerprint (or extra.host_key, or a "
            "file extra.known_hosts)"
    );
}

void SftpCalls::judge(const Try& coming, int failures) {
    const std::string& path = coming.call.path;
    if (context_.cancelled()) throw Failure(ErrorClass::transient, named(path) + ": cancelled");
    if (coming.refused) std::rethrow_exception(coming.refused);
    if (coming.code == CURLE_PEER_FAILED_VERIFICATION) refuse_key(coming);
    const std::string why =
        coming.message[0] != '\0' ? coming.message : curl_easy_strerror(coming.code);
    const auto fail = [&](ErrorClass kind, const std::string& what) -> Failure {
        return {kind, named(path) + ": " + what};
    };
    if (coming.code == CURLE_LOGIN_DENIED)
        throw fail(
            ErrorClass::auth,
            "the login \"" + connection_.login + "\" is refused with its " +
                (login_.key_file.empty() ? "password" : "private key")
        );
    if (coming.code == CURLE_REMOTE_ACCESS_DENIED) throw fail(ErrorClass::auth, why);
    // Status 4 of the protocol, "failure".
    if (coming.code == CURLE_SSH && why.find("Operation failed") != std::string::npos)
        throw NotOpened(ErrorClass::transient, named(path) + ": " + why);
    if (failures >= retries_)
        throw fail(
            ErrorClass::transient, why + ", " + std::to_string(failures + 1) + " times in a row"
        );
    const Duration pause = backoff(failures, random_);
    context_.info(
        named(path) + ": " + why + ", next try in " +
        std::to_string(std::chrono::ceil<std::chrono::milliseconds>(pause).count()) + " ms"
    );
    wait(context_, multi_, pause);
}

std::optional<SftpReply> SftpCalls::send(const SftpCall& call) {
    for (int failures = 0;; ++failures) {
        Try coming{call};
        const Easy easy = make_easy(call, coming);
        coming.code = perform(context_, multi_, easy);
        if (coming.code == CURLE_OK && !context_.cancelled()) {
            SftpReply reply;
            curl_off_t number = -1;
            curl_easy_getinfo(easy.get(), CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &number);
            reply.bytes = std::max<std::int64_t>(0, number);
            curl_easy_getinfo(easy.get(), CURLINFO_FILETIME_T, &number);
            reply.changed = number;
            return reply;
        }
        if (coming.code == CURLE_REMOTE_FILE_NOT_FOUND) return std::nullopt;
        judge(coming, failures);
    }
}

}  // namespace sluice::connect
