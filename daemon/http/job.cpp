#include "http/job.hpp"

#include <exception>

#include <spdlog/spdlog.h>

namespace sluice::http {

void make_reply(Job& job, const Later::Make& make) noexcept {
    const std::string& method = job.request.method;
    const std::string& id = job.request.request_id;
    try {
        job.reply = make();
    } catch (const std::exception& error) {
        spdlog::error("request failed id={} {} {}: {}", id, method, job.path, error.what());
        job.reply = json_reply(500, R"({"detail":"Internal Server Error"})");
    }
    if (job.reply.later) return;
    const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(
        std::chrono::steady_clock::now() - job.begin
    );
    spdlog::debug(
        "request id={} {} {} status={} bytes={} us={}",
        id,
        method,
        job.path,
        job.reply.status,
        job.reply.body.size(),
        micros.count()
    );
}

}  // namespace sluice::http
