// functions.cpp — C++ callbacks as scalar functions.
#include <cstring>
#include <exception>

#include "base/check.hpp"
#include "operators/engine/failure.hpp"
#include "operators/engine/result.hpp"

namespace sluice::engine {

namespace {

/// What a registered function keeps; owned by the engine, freed with the database.
struct Registered {
    const Library* lib;
    ScalarFunction function;
};

class ChunkArguments final : public Arguments {
public:
    ChunkArguments(const Library& lib, const ScalarFunction& function, duckdb_data_chunk chunk)
        : rows_(lib.duckdb_data_chunk_get_size(chunk)) {
        for (std::size_t i = 0; i < function.arguments.size(); ++i) {
            duckdb_vector vector = lib.duckdb_data_chunk_get_vector(chunk, i);
            ColumnType type;
            type.kind = function.arguments[i] == FunctionType::text ? Kind::text : Kind::integer;
            type.bytes = 8;
            columns_.emplace_back(
                type, lib.duckdb_vector_get_data(vector), lib.duckdb_vector_get_validity(vector)
            );
        }
    }
    [[nodiscard]] std::size_t rows() const override { return rows_; }
    [[nodiscard]] bool is_null(std::size_t argument, std::size_t row) const override {
        return columns_[argument].is_null(row);
    }
    [[nodiscard]] std::string_view text(std::size_t argument, std::size_t row) const override {
        return columns_[argument].text(row);
    }
    [[nodiscard]] std::int64_t integer(std::size_t argument, std::size_t row) const override {
        return columns_[argument].integer(row);
    }

private:
    std::size_t rows_;
    std::vector<Cells> columns_;
};

bool is_ascii(std::string_view text) {
    std::uint64_t seen = 0;
    while (text.size() >= sizeof seen) {
        std::uint64_t part = 0;
        std::memcpy(&part, text.data(), sizeof part);
        seen |= part;
        text.remove_prefix(sizeof part);
    }
    for (const char c : text) seen |= static_cast<unsigned char>(c);
    return (seen & 0x8080808080808080U) == 0;
}

class VectorResults final : public Results {
public:
    VectorResults(const Library& lib, duckdb_vector vector) : lib_(lib), vector_(vector) {}
    void null(std::size_t row) override {
        lib_.duckdb_vector_ensure_validity_writable(vector_);
        lib_.duckdb_validity_set_row_invalid(lib_.duckdb_vector_get_validity(vector_), row);
    }
    void text(std::size_t row, std::string_view value) override {
        // The engine's own look at UTF-8 takes longer than most functions.
        if (is_ascii(value))
            lib_.duckdb_unsafe_vector_assign_string_element_len(
                vector_, row, value.data(), value.size()
            );
        else
            lib_.duckdb_vector_assign_string_element_len(vector_, row, value.data(), value.size());
    }
    void integer(std::size_t row, std::int64_t value) override {
        static_cast<std::int64_t*>(lib_.duckdb_vector_get_data(vector_))[row] = value;
    }

private:
    const Library& lib_;
    duckdb_vector vector_;
};

void call(duckdb_function_info info, duckdb_data_chunk input, duckdb_vector output) {
    const Library& lib = library();
    const auto* registered =
        static_cast<const Registered*>(lib.duckdb_scalar_function_get_extra_info(info));
    // An exception must not cross the engine's C frames.
    try {
        const ChunkArguments arguments(lib, registered->function, input);
        VectorResults results(lib, output);
        registered->function.body(arguments, results);
    } catch (const std::exception& error) {
        lib.duckdb_scalar_function_set_error(info, error.what());
    } catch (...) {
        lib.duckdb_scalar_function_set_error(info, "the function failed");
    }
}

class LogicalType {
public:
    LogicalType(const Library& lib, FunctionType type)
        : lib_(lib),
          type_(lib.duckdb_create_logical_type(
              type == FunctionType::text ? DUCKDB_TYPE_VARCHAR : DUCKDB_TYPE_BIGINT
          )) {}
    LogicalType(const LogicalType&) = delete;
    LogicalType& operator=(const LogicalType&) = delete;
    ~LogicalType() { lib_.duckdb_destroy_logical_type(&type_); }
    [[nodiscard]] duckdb_logical_type get() const { return type_; }

private:
    const Library& lib_;
    duckdb_logical_type type_;
};

}  // namespace

void register_function(
    const Library& lib, duckdb_connection connection, const ScalarFunction& function
) {
    duckdb_scalar_function made = lib.duckdb_create_scalar_function();
    lib.duckdb_scalar_function_set_name(made, function.name.c_str());
    for (const FunctionType argument : function.arguments) {
        lib.duckdb_scalar_function_add_parameter(made, LogicalType(lib, argument).get());
    }
    lib.duckdb_scalar_function_set_return_type(made, LogicalType(lib, function.result).get());
    if (function.handles_null) lib.duckdb_scalar_function_set_special_handling(made);
    if (function.is_volatile) lib.duckdb_scalar_function_set_volatile(made);
    auto registered = std::make_unique<Registered>(Registered{&lib, function});
    lib.duckdb_scalar_function_set_extra_info(made, registered.release(), [](void* data) {
        delete static_cast<Registered*>(data);
    });
    lib.duckdb_scalar_function_set_function(made, call);
    const duckdb_state state = lib.duckdb_register_scalar_function(connection, made);
    lib.duckdb_destroy_scalar_function(&made);
    if (state != DuckDBSuccess) {
        throw Error(ErrorCode::internal, "the function " + function.name + " cannot be registered");
    }
}

}  // namespace sluice::engine
