#include "operators/extract/mysql_types.hpp"

#include <algorithm>
#include <array>

#include "base/hash.hpp"
#include "operators/connect/mysql.hpp"
#include "operators/engine/failure.hpp"
#include "operators/engine/sql.hpp"

namespace sluice::extract {

namespace {

struct Mapped {
    std::string_view engine;
    std::string_view mysql;
};

constexpr std::array<Mapped, 13> number_types{
    {{"BOOLEAN", "tinyint(1)"},
     {"TINYINT", "tinyint(4)"},
     {"SMALLINT", "smallint(6)"},
     {"INTEGER", "int(11)"},
     {"BIGINT", "bigint(20)"},
     {"UTINYINT", "tinyint(3) unsigned"},
     {"USMALLINT", "smallint(5) unsigned"},
     {"UINTEGER", "int(10) unsigned"},
     {"UBIGINT", "bigint(20) unsigned"},
     {"HUGEINT", "decimal(38,0)"},
     {"UHUGEINT", "decimal(39,0)"},
     {"FLOAT", "float"},
     {"DOUBLE", "double"}}
};

}  // namespace

std::string MysqlTargetColumn::definition(const std::string& collation) const {
    return type + (text ? " character set utf8mb4 collate " + collation : "") +
           (is_key ? " not null" : "");
}

MysqlTargetColumn mysql_column_of(const engine::ColumnInfo& column, std::size_t key_columns) {
    MysqlTargetColumn out;
    out.name = column.name;
    out.is_key = key_columns > 0;
    // The columns of a key share 3,072 bytes; a character has up to four.
    const std::string length =
        std::to_string(key_columns > 2 ? 700 / key_columns : std::size_t{255});
    const auto number = std::ranges::find(number_types, column.type, &Mapped::engine);
    const std::string& type = column.type;
    if (number != number_types.end() || type.starts_with("DECIMAL(")) {
        out.number = true;
        out.type = number != number_types.end() ? std::string(number->mysql) : type;
        std::ranges::transform(out.type, out.type.begin(), [](unsigned char c) {
            return static_cast<char>(std::tolower(c));
        });
    } else if (type == "VARCHAR" || type.starts_with("ENUM(")) {
        out.text = true;
        out.type = out.is_key ? "varchar(" + length + ")" : "longtext";
    } else if (type == "BLOB") {
        out.binary = true;
        out.type = out.is_key ? "varbinary(" + length + ")" : "longblob";
    } else if (type == "DATE") {
        out.time = true;
        out.type = "date";
    } else if (type == "TIME") {
        out.time = true;
        out.type = "time(6)";
    } else if (type.starts_with("TIMESTAMP")) {
        out.time = true;
        out.type = "datetime(6)";
        out.zoned = type == "TIMESTAMP WITH TIME ZONE";
    } else if (type == "UUID") {
        out.text = true;
        out.type = "char(36)";
    } else if (type == "INTERVAL") {
        out.text = true;
        out.type = "varchar(100)";
    } else if (!out.is_key && (type == "JSON" || type.ends_with("[]"))) {
        out.type = "json";
        out.list = type != "JSON";
    } else {
        engine::bad_schema(
            "column \"" + column.name + "\" is " + type +
            ", which MySQL has no type for: cast it to varchar or json"
        );
    }
    return out;
}

std::string mysql_select(const std::string& query, const std::vector<MysqlTargetColumn>& columns) {
    std::string list;
    for (const MysqlTargetColumn& column : columns) {
        const std::string name = engine::quote(column.name);
        std::string value = "(" + name + ")::varchar";
        if (column.binary) value = name;
        if (column.list) value = "to_json(" + name + ")::varchar";
        // Infinite times stay what they are, and are refused by name.
        if (column.type == "datetime(6)")
            value = "case when isfinite(" + name + ") then strftime((" + name +
                    (column.zoned ? ") at time zone 'UTC'" : ")::timestamp") +
                    ", '%Y-%m-%d %H:%M:%S.%f') else (" + name + ")::varchar end";
        list += (list.empty() ? "" : ", ") + value + " as " + name;
    }
    return "select " + list + " from (" + query + ")";
}

void put_mysql_cell(
    std::string& out,
    const MysqlTargetColumn& column,
    const engine::Cells& cells,
    std::size_t row,
    std::int64_t number
) {
    if (cells.is_null(row)) {
        out += "null";
        return;
    }
    const std::string_view value = cells.text(row);
    const auto refuse = [&](const std::string& what) {
        engine::bad_data(
            "row " + std::to_string(number) + ", column \"" + column.name + "\": MySQL has no " +
            what
        );
    };
    if (column.binary) {
        out += "x'" + to_hex(value) + "'";
    } else if (column.number) {
        if (value == "true" || value == "false") {
            out += value == "true" ? "1" : "0";
            return;
        }
        if (value.find_first_of("infaN") != std::string_view::npos)
            refuse("infinite number and no NaN");
        // A real number must not be read as a decimal, which has fewer digits.
        out += value;
        const bool real = column.type == "double" || column.type == "float";
        if (real && value.find('e') == std::string_view::npos) out += "e0";
    } else if (column.time) {
        const bool clock = column.type == "time(6)";
        const auto dash = value.find('-');
        if (!clock && (dash != 4 || value.front() == '0')) refuse("such date (years 1000 to 9999)");
        out += "'";
        out += value;
        out += "'";
    } else {
        out += connect::mysql_text(value);
    }
}

}  // namespace sluice::extract
