#include "operators/load/load.hpp"

#include <nlohmann/json.hpp>

#include "base/fault.hpp"
#include "base/hash.hpp"
#include "operators/engine/failure.hpp"
#include "operators/engine/sql.hpp"
#include "operators/lake/summary.hpp"
#include "operators/load/check.hpp"
#include "operators/load/inputs.hpp"
#include "operators/load/outside.hpp"
#include "operators/load/rejects.hpp"
#include "operators/load/statistics.hpp"
#include "operators/load/target.hpp"
#include "operators/load/verify.hpp"
#include "task/job.hpp"

namespace sluice::ops {

namespace {

using Json = nlohmann::json;
using namespace sluice::load;

/// Part of the code hash: raise it when the same parameters begin to mean other rows.
constexpr const char* code_version = "load/2";

const DatasetSpec* find_dataset(const task::TaskContext& context, const std::string& name) {
    try {
        return &context.dataset(name);
    } catch (const Error&) {
        return nullptr;
    }
}

void make_indexes(Warehouse& warehouse, const DatasetSpec* dataset) {
    if (dataset == nullptr) return;
    for (const auto& columns : dataset->indexes) {
        std::string name = dataset->name + "." + std::to_string(columns.size());
        for (const std::string& column : columns) name += "." + column;
        warehouse.sql().execute(
            "create index if not exists " +
            engine::quote("sluice_" + sha256_hex(name).substr(0, 16)) + " on " + warehouse.table() +
            " (" + engine::quoted_list(columns) + ")"
        );
    }
}

struct Applied {
    std::int64_t rows{};
    std::int64_t rejected{};
    bool analyze{false};  // the target's statistics are old
};

/// The one transaction in which everything changes.
Applied apply(
    task::TaskContext& context,
    Warehouse& warehouse,
    const Plan& plan,
    Stage& stage,
    LedgerEntry& entry
) {
    connect::Transaction transaction(warehouse.sql());
    std::vector<std::string> exclusive{plan.to};
    std::vector<std::string> shared;
    for (const Lookup& lookup : plan.lookups) {
        // Inferred members are written to the dimension.
        const bool writes = lookup.missing.value_or(Missing::infer) == Missing::infer;
        (writes ? exclusive : shared).push_back(lookup.dimension);
    }
    warehouse.lock(exclusive, shared);
    warehouse.confirm();
    warehouse.find_gone(false);
    const bool facts = !plan.observed() && plan.mode != Mode::replace;
    const auto dimensions = facts ? dimensions_of(warehouse, plan) : std::vector<Dimension>{};
    Applied done;
    done.rejected = set_aside(context, warehouse, plan, stage, dimensions);
    entry.rows = stage.rows;
    entry.content_hash = stage.content_hash;
    if (plan.observed()) {
        done.rows = load_observed(context, warehouse, plan, stage);
    } else if (plan.mode == Mode::replace) {
        done.rows = load_replace(context, warehouse, plan, stage);
    } else {
        done.rows = load_fact(context, warehouse, plan, stage, dimensions);
    }
    make_indexes(warehouse, find_dataset(context, plan.to));
    if (plan.verify_hash) verify_hash(warehouse, plan, stage, entry);
    fault_point("load_inside_transaction");
    drop_old_rejects(warehouse);
    done.analyze = plan.analyze && analyze_is_due(warehouse.sql(), warehouse.table());
    warehouse.publish(entry);
    transaction.commit();
    fault_point("load_after_commit_before_ack");
    return done;
}

void acknowledge(
    task::TaskContext& context,
    const Warehouse& warehouse,
    const Plan& plan,
    const LedgerEntry& entry
) {
    // The target's ledger has the say; this is its mirror for the dashboard.
    OutputCommit output;
    output.dataset = plan.to;
    output.slice = warehouse.slice();
    output.generation = warehouse.generation();
    output.rows = entry.rows;
    output.content_hash = entry.content_hash;
    output.files = "[]";
    output.input = entry.input;
    output.code_hash = entry.code_hash;
    context.commit_output(output);
}

Outcome run(task::TaskContext& context, const Json& params) {
    const std::string to = params.at("to").get<std::string>();
    const Plan plan = plan_of(params, find_dataset(context, to));
    lake::Summary summary;
    Warehouse warehouse(context, plan);
    const auto database = engine::open_database(context);
    const lake::Source source = read_source(context, *database, plan);
    LedgerEntry entry;
    entry.code_hash = sha256_hex(code_version + params.dump());
    entry.input = lake::inputs_json(source.slices);
    if (context.job().reuse && warehouse.same_as_live(entry)) {
        context.info("unchanged: the same code and inputs made what is there");
        return task::unchanged();
    }
    warehouse.claim();
    Stage stage = fill_stage(context, *database, warehouse, plan, source);
    const Applied done = apply(context, warehouse, plan, stage, entry);
    acknowledge(context, warehouse, plan, entry);
    if (done.analyze) analyze(warehouse.sql(), warehouse.table());
    summary.rows_in = source.rows;
    summary.rows_out = done.rows;
    if (plan.max_rejects) summary.rows_rejected = done.rejected;
    return lake::finish(context, summary);
}

/// What fails names connection and table where it does not say them itself.
Outcome run_named(task::TaskContext& context, const Json& params) {
    const std::string to = params.at("to").get<std::string>();
    try {
        return run(context, params);
    } catch (const engine::Failure& failure) {
        const std::string what = failure.what();
        const auto id = context.schema_connection(to.substr(0, to.find('.')));
        std::string where;
        if (id && what.find('"' + *id + '"') == std::string::npos)
            where = "connection \"" + *id + "\"";
        if (what.find(to) == std::string::npos) where += (where.empty() ? "" : ", ") + to;
        throw engine::Failure(failure.error_class(), where + (where.empty() ? "" : ": ") + what);
    }
}

}  // namespace

task::Operator load_operator() {
    task::Operator op;
    op.name = "load";
    op.summary = "Loads a data set into a table of a warehouse, a table of MySQL or a file.";
    op.schema = load::schema;
    op.traits.isolation = Isolation::process;
    op.traits.idempotent = true;
    op.traits.data = true;
    op.check = load::check;
    op.run = [](task::TaskContext& context, const Json& params) {
        return engine::guarded([&] {
            return is_outside(params) ? run_outside(context, params) : run_named(context, params);
        });
    };
    return op;
}

}  // namespace sluice::ops
