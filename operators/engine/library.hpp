// library.hpp — the functions of DuckDB's C API that Sluice uses, found with dlopen at first use.
#pragma once

#include <duckdb.h>

namespace sluice::engine {

#define SLUICE_DUCKDB_FUNCTIONS(X)                    \
    X(duckdb_library_version)                         \
    X(duckdb_create_config)                           \
    X(duckdb_set_config)                              \
    X(duckdb_destroy_config)                          \
    X(duckdb_open_ext)                                \
    X(duckdb_close)                                   \
    X(duckdb_connect)                                 \
    X(duckdb_disconnect)                              \
    X(duckdb_interrupt)                               \
    X(duckdb_query_progress)                          \
    X(duckdb_free)                                    \
    X(duckdb_extract_statements)                      \
    X(duckdb_extract_statements_error)                \
    X(duckdb_prepare_extracted_statement)             \
    X(duckdb_destroy_extracted)                       \
    X(duckdb_prepare_error)                           \
    X(duckdb_destroy_prepare)                         \
    X(duckdb_nparams)                                 \
    X(duckdb_bind_boolean)                            \
    X(duckdb_bind_int64)                              \
    X(duckdb_bind_double)                             \
    X(duckdb_bind_varchar_length)                     \
    X(duckdb_bind_null)                               \
    X(duckdb_pending_prepared)                        \
    X(duckdb_pending_prepared_streaming)              \
    X(duckdb_pending_execute_task)                    \
    X(duckdb_pending_error)                           \
    X(duckdb_destroy_pending)                         \
    X(duckdb_execute_pending)                         \
    X(duckdb_destroy_result)                          \
    X(duckdb_result_error)                            \
    X(duckdb_result_error_type)                       \
    X(duckdb_rows_changed)                            \
    X(duckdb_column_count)                            \
    X(duckdb_column_name)                             \
    X(duckdb_column_logical_type)                     \
    X(duckdb_fetch_chunk)                             \
    X(duckdb_create_data_chunk)                       \
    X(duckdb_destroy_data_chunk)                      \
    X(duckdb_data_chunk_reset)                        \
    X(duckdb_data_chunk_get_column_count)             \
    X(duckdb_data_chunk_get_vector)                   \
    X(duckdb_data_chunk_get_size)                     \
    X(duckdb_data_chunk_set_size)                     \
    X(duckdb_vector_size)                             \
    X(duckdb_vector_get_data)                         \
    X(duckdb_vector_get_column_type)                  \
    X(duckdb_vector_get_validity)                     \
    X(duckdb_vector_ensure_validity_writable)         \
    X(duckdb_vector_assign_string_element_len)        \
    X(duckdb_unsafe_vector_assign_string_element_len) \
    X(duckdb_list_vector_get_child)                   \
    X(duckdb_list_vector_reserve)                     \
    X(duckdb_list_vector_set_size)                    \
    X(duckdb_create_logical_type)                     \
    X(duckdb_destroy_logical_type)                    \
    X(duckdb_get_type_id)                             \
    X(duckdb_logical_type_get_alias)                  \
    X(duckdb_decimal_width)                           \
    X(duckdb_decimal_scale)                           \
    X(duckdb_decimal_internal_type)                   \
    X(duckdb_enum_internal_type)                      \
    X(duckdb_list_type_child_type)                    \
    X(duckdb_validity_set_row_invalid)                \
    X(duckdb_appender_create)                         \
    X(duckdb_appender_column_count)                   \
    X(duckdb_appender_column_type)                    \
    X(duckdb_appender_error)                          \
    X(duckdb_appender_close)                          \
    X(duckdb_appender_flush)                          \
    X(duckdb_appender_destroy)                        \
    X(duckdb_append_data_chunk)                       \
    X(duckdb_create_scalar_function)                  \
    X(duckdb_destroy_scalar_function)                 \
    X(duckdb_scalar_function_set_name)                \
    X(duckdb_scalar_function_add_parameter)           \
    X(duckdb_scalar_function_set_varargs)             \
    X(duckdb_scalar_function_set_return_type)         \
    X(duckdb_scalar_function_set_special_handling)    \
    X(duckdb_scalar_function_set_volatile)            \
    X(duckdb_scalar_function_set_extra_info)          \
    X(duckdb_scalar_function_set_function)            \
    X(duckdb_scalar_function_get_extra_info)          \
    X(duckdb_scalar_function_set_error)               \
    X(duckdb_register_scalar_function)                \
    X(duckdb_create_table_function)                   \
    X(duckdb_destroy_table_function)                  \
    X(duckdb_table_function_set_name)                 \
    X(duckdb_table_function_set_extra_info)           \
    X(duckdb_table_function_set_bind)                 \
    X(duckdb_table_function_set_init)                 \
    X(duckdb_table_function_set_function)             \
    X(duckdb_register_table_function)                 \
    X(duckdb_bind_get_extra_info)                     \
    X(duckdb_bind_add_result_column)                  \
    X(duckdb_init_get_extra_info)                     \
    X(duckdb_init_set_max_threads)                    \
    X(duckdb_init_set_error)                          \
    X(duckdb_function_get_extra_info)                 \
    X(duckdb_function_set_error)

/// One pointer a function, named without the prefix's library.
struct Library {
// NOLINTNEXTLINE(bugprone-macro-parentheses): a member's name cannot have them
#define SLUICE_DUCKDB_MEMBER(name) decltype(&::name) name{};
    SLUICE_DUCKDB_FUNCTIONS(SLUICE_DUCKDB_MEMBER)
#undef SLUICE_DUCKDB_MEMBER
};

/// Opens libduckdb.so beside the program (or in a folder above it) at the first call. Throws
/// Error(unavailable) naming what was looked for.
const Library& library();

}  // namespace sluice::engine
