#include "operators/load/plan.hpp"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "operators/expression/expression.hpp"
#include "operators/lake/slice.hpp"

namespace sluice::load {

namespace {

using Json = nlohmann::json;

std::vector<std::string> names_of(const Json& params, const char* key) {
    if (!params.contains(key)) return {};
    if (params[key].is_string()) return {params[key].get<std::string>()};
    return params[key].get<std::vector<std::string>>();
}

Lookup lookup_of(const Json& written) {
    Lookup lookup;
    if (written.is_string()) {
        lookup.dimension = written.get<std::string>();
        return lookup;
    }
    lookup.dimension = written.at("dimension").get<std::string>();
    if (written.contains("using")) {
        if (written["using"].is_object()) {
            for (const auto& [dimension_column, fact_column] : written["using"].items()) {
                lookup.using_.emplace_back(dimension_column, fact_column.get<std::string>());
            }
        } else {
            for (const std::string& name : names_of(written, "using")) {
                lookup.using_.emplace_back(name, name);
            }
        }
    }
    lookup.role = written.value("role", "");
    lookup.at = written.value("at", "");
    if (written.contains("missing")) {
        const std::string missing = written["missing"].get<std::string>();
        lookup.missing = Missing::infer;
        if (missing == "unknown") lookup.missing = Missing::unknown;
        if (missing == "fail") lookup.missing = Missing::fail;
    }
    return lookup;
}

Mode mode_of(const Json& params, bool has_key) {
    const std::string written = params.value("mode", "");
    if (written == "merge") return Mode::merge;
    if (written == "append") return Mode::append;
    if (written == "replace") return Mode::replace;
    if (written == "scd2") return Mode::scd2;
    if (params.at("from").is_object() && params["from"].contains("date_spine")) {
        return Mode::replace;
    }
    return has_key ? Mode::merge : Mode::append;
}

std::string condition_of(const Json& where, const std::string& key) {
    auto parsed = expression::parse(expression::source_of(where));
    if (!parsed.value) {
        throw Error(ErrorCode::invalid, key + ": " + parsed.problems.at(0).message);
    }
    return parsed.value->sql(engine::Dialect::duckdb);
}

/// "month(ordered_at)", as the loader writes it.
std::optional<Ranges> ranges_of(const DatasetSpec& dataset) {
    const std::size_t open = dataset.partition_by.find('(');
    if (open == std::string::npos) return std::nullopt;
    return Ranges{
        dataset.partition_by.substr(0, open),
        dataset.partition_by.substr(open + 1, dataset.partition_by.size() - open - 2)
    };
}

std::string last_part(const std::string& name) { return name.substr(name.find('.') + 1); }

}  // namespace

std::string sk_name(const std::string& dimension) {
    std::string name = last_part(dimension);
    if (name.substr(0, 4) == "dim_") name.erase(0, 4);
    return name + "_sk";
}

std::string Lookup::sk_column() const { return role.empty() ? sk_name(dimension) : role + "_sk"; }

bool Plan::observed() const {
    if (mode == Mode::scd2) return true;
    return mode == Mode::merge && event_time.empty() && lookups.empty();
}

Plan plan_of(const Json& params, const DatasetSpec* dataset) {
    Plan plan;
    if (params.at("to").is_string()) plan.to = params.at("to").get<std::string>();
    const Json& from = params.at("from");
    if (from.is_object() && from.contains("date_spine")) {
        const Json& spine = from["date_spine"];
        plan.spine = DateSpine{
            spine.at("start").get<std::string>(),
            spine.at("end").get<std::string>(),
            spine.value("fiscal_year_start", 1)
        };
    } else {
        plan.from = lake::query_of(from);
        if (from.is_object() && from.contains("where"))
            plan.where = condition_of(from["where"], "from.where");
    }
    plan.key = names_of(params, "key");
    if (plan.key.empty() && dataset != nullptr) plan.key = dataset->key;
    plan.mode = mode_of(params, !plan.key.empty());
    if (plan.spine) plan.key = {"date_sk"};
    plan.updated_at = params.value("updated_at", "");
    plan.type1 = names_of(params, "type1");
    plan.first_observed = params.value("first_valid_from", "beginning") == "observed";
    if (params.contains("deletes")) {
        const Json& deletes = params["deletes"];
        if (deletes == "absent") plan.deletes = Deletes::absent;
        if (deletes.is_object()) {
            plan.deletes = Deletes::where;
            plan.deletes_where = condition_of(deletes.at("where"), "deletes");
        }
    }
    plan.flag_deletes = params.value("on_delete", "delete") == "flag";
    if (params.contains("dimensions")) {
        for (const Json& entry : params["dimensions"]) plan.lookups.push_back(lookup_of(entry));
    }
    plan.event_time = params.value("event_time", "");
    const std::string verify = params.value("verify", "counts");
    plan.verify = verify != "none";
    plan.verify_hash = verify == "hash";
    plan.analyze = params.value("analyze", true);
    if (params.contains("max_rejects")) {
        const auto limit = lake::limit_of(params["max_rejects"]);
        if (!limit) throw Error(ErrorCode::invalid, "max_rejects: at most 100%");
        if (limit->rows > 0 || (limit->rows < 0 && limit->share > 0)) plan.max_rejects = limit;
    }
    plan.has_sk = plan.mode == Mode::scd2 || last_part(plan.to).substr(0, 4) == "dim_";
    if (dataset != nullptr) {
        plan.ranges = ranges_of(*dataset);
        plan.has_sk = plan.has_sk ||
                      std::any_of(
                          dataset->columns.begin(),
                          dataset->columns.end(),
                          [&](const ColumnSpec& column) { return column.name == sk_name(plan.to); }
                      );
    }
    return plan;
}

}  // namespace sluice::load
