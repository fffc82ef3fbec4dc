// row_source.cpp — C++ callbacks as table functions.
#include "base/check.hpp"
#include "operators/engine/failure.hpp"
#include "operators/engine/result.hpp"

namespace sluice::engine {

namespace {

/// What a registered source keeps; owned by the engine, freed with the database.
class RegisteredSource {
public:
    RegisteredSource(const Library& library, const RowSource& rows, duckdb_result& typed)
        : lib(library), source(rows) {
        for (idx_t i = 0; i < source.columns.size(); ++i) {
            logical.push_back(lib.duckdb_column_logical_type(&typed, i));
            types.push_back(column_type(lib, logical.back()));
        }
    }
    RegisteredSource(const RegisteredSource&) = delete;
    RegisteredSource& operator=(const RegisteredSource&) = delete;
    ~RegisteredSource() {
        for (duckdb_logical_type& type : logical) lib.duckdb_destroy_logical_type(&type);
    }

    const Library& lib;
    const RowSource source;
    std::vector<duckdb_logical_type> logical;
    std::vector<ColumnType> types;
};

void bind_source(duckdb_bind_info info) {
    const Library& lib = library();
    const auto* of = static_cast<const RegisteredSource*>(lib.duckdb_bind_get_extra_info(info));
    for (std::size_t i = 0; i < of->logical.size(); ++i)
        lib.duckdb_bind_add_result_column(info, of->source.columns[i].name.c_str(), of->logical[i]);
}

// Ours must not cross the engine's frames; its own (no memory for a text) must, or its class is
// lost.
void begin_source(duckdb_init_info info) {
    const Library& lib = library();
    const auto* of = static_cast<const RegisteredSource*>(lib.duckdb_init_get_extra_info(info));
    try {
        lib.duckdb_init_set_max_threads(info, static_cast<idx_t>(of->source.threads));
        of->source.begin();
    } catch (const Error& error) {
        lib.duckdb_init_set_error(info, error.what());
    }
}

void next_of_source(duckdb_function_info info, duckdb_data_chunk output) {
    const Library& lib = library();
    const auto* of = static_cast<const RegisteredSource*>(lib.duckdb_function_get_extra_info(info));
    try {
        fill_chunk(lib, output, of->types, of->source.next);
    } catch (const Error& error) {
        lib.duckdb_function_set_error(info, error.what());
    }
}

}  // namespace

void register_source(
    const Library& lib, duckdb_connection connection, const RowSource& source, duckdb_result& typed
) {
    SLUICE_CHECK(lib.duckdb_vector_size() == batch_rows);
    auto registered = std::make_unique<RegisteredSource>(lib, source, typed);
    duckdb_table_function made = lib.duckdb_create_table_function();
    lib.duckdb_table_function_set_name(made, source.name.c_str());
    lib.duckdb_table_function_set_extra_info(made, registered.release(), [](void* data) {
        delete static_cast<RegisteredSource*>(data);
    });
    lib.duckdb_table_function_set_bind(made, bind_source);
    lib.duckdb_table_function_set_init(made, begin_source);
    lib.duckdb_table_function_set_function(made, next_of_source);
    const duckdb_state state = lib.duckdb_register_table_function(connection, made);
    lib.duckdb_destroy_table_function(&made);
    if (state != DuckDBSuccess)
        throw Error(ErrorCode::internal, source.name + " cannot be registered");
}

}  // namespace sluice::engine
