#include "operators/connect/mysql_fields.hpp"

#include <algorithm>
#include <array>

#include <mysql.h>

namespace sluice::connect {

namespace {

constexpr unsigned binary_charset = 63;

/// MariaDB's own types come as text with a note: "json", "uuid".
std::string_view note_of(const MYSQL_FIELD& field, mariadb_field_attr_t which) {
    MARIADB_CONST_STRING text{};
    if (mariadb_field_attr(&text, &field, which) != 0 || text.str == nullptr) return {};
    return {text.str, text.length};
}

MysqlField text_field(const MYSQL_FIELD& raw) {
    MysqlField field;
    if (note_of(raw, MARIADB_FIELD_ATTR_FORMAT_NAME) == "json") {
        field.kind = MysqlKind::json;
    } else if (note_of(raw, MARIADB_FIELD_ATTR_DATA_TYPE_NAME) == "uuid") {
        field.kind = MysqlKind::uuid;
    } else if (raw.charsetnr == binary_charset) {
        // inet6 and its like are text on the wire, whatever their character set.
        const bool text =
            !note_of(raw, MARIADB_FIELD_ATTR_DATA_TYPE_NAME).empty() || raw.type == MYSQL_TYPE_NULL;
        field.kind = text ? MysqlKind::text : MysqlKind::blob;
    }
    return field;
}

MysqlField plain(MysqlKind kind) {
    MysqlField field;
    field.kind = kind;
    return field;
}

MysqlField integer_of(const MYSQL_FIELD& raw, int bytes) {
    MysqlField field = plain(MysqlKind::integer);
    field.bytes = bytes;
    field.is_unsigned = (raw.flags & UNSIGNED_FLAG) != 0;
    if (raw.type == MYSQL_TYPE_TINY && raw.length == 1) field.kind = MysqlKind::tiny1;
    return field;
}

MysqlField decimal_of(const MYSQL_FIELD& raw) {
    MysqlField field = plain(MysqlKind::decimal);
    field.scale = static_cast<int>(raw.decimals);
    field.width = static_cast<int>(raw.length) - (raw.decimals > 0 ? 1 : 0) -
                  ((raw.flags & UNSIGNED_FLAG) != 0 ? 0 : 1);
    return field;
}

MysqlField bits_of(const MYSQL_FIELD& raw) {
    MysqlField field = plain(MysqlKind::bit);
    field.width = static_cast<int>(raw.length);
    return field;
}

MysqlField field_of(const MYSQL_FIELD& raw) {
    switch (raw.type) {
        case MYSQL_TYPE_TINY:
            return integer_of(raw, 1);
        case MYSQL_TYPE_SHORT:
            return integer_of(raw, 2);
        case MYSQL_TYPE_INT24:
        case MYSQL_TYPE_LONG:
            return integer_of(raw, 4);
        case MYSQL_TYPE_LONGLONG:
            return integer_of(raw, 8);
        case MYSQL_TYPE_DECIMAL:
        case MYSQL_TYPE_NEWDECIMAL:
            return decimal_of(raw);
        case MYSQL_TYPE_FLOAT:
            return plain(MysqlKind::real);
        case MYSQL_TYPE_DOUBLE:
            return plain(MysqlKind::double_);
        case MYSQL_TYPE_BIT:
            return bits_of(raw);
        case MYSQL_TYPE_YEAR:
            return plain(MysqlKind::year);
        case MYSQL_TYPE_DATE:
        case MYSQL_TYPE_NEWDATE:
            return plain(MysqlKind::date);
        case MYSQL_TYPE_TIME:
        case MYSQL_TYPE_TIME2:
            return plain(MysqlKind::time);
        case MYSQL_TYPE_DATETIME:
        case MYSQL_TYPE_DATETIME2:
            return plain(MysqlKind::datetime);
        case MYSQL_TYPE_TIMESTAMP:
        case MYSQL_TYPE_TIMESTAMP2:
            return plain(MysqlKind::timestamp);
        case MYSQL_TYPE_JSON:
            return plain(MysqlKind::json);
        case MYSQL_TYPE_GEOMETRY:
            return plain(MysqlKind::blob);
        case MYSQL_TYPE_NULL:
        case MYSQL_TYPE_VARCHAR:
        case MYSQL_TYPE_ENUM:
        case MYSQL_TYPE_SET:
        case MYSQL_TYPE_TINY_BLOB:
        case MYSQL_TYPE_MEDIUM_BLOB:
        case MYSQL_TYPE_LONG_BLOB:
        case MYSQL_TYPE_BLOB:
        case MYSQL_TYPE_VAR_STRING:
        case MYSQL_TYPE_STRING:
        case MAX_NO_FIELD_TYPES:
            return text_field(raw);
    }
    return text_field(raw);
}

}  // namespace

std::vector<MysqlField> fields_of(st_mysql_res* result) {
    std::vector<MysqlField> fields;
    const MYSQL_FIELD* raw = mysql_fetch_fields(result);
    for (unsigned i = 0; i < mysql_num_fields(result); ++i) {
        fields.push_back(field_of(raw[i]));
        fields.back().name.assign(raw[i].name, raw[i].name_length);
    }
    return fields;
}

std::string type_text(const MysqlField& field) {
    static constexpr std::array<std::string_view, 15> names{
        "tinyint(1)",
        "integer",
        "decimal",
        "float",
        "double",
        "bit",
        "text",
        "json",
        "uuid",
        "binary",
        "date",
        "time",
        "datetime",
        "timestamp",
        "year"
    };
    std::string text(names.at(static_cast<std::size_t>(field.kind)));
    if (field.kind == MysqlKind::integer)
        text = field.bytes == 1   ? "tinyint"
               : field.bytes == 2 ? "smallint"
               : field.bytes == 4 ? "int"
                                  : "bigint";
    if (field.kind == MysqlKind::decimal)
        text += "(" + std::to_string(field.width) + "," + std::to_string(field.scale) + ")";
    if (field.kind == MysqlKind::bit) text += "(" + std::to_string(field.width) + ")";
    return field.is_unsigned ? text + " unsigned" : text;
}

ErrorClass class_of_mysql(unsigned code) {
    struct Row {
        ErrorClass error_class;
        std::array<unsigned, 16> codes;  // filled up with 0
    };
    // https://mariadb.com/kb/en/mariadb-error-code-reference/; 2000 and more are the client's.
    static constexpr std::array<Row, 5> table{{
        {ErrorClass::auth,
         {1044,
          1045,
          1130,
          1142,
          1143,
          1227,
          1370,
          1698,
          1820,
          1862,
          2026,
          2058,
          2059,
          2061,
          3118,
          4151}},
        {ErrorClass::schema, {1049, 1051, 1054, 1103, 1109, 1146, 1176, 1356}},
        {ErrorClass::resource, {1021, 1037, 1038, 1041, 1114, 1206, 1969, 3024}},
        {ErrorClass::data_quality,
         {1048, 1062, 1264, 1292, 1365, 1366, 1406, 1411, 1426, 1690, 3140, 4025, 4038}},
        {ErrorClass::transient,
         {1040, 1053, 1077, 1158, 1159, 1160, 1161, 1203, 1205, 1213, 1226, 1317, 1412, 1927, 1020}
        },
    }};
    if (code == 0) return ErrorClass::transient;
    for (const Row& row : table)
        if (std::ranges::find(row.codes, code) != row.codes.end()) return row.error_class;
    return code >= 2000 && code < 3000 ? ErrorClass::transient : ErrorClass::permanent;
}

}  // namespace sluice::connect
