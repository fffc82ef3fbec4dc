// Data sets: names, columns, partitions.
#include <algorithm>
#include <cctype>

#include <fmt/format.h>
#include <re2/re2.h>

#include "model/json_schema.hpp"
#include "model/pii_classes.hpp"
#include "model/template_sql.hpp"
#include "model/timetable.hpp"
#include "spec/draft.hpp"
#include "spec/language.hpp"

namespace sluice::spec {

using nlohmann::json;

namespace {

const std::vector<std::string>& simple_types() {
    static const std::vector<std::string> types{
        "boolean",
        "smallint",
        "integer",
        "bigint",
        "real",
        "double",
        "varchar",
        "date",
        "time",
        "timestamp",
        "timestamptz",
        "interval",
        "uuid",
        "json",
        "blob",
        "decimal"
    };
    return types;
}

std::vector<std::string> words_of(const std::string& text) {
    // "decimal(10, 2) not null" is four words to a reader, three to us: no space inside brackets.
    std::vector<std::string> words;
    std::string word;
    int open = 0;
    for (const char c : text) {
        open += c == '(' ? 1 : (c == ')' ? -1 : 0);
        if (c == ' ' || c == '\t') {
            if (open > 0) continue;
            if (!word.empty()) words.push_back(std::exchange(word, {}));
        } else {
            word += c;
        }
    }
    if (!word.empty()) words.push_back(std::move(word));
    return words;
}

std::string lower(std::string text) {
    for (char& c : text)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return text;
}

/// A sentence, and a suggestion.
using Wrong = std::optional<std::pair<std::string, std::string>>;

Wrong type_problem(std::string type) {
    while (type.ends_with("[]")) type.resize(type.size() - 2);
    int precision{};
    int scale{};
    if (RE2::FullMatch(type, R"(decimal\((\d{1,2}),(\d{1,2})\))", &precision, &scale)) {
        if (precision >= 1 && precision <= 38 && scale <= precision) return std::nullopt;
        return std::pair("a decimal has 1 to 38 digits, the scale among them", "decimal(18,2)");
    }
    if (RE2::FullMatch(type, R"(varchar\([1-9]\d{0,8}\))")) return std::nullopt;
    if (type == "decimal") return std::pair("a decimal needs its digits", "decimal(18,2)");
    if (std::ranges::find(simple_types(), type) != simple_types().end()) return std::nullopt;
    const std::pair<const char*, const char*> others[] = {
        {"string", "varchar"},
        {"text", "varchar"},
        {"int", "integer"},
        {"float", "double"},
        {"number", "decimal(18,2)"},
        {"bool", "boolean"},
        {"datetime", "timestamp"},
        {"bytes", "blob"},
        {"numeric", "decimal(18,2)"},
    };
    for (const auto& [other, ours] : others)
        if (type == other)
            return std::pair(
                fmt::format("\"{}\" is no type here", type),
                fmt::format("did you mean \"{}\"?", ours)
            );
    auto hint = did_you_mean(type, simple_types());
    if (hint.empty()) hint = fmt::format("one of: {}", fmt::join(simple_types(), ", "));
    return std::pair(fmt::format("\"{}\" is no type here", type), std::move(hint));
}

void read_column_text(
    const std::string& text, ColumnSpec& column, const std::string& at, Problems& problems
) {
    auto words = words_of(text);
    if (words.empty())
        return problems.error("E-COLUMN", at, "a column needs a type", "\"varchar not null\"");
    column.type = lower(words.front());
    if (auto wrong = type_problem(column.type))
        problems.error("E-COLUMN", at, wrong->first, wrong->second);
    std::size_t i = 1;
    if (i + 1 < words.size() && lower(words[i]) == "not" && lower(words[i + 1]) == "null") {
        column.not_null = true;
        i += 2;
    }
    if (i < words.size() && words[i].starts_with('@')) {
        column.pii_class = words[i++].substr(1);
        if (std::ranges::find(pii_classes(), column.pii_class) == pii_classes().end()) {
            auto hint = did_you_mean(column.pii_class, pii_classes());
            if (hint.empty()) hint = fmt::format("one of: {}", fmt::join(pii_classes(), ", "));
            problems.error(
                "E-COLUMN",
                at,
                fmt::format("\"@{}\" is no class", column.pii_class),
                std::move(hint)
            );
        }
    }
    if (i < words.size())
        problems.error(
            "E-COLUMN",
            at,
            fmt::format("\"{}\" is not understood in \"{}\"", words[i], text),
            "the order is: type, not null, @class"
        );
}

bool known_parse(const std::string& form) {
    for (const char* name : {"iso", "epoch_s", "epoch_ms", "decimal_comma", "money"})
        if (form == name) return true;
    return form.find('%') != std::string::npos;
}

ColumnSpec read_column(
    const std::string& name, const json& written, const std::string& at, Problems& problems
) {
    ColumnSpec column;
    column.name = name;
    if (name.starts_with("_sluice_"))
        problems.error("E-COLUMN", at, "names that begin with _sluice_ belong to Sluice");
    if (written.is_string()) {
        read_column_text(written.get<std::string>(), column, at, problems);
        return column;
    }
    Fields fields(written, at, problems);
    read_column_text(
        fields.string("type").value_or("varchar"), column, child_pointer(at, "type"), problems
    );
    column.parse = fields.names("parse").value_or(std::vector<std::string>{});
    for (const auto& form : column.parse)
        if (!known_parse(form))
            problems.error(
                "E-COLUMN",
                child_pointer(at, "parse"),
                fmt::format("\"{}\" is no form", form),
                "iso, epoch_s, epoch_ms, decimal_comma, money or a strptime pattern"
            );
    column.description = fields.string("description").value_or("");
    return column;
}

/// The partition that the preset of a schedule suggests.
std::string usual_partition(const Schedule& schedule) {
    if (schedule.crons.size() != 1) return "day";
    const auto& cron = schedule.crons.front();
    const std::pair<const char*, const char*> presets[] = {
        {"@hourly", "hour"}, {"@monthly", "month"}, {"@quarterly", "quarter"}, {"@yearly", "year"}
    };
    for (const auto& [preset, partition] : presets)
        if (preset_cron(preset) == cron) return partition;
    return "day";
}

void check_columns_exist(
    const DatasetSpec& dataset,
    const std::vector<std::string>& names,
    const std::string& at,
    Problems& problems
) {
    if (!dataset.declared) return;
    std::vector<std::string> known;
    for (const auto& column : dataset.columns) known.push_back(column.name);
    for (const auto& name : names)
        if (std::ranges::find(known, name) == known.end())
            problems.error(
                "E-COLUMN",
                at,
                fmt::format("{} has no column \"{}\"", dataset.name, name),
                did_you_mean(name, known)
            );
}

/// `partition_by`, kept as "month(column)".
void read_ranges(Fields& fields, DatasetSpec& dataset, const std::string& at, Problems& problems) {
    const auto written = fields.string("partition_by");
    if (!written) return;
    static const RE2 form("(?:(hour|day|month|quarter|year)\\(([^()]+)\\)|([^()]+))");
    std::string every;
    std::string column;
    std::string alone;
    if (!RE2::FullMatch(*written, form, &every, &column, &alone)) {
        problems.error(
            "E-DATASET",
            at,
            fmt::format("\"{}\" says no ranges of {}", *written, dataset.name),
            "a column, or hour, day, month, quarter or year of it: \"month(ordered_at)\""
        );
        return;
    }
    if (!alone.empty()) {
        every = dataset.partition;
        column = alone;
    }
    check_columns_exist(dataset, {column}, at, problems);
    dataset.partition_by = every + '(' + column + ')';
}

DatasetSpec read_dataset(
    Draft& draft, const std::string& name, const json& written, const std::string& at
) {
    DatasetSpec dataset;
    dataset.name = name;
    dataset.partition = usual_partition(draft.dag.schedule);
    Fields fields(written, at, draft.problems);
    if (const auto* columns = fields.object("columns"); columns != nullptr) {
        dataset.declared = true;
        const auto pointer = child_pointer(at, "columns");
        for (const auto& column : keys_in_order(*columns, pointer, draft.places))
            dataset.columns.push_back(read_column(
                column, (*columns)[column], child_pointer(pointer, column), draft.problems
            ));
    }
    dataset.key = fields.names("key").value_or(std::vector<std::string>{});
    check_columns_exist(dataset, dataset.key, child_pointer(at, "key"), draft.problems);
    const bool in_lake = is_lake_tier(name.substr(0, name.find('.')));
    if (auto partition = fields.string("partition")) {
        dataset.partition = *partition;
        if (!in_lake)
            draft.problems.error(
                "E-DATASET",
                child_pointer(at, "partition"),
                "a table has no \"partition\"",
                "did you mean \"partition_by\"?"
            );
    }
    read_ranges(fields, dataset, child_pointer(at, "partition_by"), draft.problems);
    const auto* indexes = fields.array("indexes");
    for (const char* key : {"partition_by", "indexes"})
        if (in_lake && fields.has(key))
            draft.problems.error(
                "E-DATASET",
                child_pointer(at, key),
                fmt::format("\"{}\" is for tables, {} lies in the lake", key, name)
            );
    if (indexes != nullptr)
        for (const auto& index : *indexes)
            dataset.indexes.push_back(
                index.is_string() ? std::vector{index.get<std::string>()}
                                  : index.get<std::vector<std::string>>()
            );
    dataset.description = fields.string("description").value_or("");
    return dataset;
}

}  // namespace

bool is_lake_tier(const std::string& schema) {
    return schema == "raw" || schema == "processed" || schema == "curated";
}

bool check_dataset_name(
    const std::string& name, const std::string& pointer, const Dag& dag, Problems& problems
) {
    if (name.find("{{") != std::string::npos || name.find("{%") != std::string::npos) {
        problems.error("E-DATASET-NAME", pointer, "the name of a data set takes no template");
        return false;
    }
    static const RE2 form("[a-z_][a-z0-9_]{0,62}\\.[a-z_][a-z0-9_]{0,62}");
    if (!RE2::FullMatch(name, form)) {
        problems.error(
            "E-DATASET-NAME",
            pointer,
            fmt::format("\"{}\" is no name of a data set", name),
            "two parts of [a-z0-9_] with a dot: \"raw.orders\", \"sales.fact_sales\""
        );
        return false;
    }
    const std::string schema = name.substr(0, name.find('.'));
    if (is_lake_tier(schema) || dag.schemas.contains(schema)) return true;
    std::vector<std::string> known{"raw", "processed", "curated"};
    for (const auto& [other, conn_id] : dag.schemas) known.push_back(other);
    auto hint = did_you_mean(schema, known);
    if (hint.empty()) hint = fmt::format("add \"{}\": conn_id to \"schemas\"", schema);
    problems.error(
        "E-DATASET-NAME",
        pointer,
        fmt::format(
            "\"{}\" in \"{}\" is neither a tier of the lake nor in \"schemas\"", schema, name
        ),
        std::move(hint)
    );
    return false;
}

void read_datasets(Draft& draft) {
    const auto found = draft.root.find("datasets");
    if (found == draft.root.end() || !found->is_object()) return;
    for (const auto& [name, written] : found->items()) {
        const auto at = child_pointer("/datasets", name);
        const bool named = check_dataset_name(name, at, draft.dag, draft.problems);
        const bool fine = check_language(written, definition("dataset"), at, draft.problems);
        if (!named || !fine) continue;
        check_only_writer(draft, name, at);
        draft.dag.datasets.push_back(read_dataset(draft, name, written, at));
    }
}

std::set<std::string> qualified_names(const std::string& sql) {
    std::set<std::string> out;
    tmpl::SqlFollower follower;
    std::string token;    // a name and dots
    bool lookup = false;  // the token has a dot inside
    const auto end = [&] {
        // a.b.c is a column of a.b (or of catalogue a): both readings of the front are tried.
        const auto first = token.find('.');
        if (lookup && first != std::string::npos) {
            const auto second = token.find('.', first + 1);
            out.insert(token.substr(0, second));
        }
        token.clear();
        lookup = false;
    };
    for (std::size_t i = 0; i < sql.size(); ++i) {
        const auto before = follower.place();
        follower.feed(std::string_view(sql).substr(i, 1));
        const auto after = follower.place();
        if (before == tmpl::SqlPlace::string || before == tmpl::SqlPlace::comment) continue;
        const char c = sql[i];
        if (c == '"') continue;  // "sales"."dim_date" is sales.dim_date
        const bool in_name = before == tmpl::SqlPlace::quoted_name && after == before;
        if (in_name) {
            token += c;
        } else if (std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_') {
            token += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
        } else if (c == '.' && !token.empty()) {
            token += c;
            lookup = true;
        } else {
            end();
        }
    }
    end();
    return out;
}

/// Two runs whose outputs lie in one partition would replace each other's.
void check_schedule_fit(Draft& draft) {
    const auto& dag = draft.dag;
    if (draft.stored || dag.schedule.kind == ScheduleKind::none || !dag.start_date) return;
    const Timetable timetable(dag);
    if (!timetable.is_interval() && !dag.schedule.previous_tick &&
        dag.schedule.window == Duration::zero())
        return;
    std::vector<Instant> starts;
    std::optional<Instant> tick = timetable.next_tick(*dag.start_date - Duration{1});
    for (int i = 0; tick && i < 64; ++i) {
        starts.push_back(*tick);
        tick = timetable.next_tick(*tick);
    }
    for (const auto& dataset : dag.datasets) {
        if (dataset.writer == no_task || dataset.partition == "none") continue;
        if (!is_lake_tier(dataset.name.substr(0, dataset.name.find('.')))) continue;
        for (std::size_t i = 1; i < starts.size(); ++i) {
            const auto label = partition_key(starts[i], dataset.partition, timetable.zone());
            if (label != partition_key(starts[i - 1], dataset.partition, timetable.zone()))
                continue;
            draft.problems.error(
                "E-PARTITION",
                child_pointer("/datasets", dataset.name),
                fmt::format(
                    "two intervals of the schedule fall into the partition {} of {}",
                    label,
                    dataset.name
                ),
                R"(declare a finer "partition", or "none")"
            );
            return;
        }
    }
}

}  // namespace sluice::spec
