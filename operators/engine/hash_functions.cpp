// hash_functions.cpp — row and content hashes inside the engine. Written in SQL they cost ten times
// as much: each column became several texts, each longer than the one before.
#include <algorithm>
#include <array>
#include <charconv>
#include <exception>

#include "base/hash.hpp"
#include "operators/engine/failure.hpp"
#include "operators/engine/result.hpp"

namespace sluice::engine {

namespace {

/// The arguments of one call, all texts but the second of a piece.
std::vector<Cells> cells_of(const Library& lib, duckdb_data_chunk chunk, Kind second) {
    std::vector<Cells> out;
    for (idx_t i = 0; i < lib.duckdb_data_chunk_get_column_count(chunk); ++i) {
        duckdb_vector vector = lib.duckdb_data_chunk_get_vector(chunk, i);
        ColumnType type;
        type.kind = i == 1 ? second : Kind::text;
        type.bytes = 8;
        out.emplace_back(
            type, lib.duckdb_vector_get_data(vector), lib.duckdb_vector_get_validity(vector)
        );
    }
    return out;
}

/// sha256 over `n` for NULL, else `v<bytes>:<text>`, of all arguments.
void hash_rows(const Library& lib, duckdb_data_chunk chunk, duckdb_vector output) {
    const std::vector<Cells> cells = cells_of(lib, chunk, Kind::text);
    std::string text;
    for (idx_t row = 0; row < lib.duckdb_data_chunk_get_size(chunk); ++row) {
        text.clear();
        for (const Cells& column : cells) {
            if (column.is_null(row)) {
                text += 'n';
                continue;
            }
            const std::string_view value = column.text(row);
            std::array<char, 24> length{};
            const char* end = std::to_chars(length.begin(), length.end(), value.size()).ptr;
            text += 'v';
            text.append(length.data(), static_cast<std::size_t>(end - length.data()));
            text += ':';
            text += value;
        }
        const std::string hash = sha256_hex(text);
        lib.duckdb_vector_assign_string_element_len(output, row, hash.data(), hash.size());
    }
}

/// The number that the eight hex digits of a hash from 8 * `piece` on are.
std::uint32_t piece_of(std::string_view hash, std::int64_t piece) {
    std::uint32_t out = 0;
    const auto from = static_cast<std::size_t>(piece) * 8;
    const char* begin = hash.data() + std::min(hash.size(), from);
    const char* end = hash.data() + std::min(hash.size(), from + 8);
    if (end - begin != 8 || std::from_chars(begin, end, out, 16).ptr != end)
        throw Failure(ErrorClass::permanent, '"' + std::string(hash) + "\" is no row hash");
    return out;
}

void take_pieces(const Library& lib, duckdb_data_chunk chunk, duckdb_vector output) {
    const std::vector<Cells> cells = cells_of(lib, chunk, Kind::integer);
    auto* out = static_cast<std::int64_t*>(lib.duckdb_vector_get_data(output));
    for (idx_t row = 0; row < lib.duckdb_data_chunk_get_size(chunk); ++row)
        if (!cells[0].is_null(row)) out[row] = piece_of(cells[0].text(row), cells[1].integer(row));
}

template <void (*body)(const Library&, duckdb_data_chunk, duckdb_vector)>
void guarded_call(duckdb_function_info info, duckdb_data_chunk chunk, duckdb_vector output) {
    // An exception must not cross the engine's C frames.
    try {
        body(library(), chunk, output);
    } catch (const std::exception& error) {
        library().duckdb_scalar_function_set_error(info, error.what());
    }
}

class HashType {
public:
    HashType(const Library& lib, duckdb_type type)
        : lib_(lib), type_(lib.duckdb_create_logical_type(type)) {}
    HashType(const HashType&) = delete;
    HashType& operator=(const HashType&) = delete;
    ~HashType() { lib_.duckdb_destroy_logical_type(&type_); }
    [[nodiscard]] duckdb_logical_type get() const { return type_; }

private:
    const Library& lib_;
    duckdb_logical_type type_;
};

void add_hash_function(
    const Library& lib, duckdb_connection connection, duckdb_scalar_function made, const char* name
) {
    lib.duckdb_scalar_function_set_name(made, name);
    const duckdb_state state = lib.duckdb_register_scalar_function(connection, made);
    lib.duckdb_destroy_scalar_function(&made);
    if (state != DuckDBSuccess)
        throw Error(ErrorCode::internal, std::string(name) + " cannot be registered");
}

}  // namespace

void register_hash_functions(const Library& lib, duckdb_connection connection) {
    const HashType text(lib, DUCKDB_TYPE_VARCHAR);
    const HashType integer(lib, DUCKDB_TYPE_BIGINT);
    duckdb_scalar_function rows = lib.duckdb_create_scalar_function();
    lib.duckdb_scalar_function_set_varargs(rows, text.get());
    lib.duckdb_scalar_function_set_return_type(rows, text.get());
    lib.duckdb_scalar_function_set_special_handling(rows);
    lib.duckdb_scalar_function_set_function(rows, guarded_call<hash_rows>);
    add_hash_function(lib, connection, rows, "sluice_row_hash");

    duckdb_scalar_function piece = lib.duckdb_create_scalar_function();
    lib.duckdb_scalar_function_add_parameter(piece, text.get());
    lib.duckdb_scalar_function_add_parameter(piece, integer.get());
    lib.duckdb_scalar_function_set_return_type(piece, integer.get());
    lib.duckdb_scalar_function_set_function(piece, guarded_call<take_pieces>);
    add_hash_function(lib, connection, piece, "sluice_hash_piece");
}

}  // namespace sluice::engine
