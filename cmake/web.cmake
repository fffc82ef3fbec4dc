# embed_web(TARGET)
#   Builds the dashboard (web/src) with node and puts its files into TARGET: api/web_files.hpp. Without
#   node or web/node_modules (deploy/install-deps gets both) an empty list is embedded and `/` says so.
#   SLUICE_WEB=ON makes that an error.
set(SLUICE_WEB AUTO CACHE STRING "Embed the dashboard: AUTO, ON or OFF")

function(embed_web target)
  set(web "${CMAKE_SOURCE_DIR}/web")
  set(out "${CMAKE_BINARY_DIR}/web")
  find_program(NODE_PROGRAM NAMES node nodejs)
  # A change of the installed tools configures again.
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${web}/package-lock.json")
  set(ready FALSE)
  if(NODE_PROGRAM AND EXISTS "${web}/node_modules/esbuild" AND NOT SLUICE_WEB STREQUAL "OFF")
    set(ready TRUE)
  endif()
  if(NOT ready)
    if(SLUICE_WEB STREQUAL "ON")
      message(FATAL_ERROR "SLUICE_WEB=ON needs node and web/node_modules: run deploy/install-deps")
    elseif(NOT SLUICE_WEB STREQUAL "OFF")
      message(WARNING "The dashboard is left out: run deploy/install-deps, then configure again")
    endif()
    file(CONFIGURE OUTPUT "${out}/no_web_files.cpp" CONTENT
"#include \"api/web_files.hpp\"
std::span<const sluice::EmbeddedFile> sluice::web::files() { return {}; }
" @ONLY)
    target_sources(${target} PRIVATE "${out}/no_web_files.cpp")
    return()
  endif()
  file(GLOB_RECURSE inputs CONFIGURE_DEPENDS "${web}/src/*")
  list(FILTER inputs EXCLUDE REGEX "\\.test\\.ts$")
  add_custom_command(
    OUTPUT "${out}/web_files.cpp" "${out}/web_files.s"
    COMMAND "${NODE_PROGRAM}" build.mjs --dist "${out}/dist" --cpp "${out}"
    WORKING_DIRECTORY "${web}"
    DEPENDS ${inputs} "${web}/build.mjs" "${web}/budget.json" "${web}/package-lock.json" "${web}/tsconfig.json"
    COMMENT "Building the dashboard" VERBATIM)
  enable_language(ASM)
  # The assembler reads the files themselves, which the build writes together with the table.
  set_source_files_properties("${out}/web_files.s" PROPERTIES OBJECT_DEPENDS "${out}/web_files.cpp")
  target_sources(${target} PRIVATE "${out}/web_files.cpp" "${out}/web_files.s")
endfunction()
