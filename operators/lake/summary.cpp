#include "operators/lake/summary.hpp"

#include <nlohmann/json.hpp>
#include <sys/resource.h>

#include "task/job.hpp"

namespace sluice::lake {

namespace {

/// Of this process: a data operator has one of its own.
std::int64_t peak_memory() {
    rusage usage{};
    if (::getrusage(RUSAGE_SELF, &usage) != 0) return -1;
    return static_cast<std::int64_t>(usage.ru_maxrss) * 1024;
}

}  // namespace

Outcome finish(task::TaskContext& context, const Summary& summary) {
    nlohmann::json counts = nlohmann::json::object();
    std::string line;
    const auto put = [&](const char* key, std::int64_t value) {
        if (value < 0) return;
        counts[key] = value;
        line += std::string(line.empty() ? "" : " ") + key + "=" + std::to_string(value);
    };
    put("rows_in", summary.rows_in);
    put("rows_out", summary.rows_out);
    put("rows_quarantined", summary.rows_quarantined);
    put("rows_released", summary.rows_released);
    put("rows_rejected", summary.rows_rejected);
    put("rows_deduplicated", summary.rows_deduplicated);
    put("rows_masked", summary.rows_masked);
    put("files", summary.files);
    put("bytes", summary.bytes);
    put("peak_memory_bytes", peak_memory());
    const auto spent = std::chrono::duration_cast<std::chrono::milliseconds>(
        std::chrono::steady_clock::now() - summary.started
    );
    counts["seconds"] = static_cast<double>(spent.count()) / 1000;
    context.xcom("return_value", counts);
    (void)context.ask({{"type", "metrics"}, {"what", "put"}, {"dataset", ""}, {"values", counts}});
    context.info(line + " seconds=" + counts["seconds"].dump());
    if (summary.rows_out != 0) return task::success();
    const std::string& on_empty = context.job().on_empty;
    if (on_empty == "warn") context.warn("there were no rows");
    if (on_empty == "skip") return task::skip("there were no rows");
    if (on_empty == "fail") return task::fail(ErrorClass::data_quality, "there were no rows");
    return task::success();
}

}  // namespace sluice::lake
