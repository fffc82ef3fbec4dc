#include "operators/lake/summary.hpp"

#include <nlohmann/json.hpp>

#include "task/job.hpp"

namespace sluice::lake {

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
    put("rows_rejected", summary.rows_rejected);
    put("rows_deduplicated", summary.rows_deduplicated);
    put("rows_masked", summary.rows_masked);
    put("files", summary.files);
    put("bytes", summary.bytes);
    const auto spent = std::chrono::duration_cast<std::chrono::milliseconds>(
        std::chrono::steady_clock::now() - summary.started
    );
    counts["seconds"] = static_cast<double>(spent.count()) / 1000;
    context.xcom("return_value", counts);
    context.info(line + " seconds=" + counts["seconds"].dump());
    if (summary.rows_out != 0) return task::success();
    const std::string& on_empty = context.job().on_empty;
    if (on_empty == "warn") context.warn("there were no rows");
    if (on_empty == "skip") return task::skip("there were no rows");
    if (on_empty == "fail") return task::fail(ErrorClass::data_quality, "there were no rows");
    return task::success();
}

}  // namespace sluice::lake
