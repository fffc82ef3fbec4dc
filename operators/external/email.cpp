#include <algorithm>
#include <cctype>
#include <ctime>
#include <memory>

#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/hash.hpp"
#include "operators/connect/base64.hpp"
#include "operators/connect/curl.hpp"
#include "operators/external/external.hpp"
#include "task/operator.hpp"

namespace sluice::ops {

using connect::Easy;
using connect::List;
using connect::new_easy;
using connect::new_multi;
using connect::start_curl;

namespace {

using Json = nlohmann::json;

constexpr const char* email_schema = R"json({
  "type": "object",
  "properties": {
    "to": {"type": ["string", "array"], "minLength": 3, "minItems": 1, "items": {"type": "string", "minLength": 3}, "description": "Addresses: `a@example.com` or `Ada <a@example.com>`."},
    "subject": {"type": "string", "description": "One line."},
    "html_content": {"type": "string", "description": "The message as HTML."},
    "text": {"type": "string", "description": "The message as plain text; with `html_content` the reader chooses."},
    "cc": {"type": ["string", "array"], "items": {"type": "string", "minLength": 3}, "description": "Addresses that get a copy."},
    "bcc": {"type": ["string", "array"], "items": {"type": "string", "minLength": 3}, "description": "Addresses that get a copy and are not named."},
    "from": {"type": "string", "minLength": 3, "description": "The sender; default is `from` in the connection's extra, else its login."},
    "files": {"type": ["string", "array"], "x-file": true, "items": {"type": "string", "x-file": true}, "description": "Files of the DAG to attach."},
    "conn_id": {"type": "string", "minLength": 1, "default": "smtp", "description": "An smtp connection; `tls` in its extra is starttls, implicit or none."},
    "message_id": {"type": "string", "pattern": "^[A-Za-z0-9._-]+$", "description": "First half of the Message-ID; by default the same for every attempt of this task instance."}
  },
  "required": ["to", "subject"],
  "anyOf": [{"required": ["html_content"]}, {"required": ["text"]}],
  "additionalProperties": false
})json";

struct MimeDelete {
    void operator()(curl_mime* mime) const { curl_mime_free(mime); }
};
using Mime = std::unique_ptr<curl_mime, MimeDelete>;

std::vector<std::string> texts_of(const Json& params, const char* key) {
    const auto found = params.find(key);
    if (found == params.end() || found->is_null()) return {};
    if (found->is_string()) return {found->get<std::string>()};
    return found->get<std::vector<std::string>>();
}

void refuse_breaks(const std::string& text, const char* what) {
    if (text.find_first_of("\r\n") == std::string::npos) return;
    throw Error(ErrorCode::invalid, std::string(what) + " has a line break in it");
}

/// "<a@example.com>" of "Ada <a@example.com>" or "a@example.com".
std::string mailbox(const std::string& address) {
    refuse_breaks(address, "an address");
    const auto open = address.rfind('<');
    const auto close = address.rfind('>');
    if (open == std::string::npos || close == std::string::npos || close < open)
        return '<' + address + '>';
    return address.substr(open, close - open + 1);
}

