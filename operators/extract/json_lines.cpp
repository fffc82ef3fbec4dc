#include "operators/extract/json_lines.hpp"

#include <nlohmann/json.hpp>

#include "operators/engine/failure.hpp"
#include "operators/engine/sql.hpp"
#include "operators/extract/csv.hpp"
#include "operators/extract/json_document.hpp"
#include "operators/extract/raw_json.hpp"
#include "operators/extract/rejects.hpp"

namespace sluice::extract {

namespace {

/// Fills sluice_lines(line_no, line, _sluice_source), and sluice_rejects with what is no text.
class Lines {
public:
    Lines(task::TaskContext& context, engine::Database& database)
        : context_(context), rows_(database.append("sluice_lines")), rejects_(database) {}

    void read(const JsonInput& input) {
        input_ = &input;
        number_ = 0;
        std::string text;
        std::size_t searched = 0;
        std::vector<char> buffer(std::size_t{256} << 10);
        while (const std::size_t got = piece(buffer)) {
            if (number_ == 0 && text.empty()) refuse_utf16(input.name, {buffer.data(), got});
            text.append(buffer.data(), got);
            std::size_t begin = 0;
            for (std::size_t end = text.find('\n', searched); end != std::string::npos;
                 end = text.find('\n', begin)) {
                line(std::string_view(text).substr(begin, end - begin));
                begin = end + 1;
            }
            text.erase(0, begin);
            if (text.size() > json_record_bytes) {
                line(text);
                rest_ = true;
                text.clear();
            }
            searched = text.size();
        }
        if (!text.empty() || rest_) line(text);
    }
    void read_records(const JsonInput& input, const std::optional<JsonPath>& path) {
        std::int64_t number = 0;
        JsonInput watched{input.name, [&](char* buffer, std::size_t size) {
                              check_cancelled();
                              return input.read(buffer, size);
                          }};
        read_json_document(watched, path, [&](std::string_view record) {
            add(++number, record, input.name);
        });
    }
    /// As one line: for paths that only the engine understands.
    void read_whole(const JsonInput& input) {
        input_ = &input;
        std::string text;
        std::vector<char> buffer(std::size_t{256} << 10);
        while (const std::size_t got = piece(buffer)) text.append(buffer.data(), got);
        refuse_utf16(input.name, text);
        number_ = 0;
        line(text);
    }
    void close() {
        rows_.close();
        rejects_.close();
    }

private:
    void check_cancelled() const {
        if (context_.cancelled()) throw engine::Failure(ErrorClass::transient, "cancelled");
    }
    std::size_t piece(std::vector<char>& buffer) const {
        check_cancelled();
        return input_->read(buffer.data(), buffer.size());
    }
    void line(std::string_view line) {
        if (rest_) {
            rest_ = false;  // of one that was too long
            return;
        }
        ++number_;
        if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
        if (number_ == 1 && line.substr(0, 3) == "\xEF\xBB\xBF") line.remove_prefix(3);
        if (line.empty()) return;
        if (line.size() > json_record_bytes) {
            rejects_.add(number_, line.substr(0, kept_of_long), "longer than 16 MiB", input_->name);
        } else if (!valid_utf8(line)) {
            rejects_.add(number_, line, "not UTF-8", input_->name);
        } else {
            add(number_, line, input_->name);
        }
    }
    void add(std::int64_t number, std::string_view line, const std::string& name) {
        rows_.integer(number);
        rows_.text(line);
        rows_.text(name);
        rows_.end_row();
    }

    task::TaskContext& context_;
    engine::Appender rows_;
    Rejects rejects_;
    const JsonInput* input_{nullptr};
    std::int64_t number_{0};
    bool rest_{false};  // what comes up to the next line break was judged already
};

}  // namespace

Extracted load_json(
    task::TaskContext& context,
    engine::Database& database,
    const std::vector<JsonInput>& inputs,
    JsonText text,
    const std::string& records,
    Nested nested
) {
    const auto path = json_path_of(records);
    const bool whole = text == JsonText::document && !path && !records.empty();
    database.execute(
        "create table sluice_lines (line_no bigint, line varchar, _sluice_source varchar)"
    );
    Lines lines(context, database);
    for (const JsonInput& input : inputs) {
        if (text == JsonText::lines)
            lines.read(input);
        else if (whole)
            lines.read_whole(input);
        else
            lines.read_records(input, path);
    }
    lines.close();
    database.execute(
        "insert into sluice_rejects select line_no, line, 'not valid JSON', _sluice_source "
        "from sluice_lines where not json_valid(line)"
    );
    std::string objects =
        "select line_no, line::json as object, line, _sluice_source "
        "from sluice_lines where json_valid(line)";
    if (whole) {
        objects =
            "select line_no, object, object::varchar as line, _sluice_source from (select "
            "line_no, unnest(json_extract(line, " +
            engine::literal(records) +
            ")) as object, _sluice_source from sluice_lines "
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
    if (extracted.rows_in == 0) return extracted;
    extracted.query =
        "select " + json_columns(database, nested) + "_sluice_source from sluice_objects";
    return extracted;
}

}  // namespace sluice::extract
