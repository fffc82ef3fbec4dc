// plan.hpp — what one load does: its parameters read, its names resolved. Plain data.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "base/instant.hpp"
#include "operators/engine/database.hpp"
#include "operators/lake/limit.hpp"
#include "task/context.hpp"

namespace sluice::load {

enum class Mode : std::uint8_t { merge, append, replace, scd2 };
enum class Deletes : std::uint8_t { ignore, absent, where };
enum class Missing : std::uint8_t { infer, unknown, fail };

/// One entry of `dimensions`.
struct Lookup {
    std::string dimension;                                    // as written: "sales.dim_customer"
    std::vector<std::pair<std::string, std::string>> using_;  // dimension column, fact column
    std::string role;
    std::string at;  // fact column; "" = event_time
    std::optional<Missing> missing;
    [[nodiscard]] std::string sk_column() const;
};

/// The surrogate key of a dimension: "sales.dim_customer" -> "customer_sk".
std::string sk_name(const std::string& dimension);

struct DateSpine {
    std::string start;
    std::string end;
    int fiscal_year_start{1};
};

/// `partition_by` of the target.
struct Ranges {
    std::string every;  // hour day month quarter year
    std::string column;
};

struct Plan {
    std::string to;  // as written: "sales.fact_sales"
    std::optional<task::InputQuery> from;
    std::string where;  // DuckDB SQL: which rows of `from`
    std::optional<DateSpine> spine;
    Mode mode{Mode::append};
    std::vector<std::string> key;
    std::string updated_at;
    std::vector<std::string> type1;
    bool first_observed{false};
    Deletes deletes{Deletes::ignore};
    std::string deletes_where;  // DuckDB SQL
    bool flag_deletes{false};   // merge: a column is_deleted instead of a delete
    std::vector<Lookup> lookups;
    std::string event_time;
    bool verify{true};
    bool verify_hash{false};
    bool analyze{true};
    std::optional<lake::Limit> max_rejects;  // none: a load takes all rows or fails
    std::optional<Ranges> ranges;
    bool has_sk{false};  // merge: the table is a dimension

    /// A fact replaces its interval's rows; everything else that merges keeps observations.
    [[nodiscard]] bool observed() const;
};

/// `dataset` is the target's derived columns (they tell whether a merged table is a dimension);
/// may be nullptr. Throws Error(invalid).
Plan plan_of(const nlohmann::json& params, const DatasetSpec* dataset);

}  // namespace sluice::load
