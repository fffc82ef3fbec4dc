# duckdb.cmake — target sluice_duckdb: DuckDB's C header, and build/…/libduckdb.so beside the program.
# The pinned static archives (cmake/duckdb/go.mod) are linked once into a shared library that exports
# duckdb_* only, so that a process which opens it starts in 20 ms. Nothing links against it: the
# engine opens it at run time, and only in worker processes.
add_library(sluice_duckdb INTERFACE)
if(DUCKDB_DIR)
  target_include_directories(sluice_duckdb SYSTEM INTERFACE "${DUCKDB_DIR}/include")
  configure_file("${DUCKDB_DIR}/lib/libduckdb.so" "${CMAKE_BINARY_DIR}/libduckdb.so" COPYONLY)
  return()
endif()

find_program(GO go REQUIRED)
execute_process(
  COMMAND ${CMAKE_COMMAND} -E env GOFLAGS=-mod=mod GOTOOLCHAIN=local ${GO} mod download -json
  WORKING_DIRECTORY "${CMAKE_SOURCE_DIR}/cmake/duckdb"
  OUTPUT_VARIABLE module_json RESULT_VARIABLE failed ERROR_VARIABLE message)
if(failed)
  message(FATAL_ERROR "DuckDB could not be fetched: ${message}\nRun `make deps` with network access once.")
endif()
string(JSON DUCKDB_MODULE GET "${module_json}" Dir)
target_include_directories(sluice_duckdb SYSTEM INTERFACE "${DUCKDB_MODULE}")

# The main archive is taken whole (it also holds copies of the third-party parts); the others only
# fill in what it leaves open, in the order that the module's prebuilt.go gives.
set(parts
  duckdb_generated_extension_loader autocomplete_extension core_functions_extension icu_extension
  json_extension parquet_extension tpcds_extension tpch_extension duckdb_fastpforlib duckdb_fmt
  duckdb_fsst duckdb_hyperloglog duckdb_mbedtls duckdb_miniz duckdb_pg_query duckdb_re2
  duckdb_skiplistlib duckdb_utf8proc duckdb_yyjson duckdb_zstd)
set(archives "")
foreach(part ${parts})
  list(APPEND archives "${DUCKDB_MODULE}/lib${part}.a")
endforeach()
file(GLOB jemalloc "${DUCKDB_MODULE}/libduckdb_jemalloc.a")
list(APPEND archives ${jemalloc})
if(MOLD)
  set(linker -fuse-ld=mold)
endif()
set(script "${CMAKE_BINARY_DIR}/duckdb.version")
file(WRITE "${script}" "{ global: duckdb_*; local: *; };\n")
add_custom_command(
  OUTPUT "${CMAKE_BINARY_DIR}/libduckdb.so"
  COMMAND ${CMAKE_CXX_COMPILER} -shared -o libduckdb.so ${linker} -Wl,-Bsymbolic -Wl,--version-script=${script}
          -Wl,--whole-archive "${DUCKDB_MODULE}/libduckdb_static.a" -Wl,--no-whole-archive
          -Wl,--start-group ${archives} -Wl,--end-group -lpthread -ldl -lm
  WORKING_DIRECTORY "${CMAKE_BINARY_DIR}"
  COMMENT "Linking libduckdb.so"
  VERBATIM)
add_custom_target(sluice_duckdb_library DEPENDS "${CMAKE_BINARY_DIR}/libduckdb.so")
add_dependencies(sluice_duckdb sluice_duckdb_library)
