// rules.hpp — the checks of a validate task, read from its parameters. Plain data.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "base/error.hpp"
#include "base/instant.hpp"
#include "operators/binding/columns.hpp"
#include "operators/engine/sql.hpp"
#include "operators/lake/limit.hpp"

namespace sluice::validate {

enum class Kind : std::uint8_t {
    // of rows
    not_null,
    unique,
    accepted_values,
    range,
    length,
    regex,
    castable,
    foreign_key,
    expr,
    // of tables
    row_count,
    freshness,
    schema,
    compare,
    monotonic,
    no_overlap,
    scd2,
    k_anonymity,
    l_diversity,
    pii_scan,
};
std::string_view name(Kind kind);
bool of_rows(Kind kind);

enum class OnFail : std::uint8_t { quarantine, drop, warn, fail };
std::string_view name(OnFail on_fail);

using lake::Limit;
using lake::limit_of;

/// By how much two numbers may differ: 0.5, or a share "0.1%" of the other side's.
struct Tolerance {
    double absolute{0};
    double share{0};
};
std::optional<Tolerance> tolerance_of(const nlohmann::json& value);

struct Rule {
    Kind kind{Kind::expr};
    std::string id;      // as written, or "range: qty"
    std::string reason;  // what a row in quarantine says: "range: qty"
    std::vector<std::string> columns;
    std::string value;  // JSON: what stands under the rule's name
    std::string keys;   // JSON: the whole check
    OnFail on_fail{OnFail::fail};
    std::optional<Limit> max_bad;
};

struct Rules {
    std::vector<Rule> rules;
    OnFail on_fail{OnFail::fail};
    Limit max_bad;
};

/// `gate` = there is no `to`. Problems have pointers relative to the parameters; with errors the
/// rules are those that could be read.
Rules read_rules(const nlohmann::json& params, bool gate, std::vector<Problem>& problems);

/// Columns and expressions of the rules against the columns they are about, and data sets they
/// name: what can be said without rows.
std::vector<Problem> check_columns(const Rules& rules, const binding::Columns& columns);
/// Names of the data sets that a rule reads beside `from`.
std::vector<std::string> references(const Rule& rule);

/// "data.set(a, b)" -> name and columns.
struct Reference {
    std::string dataset;
    std::vector<std::string> columns;
};
Reference reference_of(const std::string& text);

/// SQL that is true for a row that breaks the rule; none for unique and foreign_key, which look at
/// other rows. Throws Error(invalid) for what the dialect cannot do.
std::optional<std::string> broken_sql(const Rule& rule, engine::Dialect dialect);
/// The rule's `where` as SQL; "" without one.
std::string where_sql(const Rule& rule, engine::Dialect dialect);
/// Aggregate: how many rows break `unique`.
std::string duplicates_sql(const Rule& rule, engine::Dialect dialect);
/// `freshness`: the instant after which a value must be, and the aggregate that counts such values.
Instant fresh_since(const Rule& rule, Instant interval_end);
std::string fresh_sql(const Rule& rule, Instant interval_end);
/// How rows find out that they have no counterpart in `theirs`: a join that leaves their number as
/// it is, and what is true for an orphan after it. `name` is the join's own.
struct Orphans {
    std::string join;
    std::string condition;
};
Orphans orphans_of(const Rule& rule, const std::string& theirs, const std::string& name);

}  // namespace sluice::validate
