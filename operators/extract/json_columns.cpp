#include "operators/extract/json_columns.hpp"

#include <algorithm>
#include <vector>

#include "operators/engine/failure.hpp"
#include "operators/engine/sql.hpp"
#include "operators/extract/column_names.hpp"

namespace sluice::extract {

using engine::literal;
using engine::quote;

namespace {

std::string json_step(const std::string& key) {
    std::string step = ".\"";
    for (const char c : key) {
        if (c == '"' || c == '\\') step += '\\';
        step += c;
    }
    return step + '"';
}

struct JsonKey {
    std::string name;
    bool is_value{false};   // somewhere something else than an object with members
    bool is_object{false};  // somewhere an object with members
};

std::vector<JsonKey> keys_at(engine::Database& database, const std::string& path, bool types) {
    // A path that is no object has no keys.
    const std::string keys = "json_keys(object, " + literal(path) + ")";
    const std::string object = "json_type(value) = 'OBJECT' and value::varchar <> '{}'";
    const std::string value =
        "json_extract(object, " + literal(path) +
        " || '.\"' || replace(replace(key, '\\', '\\\\'), '\"', '\\\"') || '\"')";
    const std::string known =
        types ? "coalesce(bool_or(not (" + object +
                    ") and json_type(value) <> 'NULL'), false), coalesce(bool_or(" + object +
                    "), false)"
              : "true, false";
    const auto rows = database.query(
        "select key, " + known + ", min(place) as place from (select key, place" +
        (types ? ", " + value + " as value" : "") + " from (select object, unnest(" + keys +
        ") as key, generate_subscripts(" + keys +
        ", 1) as place from sluice_objects)) group by key order by place, key"
    );
    std::vector<JsonKey> found;
    for (const auto& row : rows.rows) {
        std::string name = engine::to_text(row.at(0));
        if (name.empty() || name.find('\0') != std::string::npos)
            engine::bad_schema(
                "a key of the objects is empty or has a zero byte: it can be no column's name"
            );
        found.push_back({std::move(name), std::get<bool>(row.at(1)), std::get<bool>(row.at(2))});
    }
    return found;
}

class Flattened {
public:
    explicit Flattened(engine::Database& database) : database_(database) {}

    void add(const std::string& path, const std::string& prefix) {
        const auto keys = keys_at(database_, path, true);
        // Names of this level come before those of the members below it.
        std::vector<std::string> names;
        for (const JsonKey& key : keys) {
            const std::string name = prefix.empty() ? key.name : prefix + "_" + key.name;
            // Never anything but null: still a column.
            names.push_back(key.is_value || !key.is_object ? names_.free(name) : "");
        }
        for (std::size_t i = 0; i < keys.size(); ++i) {
            const std::string inner = path + json_step(keys[i].name);
            if (keys[i].is_value || !keys[i].is_object) column(inner, names[i], keys[i].is_object);
            if (keys[i].is_object)
                add(inner, prefix.empty() ? keys[i].name : prefix + "_" + keys[i].name);
        }
    }
    [[nodiscard]] const std::string& select() const { return select_; }

private:
    void column(const std::string& path, const std::string& name, bool also_object) {
        std::string text = "json_extract_string(object, " + literal(path) + ")";
        if (also_object) {
            // Elsewhere its members are columns.
            text = "case when json_type(object, " + literal(path) +
                   ") = 'OBJECT' and json_extract(object, " + literal(path) +
                   ")::varchar <> '{}' then null else " + text + " end";
        }
        select_ += text + " as " + quote(name) + ", ";
    }

    engine::Database& database_;
    ColumnNames names_{
        "flattened, the objects have more than 5,000 columns: their keys are data, so keep them "
        "(\"nested\": \"keep\")"
    };
    std::string select_;
};

}  // namespace

Nested nested_of(const std::string& written) {
    return written == "flatten" ? Nested::flatten : Nested::keep;
}

std::string json_columns(engine::Database& database, Nested nested) {
    if (nested == Nested::flatten) {
        Flattened flattened(database);
        flattened.add("$", "");
        return flattened.select();
    }
    std::string select;
    ColumnNames names("the objects have more than 5,000 different keys: their keys are data");
    for (const JsonKey& key : keys_at(database, "$", false)) {
        // To the engine's paths * means every key, quoted too; to its pointers it is one.
        const std::string step = key.name == "*" ? "/*" : "$" + json_step(key.name);
        select += "json_extract_string(object, " + literal(step) + ") as " +
                  quote(names.free(key.name)) + ", ";
    }
    return select;
}

}  // namespace sluice::extract
