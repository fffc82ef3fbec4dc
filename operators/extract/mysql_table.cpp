#include "operators/extract/mysql_table.hpp"

#include <algorithm>
#include <set>

#include "base/hash.hpp"
#include "operators/engine/failure.hpp"

namespace sluice::extract {

using connect::mysql_name;
using connect::mysql_text;

namespace {

/// "shop." of "shop.orders".
std::string database_part(const std::string& dotted) {
    const auto dot = dotted.find('.');
    return dot == std::string::npos ? "" : dotted.substr(0, dot + 1);
}

/// Names end at 64 characters.
std::string observations_of(const std::string& dotted) {
    const std::string database = database_part(dotted);
    const std::string name = dotted.substr(database.size()) + "__sluice_obs";
    if (name.size() <= 64) return database + name;
    return database + name.substr(0, 40) + "~" + sha256_hex(name).substr(0, 16);
}

/// MySQL's names of columns do not know capitals.
std::string small(std::string name) {
    std::ranges::transform(name, name.begin(), [](unsigned char c) {
        return static_cast<char>(std::tolower(c));
    });
    return name;
}

std::string in_catalogue(const std::string& dotted) {
    std::string database = database_part(dotted);
    const std::string table = dotted.substr(database.size());
    if (!database.empty()) database.pop_back();
    return "table_schema = " + (database.empty() ? "database()" : mysql_text(database)) +
           " and table_name = " + mysql_text(table);
}

}  // namespace

std::string mysql_list(const std::vector<std::string>& names, const std::string& prefix) {
    std::string out;
    for (const std::string& name : names)
        out += (out.empty() ? "" : ", ") + prefix + mysql_name(name);
    return out;
}

std::int64_t MysqlTables::number(const std::string& sql) {
    const auto rows = mysql_.query(sql);
    return rows.empty() || !rows[0][0] ? 0 : std::stoll(*rows[0][0]);
}

std::string MysqlTables::definitions() const {
    std::string out;
    for (const MysqlTargetColumn& column : shape_.columns)
        out += (out.empty() ? "" : ", ") + mysql_name(column.name) + " " +
               column.definition(shape_.collation);
    return out;
}

std::string MysqlTables::slice_definition() const {
    return std::string(mysql_slice_column) + " varchar(500) character set utf8mb4 collate " +
           shape_.collation + " not null default ''";
}

bool MysqlTables::make(
    const std::string& name, const std::string& columns, const std::string& keys
) {
    if (number("select count(*) from information_schema.tables where " + in_catalogue(name)) > 0)
        return false;
    mysql_.execute(
        "create table " + connect::mysql_dotted(name) + " (" + columns + keys +
        ") engine = InnoDB row_format = dynamic default character set utf8mb4 collate " +
        shape_.collation
    );
    return true;
}

void MysqlTables::make_stage() {
    mysql_.execute(
        std::string("create temporary table ") + mysql_stage + " (" + definitions() +
        ", _sluice_no bigint not null auto_increment primary key) engine = InnoDB"
    );
}

std::string MysqlTables::missing_columns(const std::map<std::string, std::string>& present) const {
    std::string added;
    for (const MysqlTargetColumn& column : shape_.columns)
        if (!present.contains(small(column.name)))
            added += (added.empty() ? "add column " : ", add column ") + mysql_name(column.name) +
                     " " + column.definition(shape_.collation);
    return added;
}

void MysqlTables::prepare_target() {
    const std::string& name = shape_.name;
    const std::string slice_key =
        std::string("key ") + mysql_slice_column + " (" + mysql_slice_column + ")";
    std::string keys;
    if (!shape_.key.empty()) keys += ", primary key (" + mysql_list(shape_.key) + ")";
    if (shape_.keeps_slices) keys += ", " + slice_key;
    if (make(name, definitions() + (shape_.keeps_slices ? ", " + slice_definition() : ""), keys))
        return;
    const auto present = columns_in(name);
    if (number(
            "select count(*) from information_schema.tables where engine = 'InnoDB' and " +
            in_catalogue(name)
        ) == 0)
        engine::bad_schema("it is no table of the engine InnoDB, so a load could be seen half-done"
        );
    if (!shape_.keeps_slices && !has_unique_key())
        engine::bad_schema(
            "the table has no unique index over the key (" + mysql_list(shape_.key) + ")"
        );
    std::string added = missing_columns(present);
    if (shape_.keeps_slices && !present.contains(mysql_slice_column))
        added += (added.empty() ? "add column " : ", add column ") + slice_definition() + ", add " +
                 slice_key;
    if (!added.empty()) {
        mysql_.execute("alter table " + connect::mysql_dotted(name) + " " + added);
        context_.info("table " + name + ": " + added);
    }
    check_fit(columns_in(name));
}

std::map<std::string, std::string> MysqlTables::columns_in(const std::string& name) {
    std::map<std::string, std::string> out;
    for (const auto& row : mysql_.query(
             "select column_name, column_type from information_schema.columns where " +
             in_catalogue(name)
         ))
        out[small(row.at(0).value_or(""))] = row.at(1).value_or("");
    return out;
}

bool MysqlTables::has_unique_key() {
    std::map<std::string, std::set<std::string>> indexes;
    for (const auto& row : mysql_.query(
             "select index_name, column_name from information_schema.statistics where "
             "non_unique = 0 and " +
             in_catalogue(shape_.name)
         ))
        indexes[row.at(0).value_or("")].insert(small(row.at(1).value_or("")));
    std::set<std::string> key;
    for (const std::string& name : shape_.key) key.insert(small(name));
    return std::ranges::any_of(indexes, [&](const auto& index) { return index.second == key; });
}

/// MySQL rounds and cuts some values without a word, so they are tried in columns like the table's.
void MysqlTables::check_fit(const std::map<std::string, std::string>& present) {
    std::vector<std::string> others;
    for (const MysqlTargetColumn& column : shape_.columns)
        if (present.at(small(column.name)) != column.type) others.push_back(column.name);
    if (others.empty()) return;
    const std::string list = mysql_list(others);
    mysql_.execute(
        "create temporary table sluice_fit as select " + list + " from " +
        connect::mysql_dotted(shape_.name) + " limit 0"
    );
    mysql_.execute("alter table sluice_fit add column _sluice_no bigint not null primary key");
    mysql_.execute(
        "insert into sluice_fit (" + list + ", _sluice_no) select " + list + ", _sluice_no from " +
        mysql_stage
    );
    for (const std::string& name : others) {
        const std::string column = mysql_name(name);
        const std::int64_t changed = number(
            std::string("select count(*) from ") + mysql_stage +
            " s join sluice_fit f using (_sluice_no) where not (s." + column + " <=> f." + column +
            ")"
        );
        if (changed > 0)
            engine::bad_schema(
                "column \"" + name + "\" is " + present.at(small(name)) + ", which would change " +
                std::to_string(changed) + " values"
            );
    }
    mysql_.execute("drop temporary table sluice_fit");
}

std::string MysqlTables::prepare_observations() {
    const std::string name = observations_of(shape_.name);
    const std::string key = mysql_list(shape_.key);
    const bool made = make(
        name,
        definitions() +
            ", _sluice_at datetime(6) not null, "
            "_sluice_slice char(40) character set utf8mb4 collate " +
            shape_.collation + " not null",
        ", primary key (" + key + ", _sluice_slice), key (_sluice_slice)"
    );
    if (!made) {
        const std::string added = missing_columns(columns_in(name));
        if (!added.empty())
            mysql_.execute("alter table " + connect::mysql_dotted(name) + " " + added);
    }
    std::string keys;
    for (const MysqlTargetColumn& column : shape_.columns)
        if (column.is_key)
            keys += mysql_name(column.name) + " " + column.definition(shape_.collation) + ", ";
    const std::string primary = "primary key (" + key + ")) engine = InnoDB row_format = dynamic";
    mysql_.execute(std::string("create temporary table ") + mysql_keys + " (" + keys + primary);
    mysql_.execute(
        std::string("create temporary table ") + mysql_shown + " (" + definitions() + ", " + primary
    );
    return connect::mysql_dotted(name);
}

}  // namespace sluice::extract
