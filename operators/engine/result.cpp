#include "operators/engine/result.hpp"

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace sluice::engine {

namespace {

bool contains(std::string_view text, std::string_view part) {
    return text.find(part) != std::string_view::npos;
}

ErrorClass class_of_message(std::string_view message) {
    struct Row {
        std::string_view prefix;
        ErrorClass error_class;
    };
    static constexpr std::array<Row, 12> table{{
        {"Out of Memory", ErrorClass::resource},
        {"INTERRUPT", ErrorClass::transient},
        {"Interrupted", ErrorClass::transient},
        {"IO Error", ErrorClass::transient},
        {"HTTP", ErrorClass::transient},
        {"Conversion", ErrorClass::data_quality},
        {"Invalid Input", ErrorClass::data_quality},
        {"Invalid Error", ErrorClass::data_quality},  // a file's format
        {"Out of Range", ErrorClass::data_quality},
        {"Constraint", ErrorClass::data_quality},
        {"Binder", ErrorClass::schema},
        {"Catalog", ErrorClass::schema},
    }};
    if (message.starts_with("IO Error"))
        for (const int full : {ENOSPC, EDQUOT, EFBIG})
            if (contains(message, std::strerror(full))) return ErrorClass::resource;
    for (const Row& row : table) {
        if (message.substr(0, row.prefix.size()) == row.prefix) return row.error_class;
    }
    return ErrorClass::permanent;
}

}  // namespace

Failure failure_of(std::string_view message) {
    const ErrorClass kind = class_of_message(message);
    if (!message.starts_with("Out of Memory")) return {kind, std::string(message)};
    const std::string_view what = message.substr(0, message.find('\n'));
    const std::string_view advice =
        contains(what, "offload")
            ? "what does not fit into memory does not fit on the disk of the task's working folder "
              "either, or into resources.temp of the task"
            : "raise resources.memory of the task, or let it read less at a time";
    return {kind, std::string(what) + ": " + std::string(advice)};
}

Result::Result(Result&& other) noexcept
    : lib_(other.lib_), result_(other.result_), owned_(std::exchange(other.owned_, false)) {}

Result::~Result() {
    if (owned_) lib_->duckdb_destroy_result(&result_);
}

void Result::fail() {
    const char* message = lib_->duckdb_result_error(&result_);
    throw failure_of(message != nullptr ? message : "the query failed");
}

namespace {

ColumnType integer_type(int bytes) {
    ColumnType type;
    type.kind = Kind::integer;
    type.bytes = bytes;
    return type;
}

ColumnType simple(Kind kind, int bytes = 0) {
    ColumnType type;
    type.kind = kind;
    type.bytes = bytes;
    return type;
}

int decimal_bytes(duckdb_type internal) {
    if (internal == DUCKDB_TYPE_SMALLINT) return 2;
    if (internal == DUCKDB_TYPE_INTEGER) return 4;
    if (internal == DUCKDB_TYPE_BIGINT) return 8;
    return 16;
}

ColumnType text_type(const Library& lib, duckdb_logical_type type) {
    ColumnType column = simple(Kind::text);
    if (char* alias = lib.duckdb_logical_type_get_alias(type)) {
        if (std::string_view(alias) == "JSON") column.kind = Kind::json;
        lib.duckdb_free(alias);
    }
    return column;
}

ColumnType list_type(const Library& lib, duckdb_logical_type type) {
    ColumnType column = simple(Kind::list);
    duckdb_logical_type child = lib.duckdb_list_type_child_type(type);
    column.child = std::make_shared<ColumnType>(column_type(lib, child));
    lib.duckdb_destroy_logical_type(&child);
    return column;
}

}  // namespace

ColumnType column_type(const Library& lib, duckdb_logical_type type) {
    const duckdb_type id = lib.duckdb_get_type_id(type);
    // Not a switch over all enumerators: DuckDB adds types, and what is not known here is `other`.
    if (id == DUCKDB_TYPE_BOOLEAN) return simple(Kind::boolean);
    if (id == DUCKDB_TYPE_TINYINT) return integer_type(1);
    if (id == DUCKDB_TYPE_SMALLINT) return integer_type(2);
    if (id == DUCKDB_TYPE_INTEGER) return integer_type(4);
    if (id == DUCKDB_TYPE_BIGINT) return integer_type(8);
    if (id == DUCKDB_TYPE_UTINYINT) return integer_type(-1);
    if (id == DUCKDB_TYPE_USMALLINT) return integer_type(-2);
    if (id == DUCKDB_TYPE_UINTEGER) return integer_type(-4);
    if (id == DUCKDB_TYPE_UBIGINT) return simple(Kind::unsigned64, -8);
    if (id == DUCKDB_TYPE_HUGEINT) return simple(Kind::huge, 16);
    if (id == DUCKDB_TYPE_FLOAT) return simple(Kind::real);
    if (id == DUCKDB_TYPE_DOUBLE) return simple(Kind::double_);
    if (id == DUCKDB_TYPE_VARCHAR) return text_type(lib, type);
    if (id == DUCKDB_TYPE_BLOB) return simple(Kind::blob);
    if (id == DUCKDB_TYPE_DATE) return simple(Kind::date, 4);
    if (id == DUCKDB_TYPE_TIME) return simple(Kind::time, 8);
    if (id == DUCKDB_TYPE_TIMESTAMP) return simple(Kind::timestamp, 8);
    if (id == DUCKDB_TYPE_TIMESTAMP_TZ) return simple(Kind::timestamptz, 8);
    if (id == DUCKDB_TYPE_INTERVAL) return simple(Kind::interval);
    if (id == DUCKDB_TYPE_UUID) return simple(Kind::uuid);
    if (id == DUCKDB_TYPE_LIST) return list_type(lib, type);
    // The type of a bare NULL: no cell of it is ever read.
    if (id == DUCKDB_TYPE_SQLNULL) return integer_type(4);
    if (id == DUCKDB_TYPE_DECIMAL) {
        ColumnType column =
            simple(Kind::decimal, decimal_bytes(lib.duckdb_decimal_internal_type(type)));
        column.width = lib.duckdb_decimal_width(type);
        column.scale = lib.duckdb_decimal_scale(type);
        return column;
    }
    return simple(Kind::other);
}

std::string type_text(const ColumnType& type) {
    static constexpr std::array<std::string_view, 20> names{
        "BOOLEAN",
        "BIGINT",
        "UBIGINT",
        "HUGEINT",
        "FLOAT",
        "DOUBLE",
        "DECIMAL",
        "VARCHAR",
        "JSON",
        "BLOB",
        "DATE",
        "TIME",
        "TIMESTAMP",
        "TIMESTAMP WITH TIME ZONE",
        "INTERVAL",
        "UUID",
        "LIST",
        "OTHER"
    };
    if (type.kind == Kind::integer) {
        if (type.bytes == 1) return "TINYINT";
        if (type.bytes == 2) return "SMALLINT";
        if (type.bytes == 4) return "INTEGER";
        if (type.bytes == -1) return "UTINYINT";
        if (type.bytes == -2) return "USMALLINT";
        if (type.bytes == -4) return "UINTEGER";
    }
    if (type.kind == Kind::decimal) {
        return "DECIMAL(" + std::to_string(type.width) + "," + std::to_string(type.scale) + ")";
    }
    if (type.kind == Kind::list) return type_text(*type.child) + "[]";
    return std::string(names.at(static_cast<std::size_t>(type.kind)));
}

namespace {

Cells cells_of(const Library& lib, const ColumnType& type, duckdb_vector vector) {
    Cells cells(type, lib.duckdb_vector_get_data(vector), lib.duckdb_vector_get_validity(vector));
    if (type.kind == Kind::list) {
        cells.set_child(std::make_shared<Cells>(
            cells_of(lib, *type.child, lib.duckdb_list_vector_get_child(vector))
        ));
    }
    return cells;
}

class FetchedChunk final : public Chunk {
public:
    FetchedChunk(const Library& lib, duckdb_data_chunk chunk, const std::vector<ColumnType>& types)
        : lib_(lib), chunk_(chunk), rows_(lib.duckdb_data_chunk_get_size(chunk)) {
        for (std::size_t i = 0; i < types.size(); ++i) {
            columns_.push_back(cells_of(lib, types[i], lib.duckdb_data_chunk_get_vector(chunk, i)));
        }
    }
    FetchedChunk(const FetchedChunk&) = delete;
    FetchedChunk& operator=(const FetchedChunk&) = delete;
    ~FetchedChunk() override { lib_.duckdb_destroy_data_chunk(&chunk_); }
    [[nodiscard]] std::size_t rows() const override { return rows_; }
    [[nodiscard]] std::size_t columns() const override { return columns_.size(); }
    [[nodiscard]] const Cells& column(std::size_t index) const override {
        return columns_.at(index);
    }

private:
    const Library& lib_;
    duckdb_data_chunk chunk_;
    std::size_t rows_;
    std::vector<Cells> columns_;
};

std::vector<ColumnType> types_of(const Library& lib, duckdb_result* result) {
    std::vector<ColumnType> types;
    for (idx_t i = 0; i < lib.duckdb_column_count(result); ++i) {
        duckdb_logical_type type = lib.duckdb_column_logical_type(result, i);
        types.push_back(column_type(lib, type));
        lib.duckdb_destroy_logical_type(&type);
    }
    return types;
}

}  // namespace

std::vector<ColumnInfo> Result::columns() {
    std::vector<ColumnInfo> columns;
    const std::vector<ColumnType> types = types_of(*lib_, &result_);
    for (std::size_t i = 0; i < types.size(); ++i) {
        columns.push_back({lib_->duckdb_column_name(&result_, i), type_text(types[i])});
    }
    return columns;
}

void Result::each(const std::function<void(const Chunk&)>& visit) {
    const std::vector<ColumnType> types = types_of(*lib_, &result_);
    while (duckdb_data_chunk raw = lib_->duckdb_fetch_chunk(result_)) {
        const FetchedChunk chunk(*lib_, raw, types);
        if (chunk.rows() == 0) break;
        visit(chunk);
    }
    const char* message = lib_->duckdb_result_error(&result_);
    if (message != nullptr && *message != '\0') fail();
}

}  // namespace sluice::engine
