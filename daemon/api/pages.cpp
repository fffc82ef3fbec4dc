#include "api/pages.hpp"

#include <array>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "api/web_files.hpp"

namespace sluice::api {
namespace {

using http::Reply;
using http::Request;

std::string_view type_of(std::string_view path) {
    if (path.ends_with(".gz")) path.remove_suffix(3);
    constexpr std::array<std::pair<std::string_view, std::string_view>, 10> types{{
        {".html", "text/html; charset=utf-8"},
        {".js", "text/javascript; charset=utf-8"},
        {".css", "text/css; charset=utf-8"},
        {".svg", "image/svg+xml"},
        {".json", "application/json"},
        {".webmanifest", "application/manifest+json"},
        {".png", "image/png"},
        {".ico", "image/x-icon"},
        {".txt", "text/plain; charset=utf-8"},
        {".map", "application/json"},
    }};
    for (const auto& [ending, type] : types)
        if (path.ends_with(ending)) return type;
    return "application/octet-stream";
}

constexpr const char* no_dashboard = R"(<!doctype html><html lang="en"><meta charset="utf-8">
<title>Sluice</title><p>This Sluice was built without its dashboard.
<p><a href="/status">Status of all DAGs</a> works without it, and so does the
<a href="/openapi.json">REST API</a>.</html>
)";

/// Addresses that Airflow put into e-mails and alerts. "" = not one of them.
std::string old_address(const Request& request) {
    const std::string& path = request.path;
    const auto dag = request.query_value("dag_id").value_or("");
    if (path == "/home") return "/";
    if ((path == "/log" || path == "/graph" || path == "/tree" || path == "/gantt") &&
        !dag.empty()) {
        const auto run = request.query_value("dag_run_id").value_or("");
        const auto task = request.query_value("task_id").value_or("");
        std::string to = "/dags/" + http::percent_encode(dag);
        if (run.empty()) return to + "/grid";
        to += "/runs/" + http::percent_encode(run);
        return path == "/log" && !task.empty() ? to + "/tasks/" + http::percent_encode(task) : to;
    }
    if (path.starts_with("/dags/") && path.ends_with("/grid")) {
        const auto run = request.query_value("dag_run_id").value_or("");
        const auto task = request.query_value("task_id").value_or("");
        if (run.empty()) return "";
        std::string to = path.substr(0, path.size() - 5) + "/runs/" + http::percent_encode(run);
        if (!task.empty()) to += "/tasks/" + http::percent_encode(task);
        return to;
    }
    return "";
}

}  // namespace

void set_page_headers(Reply& reply) {
    reply.set_header(
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; font-src 'self'; manifest-src 'self'; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'self'"
    );
    reply.set_header("X-Content-Type-Options", "nosniff");
    reply.set_header("Referrer-Policy", "same-origin");
    reply.set_header("Cross-Origin-Opener-Policy", "same-origin");
    reply.set_header("Cache-Control", "no-cache");
}

std::optional<std::string> Pages::read(const std::string& path) const {
    if (folder_.empty()) {
        for (const EmbeddedFile& file : web::files())
            if (file.path == path) return std::string(file.content);
        return std::nullopt;
    }
    if (path.find("..") != std::string::npos) return std::nullopt;
    const std::filesystem::path file = folder_ + "/" + path;
    std::error_code error;
    if (!std::filesystem::is_regular_file(file, error)) return std::nullopt;
    std::ifstream in(file, std::ios::binary);
    if (!in) return std::nullopt;
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
}

Reply Pages::page(const Request& request) const {
    if (const std::string to = old_address(request); !to.empty())
        return http::redirect_reply(302, to);
    // Only addresses of the dashboard: a file that is asked for and missing is a 404.
    const auto slash = request.path.rfind('/');
    const std::string_view last = std::string_view(request.path).substr(slash + 1);
    if (slash == 0 && last.find('.') != std::string_view::npos) {
        const auto content = read(std::string(last));
        if (!content) return http::json_reply(404, R"({"detail":"Not Found"})");
        Reply reply{200, std::string(type_of(last)), *content, {}, nullptr};
        reply.set_header("Cache-Control", "no-cache");
        reply.set_header("X-Content-Type-Options", "nosniff");
        return reply;
    }
    Reply reply = http::html_reply(200, read("index.html").value_or(no_dashboard));
    set_page_headers(reply);
    return reply;
}

Reply Pages::file(const Request& request) const {
    const std::string path = "static/" + request.param("file");
    const std::string type(type_of(path));
    Reply reply{200, type, "", {}, nullptr};
    auto packed = http::accepts_gzip(request) ? read(path + ".gz") : std::nullopt;
    if (packed) {
        reply.body = std::move(*packed);
        reply.set_header("Content-Encoding", "gzip");
    } else if (auto plain = read(path)) {
        reply.body = std::move(*plain);
    } else {
        return http::json_reply(404, R"({"detail":"Not Found"})");
    }
    reply.set_header(
        "Cache-Control", folder_.empty() ? "public, max-age=31536000, immutable" : "no-cache"
    );
    reply.set_header("Vary", "Accept-Encoding");
    reply.set_header("X-Content-Type-Options", "nosniff");
    return reply;
}

}  // namespace sluice::api
