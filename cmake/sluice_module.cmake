# sluice_module(NAME DEPENDS a b LIBS X::Y)
#   One folder = one static library `sluice_NAME` (alias sluice::NAME) = one test program
#   `sluice_NAME_test` of the folder's *_test.cpp. Include root is the folder above, so that a file
#   is named "core/scheduler.hpp" everywhere. DEPENDS names other modules, LIBS outside libraries.
function(sluice_module name)
  cmake_parse_arguments(ARG "" "" "DEPENDS;LIBS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/${name}/*.cpp")
  set(tests ${sources})
  list(FILTER sources EXCLUDE REGEX "_test\\.cpp$")
  list(FILTER tests INCLUDE REGEX "_test\\.cpp$")

  if(sources)
    add_library(sluice_${name} STATIC ${sources})
    set(scope PUBLIC)
    target_link_libraries(sluice_${name} PRIVATE sluice_warnings)
  else()
    add_library(sluice_${name} INTERFACE)
    set(scope INTERFACE)
  endif()
  add_library(sluice::${name} ALIAS sluice_${name})
  target_include_directories(sluice_${name} ${scope} "${CMAKE_SOURCE_DIR}/daemon" "${CMAKE_SOURCE_DIR}")
  list(TRANSFORM ARG_DEPENDS PREPEND sluice::)
  target_link_libraries(sluice_${name} ${scope} ${ARG_DEPENDS} ${ARG_LIBS})

  if(SLUICE_TESTS AND tests)
    add_executable(sluice_${name}_test ${tests} $<TARGET_OBJECTS:sluice_catch_main>)
    target_link_libraries(sluice_${name}_test PRIVATE sluice::${name} sluice_warnings Catch2::Catch2)
    target_compile_options(sluice_${name}_test PRIVATE ${SLUICE_TEST_FLAGS})
    # Each test file has its own fixtures, often under the names of the others'.
    set_target_properties(sluice_${name}_test PROPERTIES UNITY_BUILD OFF)
    catch_discover_tests(sluice_${name}_test TEST_PREFIX "${name}: " PROPERTIES LABELS "unit;${name}" TIMEOUT 120)
  endif()
endfunction()
