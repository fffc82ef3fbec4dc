#include "operators/extract/mysql_verify.hpp"

#include <array>

#include "operators/engine/failure.hpp"
#include "operators/engine/sql.hpp"

namespace sluice::extract {

namespace {

using engine::ColumnInfo;

/// Of a number or a time as text: no zeros at the end of a fraction.
std::string without_zeros(const std::string& text) {
    return "if(locate('.', " + text + ") > 0, trim(trailing '.' from trim(trailing '0' from " +
           text + ")), " + text + ")";
}

/// engine::canonical_text() in the words of MySQL.
std::string canonical_in_mysql(const std::string& column, const std::string& type) {
    const std::string as_text = "cast(" + column + " as char)";
    if (type == "BOOLEAN") return "if(" + column + ", 't', 'f')";
    if (type == "BLOB") return "hex(" + column + ")";
    if (type == "DATE")
        return "if(" + column + " = date(" + column + "), cast(date(" + column + ") as char), " +
               as_text + ")";
    if (type.starts_with("TIMESTAMP"))
        return "cast(timestampdiff(microsecond, timestamp'1970-01-01 00:00:00', " + column +
               ") as char)";
    if (type == "VARCHAR" || type == "UUID" || type.starts_with("ENUM"))
        return "cast(convert(" + column + " using utf8mb4) as binary)";
    return without_zeros(as_text);
}

/// The text of a cell as engine::row_hash() takes it.
std::string cell_in_mysql(const ColumnInfo& column) {
    const std::string name = "t." + connect::mysql_name(column.name);
    const std::string text = canonical_in_mysql(name, column.type);
    return "if(" + name + " is null, 'n', concat('v', length(" + text + "), ':', " + text + "))";
}

}  // namespace

lake::Content mysql_content(
    connect::Mysql& mysql, const std::vector<ColumnInfo>& columns, const std::string& from
) {
    std::string cells;
    for (const ColumnInfo& column : columns)
        cells += (cells.empty() ? "" : ", ") + cell_in_mysql(column);
    std::string sums;
    for (const char* piece : {"1", "9", "17", "25"})
        sums += std::string(", cast(coalesce(sum(cast(conv(substr(h, ") + piece +
                ", 8), 16, 10) as unsigned)), 0) as char)";
    // The limit keeps the server from hashing each row four times.
    const auto row = mysql
                         .query(
                             "select count(*), count(h)" + sums + " from (select sha2(concat(" +
                             cells + "), 256) as h from " + from + " limit 9223372036854775807) s"
                         )
                         .at(0);
    if (row.at(0) != row.at(1))
        throw engine::Failure(
            ErrorClass::permanent,
            "verify: a row is larger than the server's max_allowed_packet, so it has no hash "
            "there: use counts"
        );
    std::array<std::string, 4> pieces;
    for (std::size_t i = 0; i < pieces.size(); ++i) pieces[i] = row.at(i + 2).value_or("0");
    return {std::stoll(row.at(0).value_or("0")), engine::content_hash(pieces)};
}

std::string mysql_changed(
    connect::Mysql& mysql,
    const std::vector<ColumnInfo>& columns,
    const std::string& from,
    const std::string& other
) {
    std::string sums;
    for (const ColumnInfo& column : columns)
        sums +=
            (sums.empty() ? "" : ", ") + std::string("sum(crc32(") + cell_in_mysql(column) + "))";
    const auto one = mysql.query("select " + sums + " from " + from).at(0);
    const auto two = mysql.query("select " + sums + " from " + other).at(0);
    std::string names;
    for (std::size_t i = 0; i < columns.size(); ++i)
        if (one.at(i) != two.at(i)) names += (names.empty() ? " in " : ", ") + columns[i].name;
    return names;
}

}  // namespace sluice::extract
