#include "operators/mask/compiler.hpp"

#include <fmt/format.h>

#include "base/check.hpp"
#include "operators/engine/failure.hpp"
#include "operators/engine/sql.hpp"
#include "operators/mask/tokens.hpp"
#include "operators/privacy/crypto.hpp"
#include "operators/privacy/key_store.hpp"

namespace sluice::mask {

namespace {

using engine::literal;
using engine::quote;
using policy::Method;

std::string duckdb_type(const std::string& type) {
    return engine::is_language_type(type) ? engine::type_name(engine::Dialect::duckdb, type) : type;
}

/// The column as the text that its value is known by.
std::string text_sql(const ColumnSpec& column) {
    const std::string type = duckdb_type(column.type);
    if (type == "VARCHAR") return quote(column.name);
    return "cast(" + engine::canonical_text(quote(column.name), type) + " as varchar)";
}

std::string number_sql(const ColumnSpec& column) {
    return "try_cast(" + quote(column.name) + " as double)";
}

/// A computed number in the type of the result; what does not fit is null, never an error that
/// would show it.
std::string as_type(const std::string& number, const std::string& type) {
    return type == "bigint" ? "try_cast(round(" + number + ") as bigint)" : number;
}

std::string number_text(double number) { return fmt::format("{}", number); }

std::string bounds_sql(const std::vector<double>& bounds, const std::string& number) {
    std::string out = "case when " + number + " < " + number_text(bounds.front()) + " then " +
                      literal("<" + number_text(bounds.front()));
    for (std::size_t i = 1; i < bounds.size(); ++i)
        out += " when " + number + " < " + number_text(bounds[i]) + " then " +
               literal("[" + number_text(bounds[i - 1]) + "," + number_text(bounds[i]) + ")");
    return out + " when " + number + " >= " + number_text(bounds.back()) + " then " +
           literal(">=" + number_text(bounds.back())) + " end";
}

std::string width_sql(double width, const std::string& number) {
    const std::string step = number_text(width);
    const bool whole = width >= 1 && width < 1e15 &&
                       width == static_cast<double>(static_cast<std::int64_t>(width));
    const auto edge = [&](const char* shift) {
        const std::string at =
            "((floor(" + number + " / " + step + ")" + shift + ") * " + step + ")";
        return whole ? "try_cast(" + at + " as bigint)" : "printf('%g', " + at + ")";
    };
    return "case when isfinite(" + number + ") then '[' || " + edge("") + " || ',' || " +
           edge(" + 1") + " || ')' end";
}

}  // namespace

std::string Compiler::select(const Plan& plan, const binding::Relation& input) {
    input_ = &input;
    std::string items;
    for (const Output& output : plan.outputs) {
        const ColumnSpec& source = *binding::find(input.columns, output.source);
        items += (items.empty() ? "" : ", ") +
                 (output.masked ? masked(output, source) : quote(source.name)) + " as " +
                 quote(output.column.name);
    }
    return "select " + items + " from (" + input.sql + ") rows_" + joins_;
}

void Compiler::settle(const Plan& plan) const {
    for (const Output& output : plan.outputs) {
        const auto found = tallies_.find(output.column.name);
        if (found == tallies_.end()) continue;
        const std::string of =
            output.source + " by " + std::string(policy::name(output.rule.method));
        if (const std::int64_t refused = found->second->refused; refused > 0)
            engine::bad_data(fmt::format(
                "{}: {} values are too short to be masked: fewer than a million possibilities "
                "(on_invalid: hide hides them)",
                of,
                refused
            ));
        if (const std::int64_t invalid = found->second->invalid; invalid > 0)
            context_.warn(fmt::format(
                "mask_invalid={}: {}: values that are not what it masks were hidden whole",
                invalid,
                of
            ));
    }
}

std::string Compiler::masked(const Output& output, const ColumnSpec& source) {
    std::string out = value_sql(output, source);
    if (policy_.key_prefix && output.rule.keyed() && output.column.type == "varchar")
        out = literal("k" + std::to_string(policy_.key_version) + ":") + " || " + out;
    if (!output.rule.mask_nulls || output.rule.method == Method::nullify) return out;
    return "coalesce(cast(" + out + " as varchar), " +
           literal(output.rule.value.empty() ? "***" : output.rule.value) + ")";
}

std::string Compiler::value_sql(const Output& output, const ColumnSpec& source) {
    const std::string column = quote(source.name);
    const policy::Rule& rule = output.rule;
    switch (rule.method) {
        case Method::sha256:
        case Method::md5:
        case Method::hmac:
        case Method::partial:
        case Method::email:
        case Method::ff1:
        case Method::siv:
        case Method::fake:
            return function(output) + "(" + text_sql(source) + ")";
        case Method::token:
            return token(output, source);
        case Method::shift_date:
            return dated(output, source);
        case Method::noise:
            return noisy(output, source);
        case Method::bucket:
            if (!rule.unit.empty())
                return "cast(date_trunc(" + literal(rule.unit) + ", " + column + ") as date)";
            return rule.bounds.empty() ? width_sql(rule.step, number_sql(source))
                                       : bounds_sql(rule.bounds, number_sql(source));
        case Method::round: {
            const std::string step = number_text(rule.step);
            return as_type(
                "(round(" + number_sql(source) + " / " + step + ") * " + step + ")",
                output.column.type
            );
        }
        case Method::year: {
            const std::string type = duckdb_type(source.type);
            return "cast(year(try_cast(" + column + " as " +
                   (type.starts_with("TIMESTAMP") ? type : std::string("DATE")) + ")) as integer)";
        }
        case Method::geo:
            return "round(" + number_sql(source) + ", " + std::to_string(rule.digits) + ")";
        case Method::nullify:
            return "cast(null as " + duckdb_type(source.type) + ")";
        case Method::constant:
            return "case when " + column + " is not null then " + literal(rule.value) + " end";
        case Method::drop:
            break;  // no output has it
    }
    unreachable();
}

std::string Compiler::dated(const Output& output, const ColumnSpec& source) {
    const ColumnSpec& subject = *binding::find(input_->columns, output.rule.subject);
    return "try(cast(" + quote(source.name) + " + to_days(cast(" + function(output) + "(" +
           text_sql(subject) + ") as integer)) as " + duckdb_type(source.type) + "))";
}

std::string Compiler::noisy(const Output& output, const ColumnSpec& source) {
    const std::string number = number_sql(source);
    const std::string share = "(" + function(output) + "(" + row_text(output.rule.row) +
                              ") / 9007199254740992.0::double * " + number_text(output.rule.scale) +
                              ")";
    return as_type(
        output.rule.relative ? "(" + number + " * (1 + " + share + "))"
                             : "(" + number + " + " + share + ")",
        output.column.type
    );
}

std::string Compiler::token(const Output& output, const ColumnSpec& source) {
    const std::string text = text_sql(source);
    TokenColumn column;
    column.number = token_columns_++;
    column.value = text;
    column.key = output.rule.convergent ? text : row_text(output.rule.row) + " || " + text;
    column.input = input_->sql;
    column.domain = output.rule.domain.empty() ? output.domain : output.rule.domain;
    column.normalize = output.rule.normalize;
    column.convergent = output.rule.convergent;
    if (!output.rule.subject.empty())
        column.subject =
            "coalesce(" + text_sql(*binding::find(input_->columns, output.rule.subject)) + ", '')";
    const std::string table = make_tokens(context_, database_, policy_, column);
    joins_ += " left join " + table + " on " + table + "._sluice_key = " + column.key;
    if (!column.subject.empty()) joins_ += " and " + table + "._sluice_subject = " + column.subject;
    return table + "._sluice_token";
}

std::string Compiler::row_text(const std::vector<std::string>& columns) const {
    std::vector<engine::ColumnInfo> infos;
    for (const std::string& name : columns) {
        const ColumnSpec& column = *binding::find(input_->columns, name);
        infos.push_back({column.name, duckdb_type(column.type)});
    }
    return engine::row_hash(infos);
}

std::string Compiler::function(const Output& output) {
    const auto tally = std::make_shared<privacy::Tally>();
    tallies_[output.column.name] = tally;
    const privacy::Keys keys = privacy::keys_of(context_, policy_, output.rule);
    auto made = privacy::function_of(output.rule, output.domain, keys, tally);
    SLUICE_CHECK(made.has_value());
    const std::string name = "mask_column_" + std::to_string(functions_++);
    database_.add_function(
        {.name = name,
         .arguments = std::move(made->arguments),
         .result = made->result,
         .body = std::move(made->body),
         .handles_null = false,
         .is_volatile = false}
    );
    return name;
}

}  // namespace sluice::mask
