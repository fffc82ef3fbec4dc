#include "operators/expression/functions.hpp"

#include <algorithm>
#include <array>

namespace sluice::expression {

namespace {

// `round` rounds halves away from zero, `round_even` to the even neighbour: in both dialects.
// clang-format off
constexpr std::array table{
    Function{"abs", Scope::row, 1, 1, "", "", "abs(-3)", "3"},
    Function{"ceil", Scope::row, 1, 1, "", "", "cast(ceil(1.2) as integer)", "2"},
    Function{"coalesce", Scope::row, 1, -1, "", "", "coalesce(null, 2, 3)", "2"},
    Function{"concat", Scope::row, 1, -1, "", "", "concat('a', null, 'b')", "ab"},
    Function{"contains", Scope::row, 2, 2, "contains($1, $2)", "(position($2 in $1) > 0)", "contains('abc', 'bc')", "true"},
    Function{"day", Scope::row, 1, 1, "", "extract(day from $1)::bigint", "day(date '2026-01-05')", "5"},
    Function{"days_between", Scope::row, 2, 2, "date_diff('day', ($1)::date, ($2)::date)", "(($2)::date - ($1)::date)::bigint", "days_between(date '2026-01-05', date '2026-02-01')", "27"},
    Function{"ends_with", Scope::row, 2, 2, "ends_with($1, $2)", "(right($1, length($2)) = $2)", "ends_with('abc', 'bc')", "true"},
    Function{"epoch", Scope::row, 1, 1, "epoch($1)::double", "extract(epoch from $1)::double precision", "cast(epoch(timestamptz '1970-01-02 00:00:00+00') as bigint)", "86400"},
    Function{"floor", Scope::row, 1, 1, "", "", "cast(floor(1.8) as integer)", "1"},
    Function{"greatest", Scope::row, 1, -1, "", "", "greatest(1, 3, 2)", "3"},
    Function{"hour", Scope::row, 1, 1, "", "extract(hour from $1)::bigint", "hour(timestamp '2026-01-05 07:08:09')", "7"},
    Function{"least", Scope::row, 1, -1, "", "", "least(4, 3, 5)", "3"},
    Function{"left", Scope::row, 2, 2, "", "", "left('abc', 2)", "ab"},
    Function{"length", Scope::row, 1, 1, "", "", "length('h\xC3\xA9')", "2"},
    Function{"lower", Scope::row, 1, 1, "", "", "lower('AbC')", "abc"},
    Function{"lpad", Scope::row, 3, 3, "", "", "lpad('7', 3, '0')", "007"},
    Function{"ltrim", Scope::row, 1, 1, "", "", "ltrim('  a')", "a"},
    Function{"minute", Scope::row, 1, 1, "", "extract(minute from $1)::bigint", "minute(timestamp '2026-01-05 07:08:09')", "8"},
    Function{"mod", Scope::row, 2, 2, "mod($1, $2)", "mod($1, nullif($2, 0))", "mod(7, 4)", "3"},
    Function{"month", Scope::row, 1, 1, "", "extract(month from $1)::bigint", "month(date '2026-01-05')", "1"},
    Function{"nullif", Scope::row, 2, 2, "", "", "coalesce(nullif('x', 'x'), 'none')", "none"},
    Function{"power", Scope::row, 2, 2, "", "", "cast(power(2, 10) as integer)", "1024"},
    Function{"quarter", Scope::row, 1, 1, "", "extract(quarter from $1)::bigint", "quarter(date '2026-05-05')", "2"},
    Function{"regexp_matches", Scope::row, 2, 2, "", "($1 ~ $2)", "regexp_matches('abc', '^a.c$')", "true"},
    Function{"replace", Scope::row, 3, 3, "", "", "replace('a-b', '-', '+')", "a+b"},
    Function{"reverse", Scope::row, 1, 1, "", "", "reverse('abc')", "cba"},
    Function{"right", Scope::row, 2, 2, "", "", "right('abc', 2)", "bc"},
    Function{"round", Scope::row, 1, 2, "", "round(($1)::numeric$,2)", "cast(round(2.5) as integer)", "3"},
    Function{"round_even", Scope::row, 2, 2, "round_even($1, $2)", "(round(($1)::double precision * 10 ^ ($2)) / 10 ^ ($2))", "cast(round_even(2.5, 0) as integer)", "2"},
    Function{"rpad", Scope::row, 3, 3, "", "", "rpad('7', 3, '0')", "700"},
    Function{"rtrim", Scope::row, 1, 1, "", "", "rtrim('a  ')", "a"},
    Function{"sign", Scope::row, 1, 1, "", "", "cast(sign(-5) as integer)", "-1"},
    Function{"split_part", Scope::row, 3, 3, "", "", "split_part('a-b-c', '-', 2)", "b"},
    Function{"sqrt", Scope::row, 1, 1, "", "", "cast(sqrt(16) as integer)", "4"},
    Function{"starts_with", Scope::row, 2, 2, "", "", "starts_with('abc', 'ab')", "true"},
    Function{"substr", Scope::row, 2, 3, "", "", "substr('abcd', 2, 2)", "bc"},
    Function{"to_days", Scope::row, 1, 1, "to_days(($1)::integer)", "make_interval(days => ($1)::integer)", "cast(date '2026-01-05' + to_days(2) as date)", "2026-01-07"},
    Function{"to_hours", Scope::row, 1, 1, "to_hours(($1)::bigint)", "make_interval(hours => ($1)::integer)", "hour(timestamp '2026-01-05 07:00:00' + to_hours(2))", "9"},
    Function{"to_minutes", Scope::row, 1, 1, "to_minutes(($1)::bigint)", "make_interval(mins => ($1)::integer)", "minute(timestamp '2026-01-05 07:08:00' + to_minutes(2))", "10"},
    Function{"to_seconds", Scope::row, 1, 1, "to_seconds(($1)::double)", "make_interval(secs => ($1)::double precision)", "minute(timestamp '2026-01-05 07:08:30' + to_seconds(30))", "9"},
    Function{"trim", Scope::row, 1, 1, "", "", "trim('  a ')", "a"},
    Function{"upper", Scope::row, 1, 1, "", "", "upper('AbC')", "ABC"},
    Function{"year", Scope::row, 1, 1, "", "extract(year from $1)::bigint", "year(date '2026-01-05')", "2026"},

    Function{"avg", Scope::aggregate, 1, 1, "", "avg($*)::double precision", "cast(round(avg(x), 3) as varchar)", "2.333"},
    Function{"bool_and", Scope::aggregate, 1, 1, "", "", "bool_and(x > 0)", "true"},
    Function{"bool_or", Scope::aggregate, 1, 1, "", "", "bool_or(x > 4)", "false"},
    Function{"count", Scope::aggregate, 1, 1, "", "", "count(x)", "3"},
    Function{"count_if", Scope::aggregate, 1, 1, "count_if($1)", "count(*) filter (where $1)", "count_if(x > 1)", "2"},
    Function{"max", Scope::aggregate, 1, 1, "", "", "max(x)", "4"},
    Function{"median", Scope::aggregate, 1, 1, "", "percentile_cont(0.5) within group (order by $1)", "cast(median(x) as integer)", "2"},
    Function{"min", Scope::aggregate, 1, 1, "", "", "min(x)", "1"},
    Function{"stddev", Scope::aggregate, 1, 1, "stddev_samp($*)", "stddev_samp($*)::double precision", "cast(round(stddev(x), 3) as varchar)", "1.528"},
    Function{"sum", Scope::aggregate, 1, 1, "", "", "sum(x)", "7"},
};
// clang-format on

}  // namespace

std::span<const Function> functions() { return table; }

const Function* find_function(std::string_view name) {
    const auto found = std::ranges::find(table, name, &Function::name);
    return found == table.end() ? nullptr : &*found;
}

std::vector<std::string> function_names() {
    std::vector<std::string> names;
    for (const Function& function : table) names.emplace_back(function.name);
    return names;
}

}  // namespace sluice::expression
