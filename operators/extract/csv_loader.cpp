#include "operators/extract/csv_loader.hpp"

#include <algorithm>
#include <map>

#include <nlohmann/json.hpp>

#include "operators/engine/failure.hpp"
#include "operators/engine/sql.hpp"
#include "operators/extract/column_names.hpp"
#include "operators/extract/csv.hpp"
#include "operators/extract/rejects.hpp"

namespace sluice::extract {

using engine::quote;

namespace {

/// {"order id", "id", "id"} -> {"order id", "id", "id_2"}; an empty name becomes column_N.
std::vector<std::string> unique_names(
    const std::vector<CsvField>& fields, const std::string& file
) {
    ColumnNames free(file + " has more than 5,000 columns: is the delimiter right?");
    std::vector<std::string> names;
    for (const CsvField& field : fields) names.push_back(free.free(std::string(field.text)));
    return names;
}

/// Tells cheaply whether a text is a time outside the increment; anything else stays in and is
/// looked at by the engine.
class EarlyFilter {
public:
    EarlyFilter(const Request& request, const std::vector<std::string>& columns) {
        if (!request.increment) return;
        for (const ColumnSpec& column : request.dataset.columns) {
            const bool plain =
                column.parse.empty() || column.parse == std::vector<std::string>{"iso"};
            if (column.name == request.increment->column && column.type == "timestamptz" && plain) {
                const auto found = std::find(columns.begin(), columns.end(), column.name);
                if (found == columns.end()) return;
                column_ = static_cast<std::size_t>(found - columns.begin());
                interval_ = request.increment->interval;
            }
        }
    }
    bool outside(const std::vector<CsvField>& fields) {
        if (!interval_) return false;
        const std::string_view text = fields[column_].text;
        // Files are mostly in order: the last answer often holds.
        if (text == last_) return last_outside_;
        last_ = text;
        const auto parsed = parse_time(text);
        last_outside_ = parsed && parsed->has_offset &&
                        (parsed->at < interval_->start || parsed->at >= interval_->end);
        return last_outside_;
    }

private:
    std::optional<Interval> interval_;
    std::size_t column_{0};
    std::string last_;
    bool last_outside_{false};
};

}  // namespace

class CsvLoader::State {
public:
    State(task::TaskContext& context, engine::Database& database, const Request& request)
        : context_(context), database_(database), request_(request), rejects_(database) {
        const nlohmann::json& from = request.from;
        options_.delimiter = from.value("delimiter", ",").at(0);
        options_.quote = from.value("quote", "\"").at(0);
        options_.header = from.value("header", true);
        options_.skip = from.value("skip", std::int64_t{0});
        if (from.contains("null_tokens")) {
            null_tokens_ = from["null_tokens"].get<std::vector<std::string>>();
        }
    }

    void load(
        const std::string& name, const std::function<std::size_t(char*, std::size_t)>& reader
    ) {
        std::optional<EarlyFilter> filter;
        if (!options_.header) open(declared_names(), filter);
        options_.name = name;
        CsvHandler handler;
        handler.header = [&](const std::vector<CsvField>& fields) {
            open(unique_names(fields, name), filter);
            return fields.size();
        };
        handler.row = [&](const std::vector<CsvField>& fields) {
            ++rows_;
            if (filter->outside(fields)) return;
            for (const CsvField& field : fields) put(field);
            table_->text(name);
            table_->end_row();
        };
        handler.reject = [&](const CsvReject& reject) {
            rejects_.add(reject.line, reject.text, reject.reason, name);
        };
        const auto read = [&](char* buffer, std::size_t size) {
            if (context_.cancelled()) throw engine::Failure(ErrorClass::transient, "cancelled");
            return reader(buffer, size);
        };
        read_csv(options_, options_.header ? 0 : declared_names().size(), read, handler);
        if (!filter) engine::bad_schema(name + " is empty: it has no header");
        close();
    }

    Extracted finish() {
        rejects_.close();
        Extracted extracted;
        for (const auto& [names, table] : tables_) {
            if (!extracted.query.empty()) extracted.query += " union all by name ";
            extracted.query += "select * from " + table;
        }
        extracted.rows_in = rows_;
        return extracted;
    }

private:
    std::vector<std::string> declared_names() const {
        std::vector<std::string> names;
        for (const ColumnSpec& column : request_.dataset.columns) names.push_back(column.name);
        if (names.empty()) engine::bad_schema("a CSV without a header needs declared columns");
        return names;
    }
    void open(const std::vector<std::string>& names, std::optional<EarlyFilter>& filter) {
        filter.emplace(request_, names);
        auto [found, is_new] = tables_.try_emplace(names, "");
        if (is_new) {
            found->second = "sluice_csv_" + std::to_string(tables_.size());
            std::string columns;
            for (const std::string& name : names) columns += quote(name) + " varchar, ";
            database_.execute(
                "create table " + found->second + " (" + columns + "_sluice_source varchar)"
            );
        }
        table_.emplace(database_.append(found->second));
    }
    void close() {
        table_->close();
        table_.reset();
    }
    void put(const CsvField& field) {
        const bool null =
            !field.quoted &&
            std::find(null_tokens_.begin(), null_tokens_.end(), field.text) != null_tokens_.end();
        if (null) {
            table_->null();
        } else {
            table_->text(field.text);
        }
    }

    task::TaskContext& context_;
    engine::Database& database_;
    const Request& request_;
    Rejects rejects_;
    CsvOptions options_;
    std::vector<std::string> null_tokens_{"", "NULL", "null", "N/A", "NA", "-", "\\N"};
    std::map<std::vector<std::string>, std::string> tables_;
    std::optional<engine::Appender> table_;
    std::int64_t rows_{0};
};

CsvLoader::CsvLoader(task::TaskContext& context, engine::Database& database, const Request& request)
    : state_(std::make_unique<State>(context, database, request)) {}

CsvLoader::~CsvLoader() = default;

void CsvLoader::load(
    const std::string& name, const std::function<std::size_t(char*, std::size_t)>& read
) {
    state_->load(name, read);
}

Extracted CsvLoader::finish() { return state_->finish(); }

}  // namespace sluice::extract
