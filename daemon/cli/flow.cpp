// sluice runs flow: how rows went through a run. And the bar that `runs wait` shows.
#include "cli/flow.hpp"

#include <cmath>
#include <iostream>

#include <nlohmann/json.hpp>

#include "cli/table.hpp"

namespace sluice::cli {
namespace {

using Json = nlohmann::json;

std::string rounded(double value, const char* unit) {
    char text[64];
    std::snprintf(text, sizeof text, value < 10 ? "%.1f%s" : "%.0f%s", value, unit);
    return text;
}

}  // namespace

std::string short_number(double value) {
    if (std::fabs(value) < 10'000) return std::to_string(static_cast<std::int64_t>(value));
    if (std::fabs(value) < 1e6) return rounded(value / 1e3, "k");
    if (std::fabs(value) < 1e9) return rounded(value / 1e6, "M");
    return rounded(value / 1e9, "G");
}

std::string short_bytes(double value) {
    if (value < 1024) return std::to_string(static_cast<std::int64_t>(value)) + " B";
    if (value < 1024.0 * 1024) return rounded(value / 1024, " KiB");
    if (value < 1024.0 * 1024 * 1024) return rounded(value / (1024.0 * 1024), " MiB");
    return rounded(value / (1024.0 * 1024 * 1024), " GiB");
}

void show_flow(Client& client, const std::string& dag_id, const std::string& run_id) {
    const Json answer =
        client.get("/ui/v1/dags/" + encode(dag_id) + "/runs/" + encode(run_id) + "/flow");
    std::vector<std::vector<std::string>> rows{
        {"task_id",
         "rows in",
         "rows out",
         "quarantined",
         "rejected",
         "deduplicated",
         "masked",
         "bytes",
         "peak memory",
         "seconds",
         "to"}
    };
    for (const auto& task : answer.at("tasks")) {
        const Json& summary = task.at("summary");
        const auto whole = [&](const char* key) {
            const auto found = summary.find(key);
            return found == summary.end()
                       ? std::string()
                       : std::to_string(static_cast<std::int64_t>(found->get<double>()));
        };
        const auto size = [&](const char* key) {
            const auto found = summary.find(key);
            return found == summary.end() ? std::string() : short_bytes(found->get<double>());
        };
        std::string to;
        for (const auto& dataset : task.at("writes"))
            to += (to.empty() ? "" : ", ") + dataset.at(0).get<std::string>();
        rows.push_back(
            {text_of(task, "t"),
             whole("rows_in"),
             whole("rows_out"),
             whole("rows_quarantined"),
             whole("rows_rejected"),
             whole("rows_deduplicated"),
             whole("rows_masked"),
             size("bytes"),
             size("peak_memory_bytes"),
             text_of(summary, "seconds"),
             to}
        );
    }
    std::cout << table(rows);
}

std::string progress_line(const Json& progress) {
    constexpr int width = 24;
    const double share = progress.at("fraction").get<double>();
    const int full = static_cast<int>(share * width);
    std::string line = text_of(progress, "t");
    if (const int index = progress.at("m").get<int>(); index >= 0)
        line += '[' + std::to_string(index) + ']';
    line += " [";
    for (int i = 0; i < width; ++i) line += i < full ? '#' : '.';
    line += "] ";
    line += share > 0 ? std::to_string(static_cast<int>(share * 100)) + "%" : "?";
    line += ' ' + text_of(progress, "what");
    if (!progress.at("rows").is_null())
        line += ", " + short_number(progress.at("rows").get<double>()) + " rows";
    if (const double rate = progress.at("rows_per_second").get<double>(); rate > 0)
        line += " (" + short_number(rate) + "/s)";
    if (!progress.at("bytes").is_null())
        line += ", " + short_bytes(progress.at("bytes").get<double>());
    return line;
}

}  // namespace sluice::cli
