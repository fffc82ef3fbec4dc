#include "operators/extract/json_lines.hpp"

#include <nlohmann/json.hpp>

#include "operators/engine/failure.hpp"
#include "operators/engine/sql.hpp"
#include "operators/extract/csv.hpp"

namespace sluice::extract {

namespace {

/// The whole of a file, or its lines, into sluice_lines(line_no, line, _sluice_source).
void load_lines(
    task::TaskContext& context, engine::Appender& lines, const JsonInput& input, bool whole
) {
    std::string text;
    std::int64_t number = 0;
    const auto emit = [&](std::string_view line) {
        ++number;
        if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
        if (number == 1 && line.substr(0, 3) == "\xEF\xBB\xBF") line.remove_prefix(3);
        if (line.empty()) return;
        lines.integer(number);
        lines.text(valid_utf8(line) ? line : std::string_view("not UTF-8"));
        lines.text(input.name);
        lines.end_row();
    };
    std::vector<char> buffer(std::size_t{256} << 10);
    while (const std::size_t got = input.read(buffer.data(), buffer.size())) {
        if (context.cancelled()) throw engine::Failure(ErrorClass::transient, "cancelled");
        text.append(buffer.data(), got);
        if (whole) continue;
        std::size_t begin = 0;
        for (std::size_t end = text.find('\n'); end != std::string::npos;
             end = text.find('\n', begin)) {
            emit(std::string_view(text).substr(begin, end - begin));
            begin = end + 1;
        }
        text.erase(0, begin);
    }
    if (!text.empty()) emit(text);
}

}  // namespace

Extracted load_json(
    task::TaskContext& context,
    engine::Database& database,
    const std::vector<JsonInput>& inputs,
    JsonText text,
    const std::string& records,
    Nested nested
) {
    const bool whole = text == JsonText::document;
    database.execute(
        "create table sluice_lines (line_no bigint, line varchar, _sluice_source varchar)"
    );
    engine::Appender lines = database.append("sluice_lines");
    for (const JsonInput& input : inputs) load_lines(context, lines, input, whole);
    lines.close();
    database.execute(
        "insert into sluice_rejects select line_no, line, 'not valid JSON', _sluice_source "
        "from sluice_lines where not json_valid(line)"
    );
    std::string objects =
        "select line_no, line::json as object, line, _sluice_source "
        "from sluice_lines where json_valid(line)";
    if (whole) {
        // Without a path: the elements of an array, or the one object.
        const std::string list =
            records.empty() ? "case json_type(line) when 'ARRAY' then json_extract(line, '$[*]') "
                              "else [line::json] end"
                            : "json_extract(line, " + engine::literal(records) + ")";
        objects =
            "select line_no, object, object::varchar as line, _sluice_source from (select "
            "line_no, unnest(" +
            list +
            ") as object, _sluice_source from sluice_lines "
            "where json_valid(line))";
    }
    database.execute("create table sluice_values as " + objects + "; drop table sluice_lines");
    database.execute(
        "insert into sluice_rejects select line_no, line, 'not a JSON object', _sluice_source "
        "from sluice_values where json_type(object) is distinct from 'OBJECT'"
    );
    database.execute(
        "create table sluice_objects as select object, _sluice_source from sluice_values "
        "where json_type(object) = 'OBJECT'; drop table sluice_values"
    );
    Extracted extracted;
    extracted.rows_in = database.integer("select count(*) from sluice_objects");
    extracted.query =
        "select " + json_columns(database, nested) + "_sluice_source from sluice_objects";
    return extracted;
}

}  // namespace sluice::extract
