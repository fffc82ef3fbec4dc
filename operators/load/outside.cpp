#include "operators/load/outside.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "base/hash.hpp"
#include "operators/engine/failure.hpp"
#include "operators/engine/sql.hpp"
#include "operators/extract/source.hpp"
#include "operators/extract/target_check.hpp"
#include "operators/extract/written_file.hpp"
#include "operators/lake/slice.hpp"
#include "operators/lake/summary.hpp"
#include "operators/load/inputs.hpp"
#include "operators/load/plan.hpp"
#include "operators/load/stage.hpp"
#include "operators/load/verify.hpp"
#include "operators/policy/policy.hpp"
#include "task/job.hpp"
#include "task/problem.hpp"

namespace sluice::load {

namespace {

using Json = nlohmann::json;

/// "shop, orders": what messages call it.
std::string object_of(const Json& to, const extract::DataSource& target) {
    for (const std::string& key : target.writes)
        if (to.contains(key)) return to[key].get<std::string>();
    return {};
}

/// The name in the ledger: no data set has a colon.
std::string ledger_name(const Json& to, const extract::DataSource& target) {
    return to.at("conn_id").get<std::string>() + ":" + object_of(to, target);
}

std::vector<std::string> classes_allowed(const Dag& dag) {
    const auto text = dag.files.find(dag.policy);
    if (text == dag.files.end()) return {};
    const auto policy = policy::read(text->second, dag.policy);
    return policy.value ? policy.value->allowed("warehouse") : std::vector<std::string>{};
}

void check_classes(task::CheckResult& result, const Dag& dag, const DatasetSpec& source) {
    const auto allowed = classes_allowed(dag);
    for (const ColumnSpec& column : source.columns) {
        if (column.pii_class.empty()) continue;
        if (std::ranges::find(allowed, column.pii_class) != allowed.end()) continue;
        task::problem(
            result,
            "E-PII",
            "/from",
            "the load would hand out " + source.name + "." + column.name + " (" + column.pii_class +
                ")"
        );
    }
}

extract::Stored write(
    task::TaskContext& context,
    engine::Database& database,
    const task::Connection& connection,
    const extract::DataSource& target,
    const extract::WriteRequest& request
) {
    try {
        return target.write(context, database, request);
    } catch (const engine::Failure& failure) {
        const std::string what = failure.what();
        if (what.find('"' + connection.id + '"') != std::string::npos) throw;
        throw engine::Failure(
            failure.error_class(),
            "connection \"" + connection.id + "\", " + object_of(request.to, target) + ": " + what
        );
    }
}

/// As far as its name or `format` says it before a run.
bool is_json_file(const Json& to) {
    if (!to.contains("path")) return false;
    try {
        return !extract::reads_back(extract::form_of(to));
    } catch (const Error&) {
        return false;
    }
}

}  // namespace

bool is_outside(const Json& params) { return params.at("to").is_object(); }

task::CheckResult check_outside(const task::CheckInput& input) {
    task::CheckResult result;
    const Json& params = input.params;
    for (const char* key :
         {"updated_at",
          "type1",
          "first_valid_from",
          "history",
          "deletes",
          "on_delete",
          "dimensions",
          "event_time",
          "max_rejects",
          "analyze"})
        if (params.contains(key))
            task::problem(
                result,
                "E-LOAD-TARGET",
                std::string("/") + key,
                std::string("\"") + key +
                    "\" is for a table of a schema (\"to\": \"schema.table\"), which PostgreSQL "
                    "keeps"
            );
    const Json& to = params.at("to");
    const bool mapped = input.task.mapping != no_map;
    std::string mode = params.value("mode", "");
    if (mode.empty() && params.contains("key") && to.contains("table")) mode = "merge";
    extract::check_target(result, to, mode, mapped);
    if (mode == "merge" && !params.contains("key"))
        task::problem(result, "E-LOAD-KEY", "/key", "this mode needs a key");
    if (params.value("verify", "counts") == "hash" && is_json_file(to))
        task::problem(result, "E-LOAD-TARGET", "/verify", std::string(extract::no_hash_of_json));
    if (!result.problems.empty()) return result;
    const Plan plan = plan_of(params, nullptr);
    if (!plan.from) return result;
    result.reads.push_back(plan.from->dataset);
    const DatasetSpec* source = input.dataset(plan.from->dataset);
    if (source == nullptr) return result;
    check_classes(result, input.dag, *source);
    if (plan.verify_hash && !to.contains("path")) check_hashable(result, *source);
    return result;
}

Outcome run_outside(task::TaskContext& context, const Json& params) {
    const Json& to = params.at("to");
    const task::Connection connection = context.connection(to.at("conn_id").get<std::string>());
    std::string mode = params.value("mode", "");
    if (mode.empty() && params.contains("key") && to.contains("table")) mode = "merge";
    const extract::DataSource& target = extract::target_of(connection, to, mode);
    Plan plan = plan_of(params, nullptr);
    plan.to = ledger_name(to, target);

    lake::Summary summary;
    const auto database = engine::open_database(context);
    const lake::Source source = read_source(context, *database, plan);
    extract::WriteRequest request;
    request.to = to;
    request.mode = mode.empty() ? target.modes.front() : mode;
    request.key = plan.key;
    request.columns = source_columns(plan, source.columns);
    check_key(*database, plan, source);
    std::vector<std::string> names;
    for (const engine::ColumnInfo& column : request.columns) names.push_back(column.name);
    request.query = "select " + engine::quoted_list(names) + " from " + source.relation;
    request.rows = source.rows;
    if (plan.verify_hash) {
        if (!to.contains("path")) check_hashable(request.columns);
        request.content_hash =
            extract::content_of_query(*database, request.query, request.columns).hash;
    }
    // A file has a name of its own: whoever writes it writes it whole.
    const bool file = to.contains("path");
    const lake::TableSlice slice(context, request.mode == "replace");
    const std::string slice_name = file ? "" : slice.name();
    request.slice = &slice;
    const auto& info = context.info();
    request.at =
        info.data_interval ? info.data_interval->end : info.logical_date.value_or(Instant{});
    request.verify = plan.verify;
    request.claim = [&](std::int64_t at_least) {
        return context.claim_output(plan.to, "", slice_name, at_least).generation;
    };
    if (context.info().test_mode) {
        // A trial must leave nothing behind, and other people's systems have no room for trials.
        context.warn(
            "a trial writes nothing to " + target.name + ": " + std::to_string(source.rows) +
            " rows would go to " + plan.to
        );
        summary.rows_in = source.rows;
        summary.rows_out = 0;
        return lake::finish(context, summary);
    }
    const extract::Stored stored = write(context, *database, connection, target, request);

    OutputCommit output;
    output.dataset = plan.to;
    output.slice = slice_name;
    output.generation = stored.generation;
    output.rows = stored.rows;
    output.bytes = std::max<std::int64_t>(stored.bytes, 0);
    output.files = "[]";
    output.input = lake::inputs_json(source.slices);
    output.code_hash = sha256_hex(params.dump());
    context.commit_output(output);
    summary.rows_in = source.rows;
    summary.rows_out = stored.rows;
    summary.bytes = stored.bytes;
    return lake::finish(context, summary);
}

}  // namespace sluice::load
