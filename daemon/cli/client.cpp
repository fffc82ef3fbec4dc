#include "cli/client.hpp"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>

#include <curl/curl.h>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/json_text.hpp"

namespace sluice::cli {
namespace {

using Json = nlohmann::json;

struct Response {
    long status{0};
    std::string body;
};

std::size_t collect(char* data, std::size_t size, std::size_t count, void* out) {
    static_cast<std::string*>(out)->append(data, size * count);
    return size * count;
}

Response perform(
    const char* method, const std::string& url, const std::string& token, const std::string* body
) {
    static const CURLcode ready = curl_global_init(CURL_GLOBAL_DEFAULT);
    if (ready != CURLE_OK) throw Error(ErrorCode::internal, "libcurl cannot start");
    const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(
        curl_easy_init(), curl_easy_cleanup
    );
    curl_slist* list = curl_slist_append(nullptr, "Content-Type: application/json");
    if (!token.empty()) list = curl_slist_append(list, ("Authorization: Bearer " + token).c_str());
    const std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> headers(
        list, curl_slist_free_all
    );
    Response response;
    curl_easy_setopt(curl.get(), CURLOPT_URL, url.c_str());
    curl_easy_setopt(curl.get(), CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(curl.get(), CURLOPT_HTTPHEADER, headers.get());
    // The server records what the CLI starts as triggered by it.
    curl_easy_setopt(curl.get(), CURLOPT_USERAGENT, "sluice-cli");
    curl_easy_setopt(curl.get(), CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl.get(), CURLOPT_CONNECTTIMEOUT, 5L);
    curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, collect);
    curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &response.body);
    if (body != nullptr) {
        curl_easy_setopt(curl.get(), CURLOPT_POSTFIELDS, body->data());
        curl_easy_setopt(curl.get(), CURLOPT_POSTFIELDSIZE, static_cast<long>(body->size()));
    }
    const CURLcode code = curl_easy_perform(curl.get());
    if (code != CURLE_OK)
        throw Error(
            ErrorCode::unavailable, "no daemon answers at " + url + ": " + curl_easy_strerror(code)
        );
    curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &response.status);
    return response;
}

/// The server's `detail`, in words: a string, a list of field problems, or an object with a
/// message.
std::string detail_of(const Response& response) {
    const Json body = Json::parse(response.body, nullptr, false);
    if (!body.is_object()) return response.body;
    if (!body.contains("detail")) return body.dump();
    const Json& detail = body["detail"];
    if (detail.is_string()) return detail.get<std::string>();
    if (detail.is_object() && detail.contains("message"))
        return detail["message"].get<std::string>();
    if (!detail.is_array()) return detail.dump();
    std::string text;
    for (const auto& item : detail) {
        if (!text.empty()) text += "; ";
        std::string where;
        for (const auto& part : item.value("loc", Json::array()))
            where += (where.empty() ? "" : ".") + sluice::text_of(part);
        text += where + ": " + item.value("msg", item.dump());
    }
    return text;
}

ErrorCode code_of(long status) {
    switch (status) {
        case 401:
            return ErrorCode::unauthorized;
        case 403:
            return ErrorCode::forbidden;
        case 404:
            return ErrorCode::not_found;
        case 409:
            return ErrorCode::conflict;
        case 429:
            return ErrorCode::limit;
        case 503:
            return ErrorCode::unavailable;
        default:
            return status >= 500 ? ErrorCode::internal : ErrorCode::invalid;
    }
}

std::string first_line(const std::filesystem::path& path) {
    std::ifstream in(path);
    std::string line;
    std::getline(in, line);
    return line;
}

}  // namespace

std::string encode(const std::string& text) {
    constexpr char digits[] = "0123456789ABCDEF";
    std::string out;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                           (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' || c == '~';
        if (plain) {
            out += c;
        } else {
            out += '%';
            out += digits[byte >> 4U];
            out += digits[byte & 15U];
        }
    }
    return out;
}

std::string text_of(const Json& object, const char* key) {
    const auto found = object.find(key);
    if (found == object.end() || found->is_null()) return "";
    return sluice::text_of(*found);
}

std::string task_of(const Json& instance) {
    const auto index = instance.value("map_index", -1);
    const auto task = text_of(instance, "task_id");
    return index < 0 ? task : task + '[' + std::to_string(index) + ']';
}

std::optional<std::string> address_of(const std::string& home) {
    auto line = first_line(std::filesystem::path(home) / "sluice.url");
    if (line.empty()) return std::nullopt;
    return line;
}

Client::Client(const Target& target) : url_(target.url), token_(target.token) {
    if (url_.empty()) {
        const auto address = address_of(target.home);
        if (!address)
            throw Error(
                ErrorCode::unavailable,
                "no daemon is running in " + target.home +
                    "; start one: sluice standalone --home " + target.home
            );
        url_ = *address;
    }
    while (url_.ends_with('/')) url_.pop_back();
    if (!token_.empty()) return;
    const auto password = first_line(std::filesystem::path(target.home) / "admin.password");
    if (password.empty())
        throw Error(
            ErrorCode::unauthorized,
            "give --token, or a --home whose admin.password can be read (" + target.home + ")"
        );
    const Json login{{"username", "admin"}, {"password", password}};
    token_ = post("/auth/token/cli", login).at("access_token").get<std::string>();
}

Json Client::get(const std::string& path) { return request("GET", path, nullptr); }

Json Client::post(const std::string& path, const Json& body) {
    const std::string text = body.dump();
    return request("POST", path, &text);
}

Json Client::patch(const std::string& path, const Json& body) {
    const std::string text = body.dump();
    return request("PATCH", path, &text);
}

Json Client::put(const std::string& path) { return request("PUT", path, nullptr); }

void Client::remove(const std::string& path) { request("DELETE", path, nullptr); }

Json Client::request(const char* method, const std::string& path, const std::string* body) {
    const auto response = perform(method, url_ + path, token_, body);
    if (response.status >= 400) throw Error(code_of(response.status), detail_of(response));
    if (response.body.empty()) return {};
    Json parsed = Json::parse(response.body, nullptr, false);
    if (parsed.is_discarded())
        throw Error(ErrorCode::internal, "the answer of " + url_ + path + " is not JSON");
    return parsed;
}

Client client_as(Target target, const std::string& user, const std::string& password_file) {
    if (user.empty()) return Client(target);
    std::ifstream file(password_file);
    std::string password;
    if (!std::getline(file, password))
        throw Error(ErrorCode::invalid, "the password file cannot be read");
    Target nobody = target;
    nobody.token = "none";
    target.token = Client(nobody)
                       .post("/auth/token/cli", {{"username", user}, {"password", password}})
                       .at("access_token")
                       .get<std::string>();
    return Client(target);
}

}  // namespace sluice::cli
