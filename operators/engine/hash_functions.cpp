// hash_functions.cpp — row and content hashes inside the engine. Written in SQL each column became
// several texts, each longer than the one before: most of the CPU of a transform.
#include <algorithm>
#include <array>
#include <charconv>
#include <exception>
#include <memory>
#include <utility>

#include "base/hex.hpp"
#include "base/sha256_batch.hpp"
#include "operators/engine/content_hash.hpp"
#include "operators/engine/failure.hpp"
#include "operators/engine/result.hpp"
#include "operators/engine/row_text.hpp"

namespace sluice::engine {

namespace {

/// The arguments of one call from the `first` on, of whatever type they are.
std::vector<Cells> cells_of(const Library& lib, duckdb_data_chunk chunk, idx_t first = 0) {
    std::vector<Cells> out;
    for (idx_t i = first; i < lib.duckdb_data_chunk_get_column_count(chunk); ++i) {
        duckdb_vector vector = lib.duckdb_data_chunk_get_vector(chunk, i);
        duckdb_logical_type type = lib.duckdb_vector_get_column_type(vector);
        ColumnType known = column_type(lib, type);
        lib.duckdb_destroy_logical_type(&type);
        out.emplace_back(
            std::move(known),
            lib.duckdb_vector_get_data(vector),
            lib.duckdb_vector_get_validity(vector)
        );
    }
    return out;
}

/// The first half of a hash as a number.
Uint128 number_of(const Sha256Digest& digest) {
    Uint128 out = 0;
    for (std::size_t i = 0; i < 16; ++i) out = (out << 8) | digest[i];
    return out;
}

/// Rows whose texts are made and hashed together: they stay in the processor's cache.
constexpr idx_t rows_at_once = 128;

/// sha256 of the text of all columns; what the hashes add up to.
Uint128 hash_cells(
    const Library& lib, const std::vector<Cells>& cells, idx_t rows, duckdb_vector output
) {
    RowText text;
    std::array<std::size_t, rows_at_once + 1> ends{};
    std::array<std::string_view, rows_at_once> texts;
    std::array<Sha256Digest, rows_at_once> digests;
    std::array<char, 64> hex{};
    Uint128 sum = 0;
    for (idx_t first = 0; first < rows; first += rows_at_once) {
        const idx_t count = std::min(rows_at_once, rows - first);
        text.clear();
        for (idx_t i = 0; i < count; ++i) {
            for (const Cells& column : cells) text.add(column, first + i);
            ends[i + 1] = text.text().size();
        }
        for (idx_t i = 0; i < count; ++i)
            texts[i] = text.text().substr(ends[i], ends[i + 1] - ends[i]);
        sha256_batch({texts.data(), count}, {digests.data(), count});
        for (idx_t i = 0; i < count; ++i) {
            sum += number_of(digests[i]);
            hex_into(
                hex.data(), {reinterpret_cast<const char*>(digests[i].data()), digests[i].size()}
            );
            // Hex digits are UTF-8: nothing to look at.
            lib.duckdb_unsafe_vector_assign_string_element_len(
                output, first + i, hex.data(), hex.size()
            );
        }
    }
    return sum;
}

void hash_rows(const Library& lib, duckdb_data_chunk chunk, duckdb_vector output) {
    hash_cells(lib, cells_of(lib, chunk), lib.duckdb_data_chunk_get_size(chunk), output);
}

/// The first argument is the number of the ContentSum.
void hash_and_add(const Library& lib, duckdb_data_chunk chunk, duckdb_vector output) {
    const idx_t rows = lib.duckdb_data_chunk_get_size(chunk);
    if (rows == 0) return;
    const auto number = *static_cast<const std::int64_t*>(
        lib.duckdb_vector_get_data(lib.duckdb_data_chunk_get_vector(chunk, 0))
    );
    const Uint128 sum = hash_cells(lib, cells_of(lib, chunk, 1), rows, output);
    ContentSum::add(number, static_cast<std::int64_t>(rows), sum);
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
    const std::vector<Cells> cells = cells_of(lib, chunk);
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
    const HashType any(lib, DUCKDB_TYPE_ANY);
    duckdb_scalar_function rows = lib.duckdb_create_scalar_function();
    lib.duckdb_scalar_function_set_varargs(rows, any.get());
    lib.duckdb_scalar_function_set_return_type(rows, text.get());
    lib.duckdb_scalar_function_set_special_handling(rows);
    lib.duckdb_scalar_function_set_function(rows, guarded_call<hash_rows>);
    add_hash_function(lib, connection, rows, "sluice_row_hash");

    duckdb_scalar_function sum = lib.duckdb_create_scalar_function();
    lib.duckdb_scalar_function_add_parameter(sum, integer.get());
    lib.duckdb_scalar_function_set_varargs(sum, any.get());
    lib.duckdb_scalar_function_set_return_type(sum, text.get());
    lib.duckdb_scalar_function_set_special_handling(sum);
    lib.duckdb_scalar_function_set_volatile(sum);
    lib.duckdb_scalar_function_set_function(sum, guarded_call<hash_and_add>);
    add_hash_function(lib, connection, sum, "sluice_row_hash_sum");

    duckdb_scalar_function piece = lib.duckdb_create_scalar_function();
    lib.duckdb_scalar_function_add_parameter(piece, text.get());
    lib.duckdb_scalar_function_add_parameter(piece, integer.get());
    lib.duckdb_scalar_function_set_return_type(piece, integer.get());
    lib.duckdb_scalar_function_set_function(piece, guarded_call<take_pieces>);
    add_hash_function(lib, connection, piece, "sluice_hash_piece");
}

}  // namespace sluice::engine