/// A header's value in RFC 2047 words if it is not ASCII; each word takes at most 45 bytes, and no
/// character is cut in two.
std::string encoded(const std::string& text) {
    const bool plain = std::ranges::all_of(text, [](unsigned char c) { return c < 128; });
    if (plain) return text;
    std::string out;
    std::size_t at = 0;
    while (at < text.size()) {
        std::size_t end = std::min(at + 45, text.size());
        while (end < text.size() && end > at + 1 &&
               (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U)
            --end;
        out += (out.empty() ? "=?utf-8?B?" : "\r\n =?utf-8?B?") +
               connect::base64(text.substr(at, end - at)) + "?=";
        at = end;
    }
    return out;
}

std::string joined(const std::vector<std::string>& texts) {
    std::string out;
    for (const std::string& text : texts) {
        refuse_breaks(text, "an address");
        // The name before the mailbox may have any letters, the mailbox is ASCII.
        const auto open = text.rfind('<');
        std::string name = open == std::string::npos ? "" : text.substr(0, open);
        while (name.ends_with(' ')) name.pop_back();
        const std::string shown = name.empty() ? text : encoded(name) + ' ' + text.substr(open);
        out += (out.empty() ? "" : ", ") + shown;
    }
    return out;
}

std::string message_id(const task::TaskInfo& info, const Json& params, const std::string& from) {
    std::string name = params.value("message_id", "");
    if (name.empty()) {
        std::string text;
        for (const std::string& part :
             {info.dag_id, info.run_id, info.task_id, std::to_string(info.map_index)})
            text += std::to_string(part.size()) + ':' + part;
        name = sha256_hex(text).substr(0, 32);
    }
    const std::string box = mailbox(from);
    const auto at = box.find('@');
    const std::string host =
        at == std::string::npos ? "sluice" : box.substr(at + 1, box.size() - at - 2);
    return '<' + name + '@' + host + '>';
}

std::string date_now() {
    const std::time_t now = std::time(nullptr);
    std::tm parts{};
    gmtime_r(&now, &parts);
    char text[64];
    return {text, std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S +0000", &parts)};
}

struct Letter {
    std::string from;
    std::vector<std::string> to;
    std::vector<std::string> cc;
    std::vector<std::string> bcc;
};

List header_list(task::TaskContext& ctx, const Json& params, const Letter& letter) {
    const std::string subject = params.at("subject");
    refuse_breaks(subject, "the subject");
    List headers;
    append(headers, "Date: " + date_now());
    append(headers, "From: " + joined({letter.from}));
    append(headers, "To: " + joined(letter.to));
    if (!letter.cc.empty()) append(headers, "Cc: " + joined(letter.cc));
    append(headers, "Subject: " + encoded(subject));
    append(headers, "Message-ID: " + message_id(ctx.info(), params, letter.from));
    return headers;
}

void add_text(curl_mime* mime, const std::string& text, const char* type) {
    curl_mimepart* part = curl_mime_addpart(mime);
    curl_mime_data(part, text.data(), text.size());
    curl_mime_type(part, type);
    curl_mime_encoder(part, "quoted-printable");
}

Mime make_mime(task::TaskContext& ctx, const Easy& easy, const Json& params) {
    Mime mime(curl_mime_init(easy.get()));
    curl_mime* alternatives = curl_mime_init(easy.get());
    if (params.contains("text"))
        add_text(alternatives, params.at("text"), "text/plain; charset=utf-8");
    if (params.contains("html_content"))
        add_text(alternatives, params.at("html_content"), "text/html; charset=utf-8");
    curl_mimepart* body = curl_mime_addpart(mime.get());
    curl_mime_subparts(body, alternatives);
    curl_mime_type(body, "multipart/alternative");
    List inline_headers;
    append(inline_headers, "Content-Disposition: inline");
    curl_mime_headers(body, inline_headers.release(), 1);
    for (const std::string& path : texts_of(params, "files")) {
        const std::string& content = ctx.file(path);
        curl_mimepart* part = curl_mime_addpart(mime.get());
        curl_mime_data(part, content.data(), content.size());
        curl_mime_filename(part, path.substr(path.rfind('/') + 1).c_str());
        curl_mime_encoder(part, "base64");
    }
    return mime;
}

/// Where the server is and how it is spoken to.
void set_server(const Easy& easy, const task::Connection& connection, const Json& extra) {
    const std::string tls = extra.value(
        "tls",
        connection.port == 465     ? "implicit"
        : connection.login.empty() ? "try"
                                   : "starttls"
    );
    std::string url = (tls == "implicit" ? "smtps://" : "smtp://") + connection.host;
    if (connection.port != 0) url += ':' + std::to_string(connection.port);
    set(easy, CURLOPT_URL, url.c_str());
    set(easy, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    if (tls == "starttls") set(easy, CURLOPT_USE_SSL, static_cast<long>(CURLUSESSL_ALL));
    if (tls == "try") set(easy, CURLOPT_USE_SSL, static_cast<long>(CURLUSESSL_TRY));
    const std::string ca_file = extra.value("ca_file", "");
    if (!ca_file.empty()) set(easy, CURLOPT_CAINFO, ca_file.c_str());
    if (connection.login.empty()) return;
    set(easy, CURLOPT_USERNAME, connection.login.c_str());
    set(easy, CURLOPT_PASSWORD, connection.password.reveal().c_str());
}

Outcome ended(task::TaskContext& ctx, const Easy& easy, CURLcode code, const char* message) {
    if (code == CURLE_OK) return task::success();
    if (ctx.cancelled()) return task::fail(ErrorClass::permanent, "cancelled");
    long status = 0;
    curl_easy_getinfo(easy.get(), CURLINFO_RESPONSE_CODE, &status);
    std::string why = *message != '\0' ? message : curl_easy_strerror(code);
    if (status != 0) why += " (reply " + std::to_string(status) + ')';
    if (code == CURLE_LOGIN_DENIED || code == CURLE_PEER_FAILED_VERIFICATION)
        return task::fail(ErrorClass::auth, why);
    // A reply of 5xx is the server's last word.
    const bool final_word = status >= 500 || code == CURLE_URL_MALFORMAT;
    return task::fail(final_word ? ErrorClass::permanent : ErrorClass::transient, why);
}

Outcome send(task::TaskContext& ctx, const Json& params) {
    start_curl();
    const auto connection = ctx.connection(params.value("conn_id", "smtp"));
    const Json parsed = Json::parse(connection.extra, nullptr, false);
    const Json extra = parsed.is_object() ? parsed : Json::object();
    Letter letter{
        .from = params.value("from", extra.value("from", connection.login)),
        .to = texts_of(params, "to"),
        .cc = texts_of(params, "cc"),
        .bcc = texts_of(params, "bcc"),
    };
    if (letter.from.empty())
        return task::fail(
            ErrorClass::permanent,
            "no sender: write `from`, or put it into the extra of connection \"" + connection.id +
                '"'
        );
    const Easy easy = new_easy();
    char message[CURL_ERROR_SIZE] = "";
    set(easy, CURLOPT_ERRORBUFFER, message);
    set(easy, CURLOPT_NOSIGNAL, 1L);
    set(easy, CURLOPT_CONNECTTIMEOUT, 10L);
    set(easy, CURLOPT_TIMEOUT, 300L);
    set_server(easy, connection, extra);
    const std::string sender = mailbox(letter.from);
    set(easy, CURLOPT_MAIL_FROM, sender.c_str());
    List recipients;
    for (const auto* list : {&letter.to, &letter.cc, &letter.bcc})
        for (const std::string& address : *list) append(recipients, mailbox(address));
    set(easy, CURLOPT_MAIL_RCPT, recipients.get());
    const List headers = header_list(ctx, params, letter);
    set(easy, CURLOPT_HTTPHEADER, headers.get());
    const Mime mime = make_mime(ctx, easy, params);
    set(easy, CURLOPT_MIMEPOST, mime.get());
    const Outcome outcome = ended(ctx, easy, perform(ctx, new_multi(ctx), easy), message);
    if (outcome.kind == OutcomeKind::success)
        ctx.info("sent to " + joined(letter.to) + " by " + connection.host);
    return outcome;
}

}  // namespace

task::Operator email_operator() {
    return {
        .name = "email",
        .summary = "Sends an e-mail through an SMTP server.",
        .schema = email_schema,
        .traits = {},
        .check = {},
        .run = send,
    };
}

}  // namespace sluice::ops
