#include "operators/mask/gates.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/fields.hpp"
#include "base/json_text.hpp"
#include "base/problem.hpp"
#include "operators/engine/chunk.hpp"
#include "operators/engine/failure.hpp"
#include "operators/engine/sql.hpp"
#include "operators/privacy/scan.hpp"

namespace sluice::mask {

namespace {

using engine::quote;
using nlohmann::json;

constexpr std::int64_t least_rows = 1000;  // fewer say nothing of k
/// Rows looked at for each distinct value wanted.
constexpr std::int64_t rows_per_value = 10;

std::string joined(const std::vector<privacy::Evidence>& found) {
    std::string out;
    for (const privacy::Evidence& one : found)
        out += (out.empty() ? "" : "; ") + privacy::told(one);
    return out;
}

std::optional<double> share_of(const std::string& text) {
    if (text.empty() || text.back() != '%') return std::nullopt;
    char* end = nullptr;
    const double percent = std::strtod(text.c_str(), &end);
    if (*end != '%' || percent < 0 || percent > 100) return std::nullopt;
    return percent / 100;
}

/// What stays readable and nobody has classified.
std::vector<std::string> readable(const Plan& plan) {
    std::vector<std::string> out;
    for (const Output& output : plan.outputs)
        if (!output.masked && output.column.pii_class.empty() && output.column.type != "boolean")
            out.push_back(output.column.name);
    return out;
}

}  // namespace

void look_for_personal_data(
    task::TaskContext& context,
    engine::Database& database,
    const json& params,
    const Plan& plan,
    const binding::Relation& input,
    std::int64_t rows
) {
    const json settings = params.value("detect", json::object());
    if (settings == false) return;
    const std::vector<std::string> columns = readable(plan);
    if (columns.empty() || rows == 0) return;
    const std::int64_t sample = settings.value("sample", std::int64_t{10'000});
    std::string items;
    for (const std::string& column : columns)
        items += (items.empty() ? "" : ", ") + ("cast(" + quote(column) + " as varchar)");
    std::string query = "select " + items + " from (" + input.sql + ")";
    if (rows > sample * rows_per_value)
        query += fmt::format(
            " using sample {:.6f} percent (bernoulli, 42)",
            100.0 * static_cast<double>(sample * rows_per_value) / static_cast<double>(rows)
        );
    privacy::Scan scan(columns, static_cast<std::size_t>(sample));
    database.stream(query, [&](const engine::Chunk& chunk) {
        for (std::size_t i = 0; i < columns.size(); ++i)
            for (std::size_t row = 0; row < chunk.rows(); ++row)
                if (!chunk.column(i).is_null(row)) scan.add(i, chunk.column(i).text(row));
    });
    privacy::Scan::Settings how;
    how.least = settings.value("fail_at", 0.6);
    how.this_year = privacy::year_of(context);
    const auto found = scan.findings(how);
    if (found.empty()) return;
    json evidence = json::array();
    for (const privacy::Evidence& one : found)
        evidence.push_back(
            {{"column", one.column},
             {"class", one.pii_class},
             {"share", one.share},
             {"hint", one.hint},
             {"values", one.values}}
        );
    context.xcom("detected", evidence);
    const json& from = params.at("from");
    engine::bad_data(
        (from.is_string() ? from.get<std::string>() : from.at("dataset").get<std::string>()) +
        " has columns that look like personal data and would stay readable: " + joined(found) +
        " (classify them, give them a rule, or leave the search out with detect: false)"
    );
}

std::optional<KAnonymity> anonymity_of(const json& params, std::vector<Problem>& problems) {
    if (!params.contains("k_anonymity")) return std::nullopt;
    const json& written = params.at("k_anonymity");
    KAnonymity out;
    out.asked.quasi = texts_of(written.at("quasi"));
    out.asked.k = written.at("k").get<std::int64_t>();
    out.asked.sensitive = written.value("sensitive", "");
    out.asked.l = written.value("l", std::int64_t{0});
    out.suppress = written.value("enforce", "fail") == "suppress";
    out.force = written.value("force", false);
    if (out.asked.sensitive.empty() != (out.asked.l == 0))
        problems.push_back(problem("E-MASK-RULE", "/k_anonymity", "sensitive and l go together"));
    const auto most = share_of(written.value("max_suppressed", "5%"));
    if (!most)
        problems.push_back(problem(
            "E-MASK-RULE", "/k_anonymity/max_suppressed", "max_suppressed is a share: \"5%\""
        ));
    out.most = most.value_or(0);
    return out;
}

void check_anonymity(const KAnonymity& gate, const Plan& plan, std::vector<Problem>& problems) {
    std::vector<std::string> names;
    for (const Output& output : plan.outputs) names.push_back(output.column.name);
    std::vector<std::string> wanted = gate.asked.quasi;
    if (!gate.asked.sensitive.empty()) wanted.push_back(gate.asked.sensitive);
    for (const std::string& name : wanted)
        if (std::ranges::find(names, name) == names.end())
            problems.push_back(problem(
                "E-COLUMN",
                "/k_anonymity",
                "the masked result has no column \"" + name + "\"",
                did_you_mean(name, names)
            ));
}

std::string anonymous(
    task::TaskContext& context,
    engine::Database& database,
    const KAnonymity& gate,
    const Plan& plan,
    const std::string& query
) {
    // Masked once, looked at several times.
    database.execute("create or replace temp table masked_ as " + query);
    const privacy::Ask ask = [&](const std::string& sql) {
        privacy::Rows out;
        for (const auto& row : database.query(sql).rows) {
            auto& cells = out.emplace_back();
            for (const engine::Value& cell : row)
                cells.push_back(
                    engine::is_null(cell) ? std::nullopt : std::optional(engine::to_text(cell))
                );
        }
        return out;
    };
    const auto report = privacy::measure(ask, "masked_", gate.asked);
    context.xcom(
        "anonymity",
        {{"rows", report.total},
         {"smallest", report.smallest},
         {"small_classes", report.classes},
         {"rows_in_them", report.rows},
         {"worst", report.worst}}
    );
    if (report.total > 0 && report.total < least_rows && !gate.force)
        engine::bad_data(fmt::format(
            "k_anonymity: {} rows are too few to judge (force: true asks for it)", report.total
        ));
    std::vector<std::string> columns;
    for (const Output& output : plan.outputs) columns.push_back(output.column.name);
    const std::string all = "select " + engine::quoted_list(columns) + " from ";
    if (report.holds()) return all + "masked_";
    if (!gate.suppress) engine::bad_data("k_anonymity: " + report.told(gate.asked));
    if (static_cast<double>(report.rows) > gate.most * static_cast<double>(report.total))
        engine::bad_data(fmt::format(
            "k_anonymity: more than {:.4g}% of the rows would be suppressed: {}",
            gate.most * 100,
            report.told(gate.asked)
        ));
    database.execute(
        "create or replace temp table suppressed_rows_ as " +
        privacy::suppressed_sql("masked_", columns, gate.asked)
    );
    // Suppressed rows count apart; the others must hold now.
    const auto again = privacy::measure(
        ask, "(select * from suppressed_rows_ where not suppressed_) y_", gate.asked
    );
    if (!again.holds()) engine::bad_data("k_anonymity: " + again.told(gate.asked));
    context.warn(fmt::format(
        "k_anonymity: {} of {} rows in {} classes were suppressed",
        report.rows,
        report.total,
        report.classes
    ));
    return all + "suppressed_rows_";
}

}  // namespace sluice::mask
