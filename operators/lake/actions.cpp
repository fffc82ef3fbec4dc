#include "operators/lake/actions.hpp"

#include <algorithm>
#include <map>
#include <optional>

#include <nlohmann/json.hpp>

#include "operators/engine/database.hpp"
#include "operators/engine/failure.hpp"
#include "operators/lake/deletion.hpp"
#include "operators/lake/generation_file.hpp"
#include "operators/lake/rewrite.hpp"

namespace sluice::lake {

using nlohmann::json;

namespace {

void say_progress(const Task& task, std::size_t done) {
    if (!task.datasets.empty())
        task.context.progress(
            static_cast<double>(done) / static_cast<double>(task.datasets.size()),
            task.datasets[std::min(done, task.datasets.size() - 1)]
        );
}

std::vector<Generation> would_delete(const Task& task, const std::vector<Deletion>& deletions) {
    std::vector<Generation> out;
    for (const Deletion& deletion : deletions) {
        task.context.info("would delete " + told(deletion.generation) + ": " + deletion.reason);
        out.push_back(deletion.generation);
    }
    return out;
}

/// Folders that no row tells of: a crash between a folder's making and its row's end left them.
std::int64_t remove_unknown(
    const Task& task,
    const std::string& dataset,
    const std::vector<Generation>& generations,
    Duration grace
) {
    std::set<std::string> known;
    for (const Generation& one : generations) known.insert(one.folder);
    const auto folders = task.storage.unknown_folders(dataset, known, task.lake.now - grace);
    for (const std::string& folder : folders) {
        task.context.info(
            (task.dry_run ? "would remove " : "removed ") + folder + ": the ledger does not know it"
        );
        if (!task.dry_run) task.storage.remove_folder(folder);
    }
    return static_cast<std::int64_t>(folders.size());
}

/// Slices that an attempt writes now.
bool is_written(const std::vector<Generation>& generations, const Generation& live) {
    return std::ranges::any_of(generations, [&](const Generation& one) {
        return one.partition == live.partition && one.slice == live.slice &&
               one.state == "writing" && !one.over;
    });
}

}  // namespace

json retain(const Task& task, const Retention& retention) {
    json by_reason = json::object();
    std::int64_t rows = 0;
    std::int64_t bytes = 0;
    std::int64_t count = 0;
    std::int64_t files = 0;
    std::int64_t unknown = 0;
    for (std::size_t i = 0; i < task.datasets.size(); ++i) {
        say_progress(task, i);
        const std::string& dataset = task.datasets[i];
        const auto generations = Ledger(task.context).generations(dataset);
        const auto deletions = outlived(generations, retention, task.lake.as_of, task.lake.now);
        const auto gone =
            task.dry_run ? would_delete(task, deletions) : delete_all(task, deletions);
        for (const Generation& one : gone) {
            rows += one.rows;
            bytes += one.bytes;
            files += static_cast<std::int64_t>(one.files.size());
            ++count;
        }
        for (const Deletion& deletion : deletions)
            by_reason[deletion.reason] = by_reason.value(deletion.reason, 0) + 1;
        unknown += remove_unknown(task, dataset, generations, retention.grace);
    }
    return {
        {"generations_deleted", count},
        {"files", files},
        {"rows_deleted", rows},
        {"bytes_deleted", bytes},
        {"unknown_folders", unknown},
        {"reasons", std::move(by_reason)}
    };
}

json compact(const Task& task) {
    const auto database = engine::open_database(task.context);
    std::int64_t slices = 0;
    std::int64_t files = 0;
    for (std::size_t i = 0; i < task.datasets.size(); ++i) {
        say_progress(task, i);
        const auto generations = Ledger(task.context).generations(task.datasets[i]);
        for (const Generation& one : generations) {
            if (one.state != "committed" || one.files.size() < 2) continue;
            if (is_written(generations, one)) {
                task.context.warn(told(one) + " is being written anew: left as it is");
                continue;
            }
            ++slices;
            files += static_cast<std::int64_t>(one.files.size());
            const std::string text = told(one) + ", " + std::to_string(one.files.size()) + " files";
            task.context.info((task.dry_run ? "would compact " : "compacts ") + text);
            if (task.dry_run) continue;
            const OpenFiles opened(task.storage, one.files);
            rewrite(task.context, task.storage, *database, one, opened.relation(), "", "");
        }
    }
    return {{"slices_compacted", slices}, {"files_before", files}};
}

namespace {

/// What is wrong with a live slice; "" = nothing.
std::string fault_of(const Task& task, engine::Database& database, const Generation& one) {
    std::optional<OpenFiles> opened;
    try {
        std::int64_t bytes = 0;
        for (const std::string& file : one.files) bytes += task.storage.bytes(file);
        if (bytes != one.bytes)
            return std::to_string(bytes) + " bytes, the ledger has " + std::to_string(one.bytes);
        opened.emplace(task.storage, one.files);
    } catch (const engine::Failure& failure) {
        // A store that cannot be asked now says nothing about the slice.
        const ErrorClass kind = failure.error_class();
        if (kind == ErrorClass::permanent || kind == ErrorClass::data_quality)
            return failure.what();
        throw;
    }
    try {
        const std::string relation = opened->relation();
        const Content content = content_of(database, relation);
        if (content.rows != one.rows)
            return std::to_string(content.rows) + " rows, the ledger has " +
                   std::to_string(one.rows);
        if (content.hash != one.content_hash) return "the rows are not those that were written";
        // Every column is decoded.
        database.query("select count(columns(*)) from " + relation);
    } catch (const Error& error) {
        return error.what();
    }
    return "";
}

}  // namespace

json verify(const Task& task) {
    const auto database = engine::open_database(task.context);
    std::int64_t slices = 0;
    std::int64_t rows = 0;
    std::int64_t unknown = 0;
    std::vector<std::string> faults;
    for (std::size_t i = 0; i < task.datasets.size(); ++i) {
        say_progress(task, i);
        const auto generations = Ledger(task.context).generations(task.datasets[i]);
        std::set<std::string> known;
        for (const Generation& one : generations) {
            known.insert(one.folder);
            if (one.state != "committed") continue;
            ++slices;
            rows += one.rows;
            const std::string fault = fault_of(task, *database, one);
            if (fault.empty()) continue;
            faults.push_back(told(one) + ": " + fault);
            task.context.log(task::Level::error, faults.back());
        }
        for (const std::string& folder :
             task.storage.unknown_folders(task.datasets[i], known, task.lake.now)) {
            ++unknown;
            task.context.warn(folder + ": the ledger does not know it; `retain` removes it");
        }
    }
    if (!faults.empty())
        engine::bad_data(
            std::to_string(faults.size()) + " of " + std::to_string(slices) +
            " slices are not what the ledger says, the first: " + faults.front()
        );
    return {{"slices", slices}, {"rows", rows}, {"unknown_folders", unknown}};
}

namespace {

/// The generation that a rollback asks for: by number, or so many before the live one.
const Generation* wanted(const std::vector<const Generation*>& newest_first, std::int64_t number) {
    if (number > 0) {
        const auto found = std::ranges::find(newest_first, number, &Generation::number);
        return found == newest_first.end() ? nullptr : *found;
    }
    const auto live = std::ranges::find(newest_first, "committed", &Generation::state);
    const std::int64_t steps = -number;
    if (live == newest_first.end() || newest_first.end() - live <= steps) return nullptr;
    return live[steps];
}

}  // namespace

json roll_back(const Task& task, std::int64_t generation) {
    std::int64_t slices = 0;
    for (const std::string& dataset : task.datasets) {
        const std::string partition = task.context.partition(dataset);
        const auto& interval = task.context.info().data_interval;
        std::map<std::string, std::vector<const Generation*>> by_slice;
        const auto generations = Ledger(task.context).generations(dataset);
        for (const Generation& one : generations) {
            if (one.partition != partition) continue;
            if (partition.empty() && interval && one.interval_end != interval->end) continue;
            if (one.state == "committed" || one.state == "superseded")
                by_slice[one.slice].insert(by_slice[one.slice].begin(), &one);
        }
        if (by_slice.empty())
            throw engine::Failure(
                ErrorClass::permanent,
                dataset + ' ' + partition + " has nothing to roll back: nobody wrote it"
            );
        for (const auto& [slice, newest_first] : by_slice) {
            const Generation* to = wanted(newest_first, generation);
            if (to == nullptr)
                throw engine::Failure(
                    ErrorClass::permanent,
                    told(*newest_first.front()) + " is there, but generation " +
                        std::to_string(generation) + " is not, or its files were removed"
                );
            task.context.info((task.dry_run ? "would go back to " : "back to ") + told(*to));
            if (!task.dry_run) Ledger(task.context).roll_back(*to);
            ++slices;
        }
    }
    return {{"slices_rolled_back", slices}};
}

}  // namespace sluice::lake
