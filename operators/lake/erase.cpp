// Erasure of a subject: its rows go from every generation, live or replaced.
#include <algorithm>

#include <nlohmann/json.hpp>

#include "operators/engine/database.hpp"
#include "operators/engine/failure.hpp"
#include "operators/engine/sql.hpp"
#include "operators/lake/actions.hpp"
#include "operators/lake/deletion.hpp"
#include "operators/lake/rewrite.hpp"

namespace sluice::lake {

using nlohmann::json;

namespace {

/// SQL that is true for the subject's rows; "" = the relation lacks one of its columns.
std::string match_of(const json& subject, const std::vector<engine::ColumnInfo>& columns) {
    std::string match;
    for (const auto& [name, value] : subject.items()) {
        const bool there = std::ranges::any_of(columns, [&](const engine::ColumnInfo& column) {
            return column.name == name;
        });
        if (!there) return "";
        std::string values;
        for (const json& one : value.is_array() ? value : json::array({value})) {
            const std::string text = one.is_string() ? one.get<std::string>() : one.dump();
            values += (values.empty() ? "" : ", ") + engine::literal(text);
        }
        match +=
            (match.empty() ? "" : " and ") + engine::quote(name) + "::varchar in (" + values + ')';
    }
    return match;
}

struct Counts {
    std::int64_t rows{};
    std::int64_t slices{};
    std::int64_t generations{};
    bool looked{false};  // into a data set: it has the subject's columns
};

/// Generations of one slice, by number.
void erase_slice(
    const Task& task,
    engine::Database& database,
    Slice generations,
    const json& subject,
    Counts& counts
) {
    std::vector<Deletion> old;
    for (const Generation& one : generations) {
        // A crash left its files behind: whom they tell of, nobody looks.
        if (one.state == "deleted") old.push_back({one, "its files were left"});
        if (one.state != "committed" && one.state != "superseded") continue;
        const OpenFiles opened(task.storage, one.files);
        const std::string relation = opened.relation();
        const std::string match = match_of(subject, database.describe("select * from " + relation));
        if (match.empty()) continue;
        counts.looked = true;
        const std::int64_t rows =
            database.integer("select count(*) from " + relation + " where " + match);
        if (rows == 0) continue;
        task.context.info(
            (task.dry_run ? "would erase " : "erases ") + std::to_string(rows) + " rows of " +
            told(one)
        );
        counts.generations += 1;
        if (one.state == "superseded") {
            old.push_back({one, "erased"});
            continue;
        }
        counts.rows += rows;
        counts.slices += 1;
        if (task.dry_run) continue;
        rewrite(
            task.context,
            task.storage,
            database,
            one,
            relation,
            "(" + match + ") is not true",
            "erased"
        );
        old.push_back({one, "erased"});
        old.back().generation.state = "deleted";
    }
    if (task.dry_run || old.empty()) return;
    if (delete_all(task, old).size() != old.size())
        throw engine::Failure(
            ErrorClass::transient,
            told(generations.front()) + " and its like changed while they were erased: try again"
        );
}

}  // namespace

json erase(const Task& task, const json& subject) {
    const auto database = engine::open_database(task.context);
    Counts counts;
    for (const std::string& dataset : task.datasets) {
        const auto generations = Ledger(task.context).generations(dataset);
        counts.looked = false;
        for (const Slice slice : slices_of(generations)) {
            for (const Generation& one : slice)
                if (one.state == "writing" && !one.over && !task.dry_run)
                    throw engine::Failure(
                        ErrorClass::transient,
                        told(one) + " is being written by " + one.writer + ": try again after it"
                    );
            erase_slice(task, *database, slice, subject, counts);
        }
        if (!counts.looked)
            task.context.info(dataset + " has not all columns of the subject: left as it is");
    }
    return {
        {"rows_erased", counts.rows},
        {"slices_rewritten", counts.slices},
        {"generations_erased", counts.generations}
    };
}

}  // namespace sluice::lake
