# toolchain.cmake — language level, warnings, launcher and linker, for the whole build.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()
find_program(MOLD mold)
if(MOLD)
  add_link_options(-fuse-ld=mold)
endif()

# Where CMAKE_UNITY_BUILD is on (a clean build in a third of the time), this many files of a module are one unit. So names in an
# unnamed namespace must differ within a module; what two files share stands in a header. The dev preset compiles each file alone:
# what a change touches is small, and a missing #include shows (but `make test` in a tree that was never built: tests/run).
set(CMAKE_UNITY_BUILD_BATCH_SIZE 48 CACHE STRING "Files a unit where CMAKE_UNITY_BUILD is on; 0 = a module is one unit")

# Beast and Asio are compiled once (http/beast_impl.cpp), not in every file that uses them.
add_compile_definitions(
  BOOST_ASIO_SEPARATE_COMPILATION BOOST_BEAST_SEPARATE_COMPILATION BOOST_ASIO_NO_DEPRECATED)

add_library(sluice_warnings INTERFACE)
target_compile_options(sluice_warnings INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion -Wold-style-cast
  -Wnon-virtual-dtor -Woverloaded-virtual -Wcast-qual -Wformat=2 -Wswitch-enum
  -Wmissing-declarations -Wno-missing-field-initializers
  $<$<CXX_COMPILER_ID:GNU>:-Wduplicated-cond -Wlogical-op>
  # libstdc++ 12 uses a deprecated function of its own in stable_sort and stable_partition; g++ tells of ours
  $<$<CXX_COMPILER_ID:Clang>:-Wno-deprecated-declarations>
  # clang complains of flags that an assembler file does not need
  $<$<AND:$<BOOL:${SLUICE_WERROR}>,$<COMPILE_LANGUAGE:CXX>>:-Werror>)
if(CMAKE_UNITY_BUILD)
  # Units of many files: g++ walks its garbage only beyond 1 GB instead of all the time: 5 to 10 % of their time.
  add_compile_options("$<$<COMPILE_LANG_AND_ID:CXX,GNU>:SHELL:--param ggc-min-expand=400 --param ggc-min-heapsize=1000000>")
  # In a unit of several files a name of one file may stand in the next one; the dev preset, file by file, has both warnings.
  target_compile_options(sluice_warnings INTERFACE -Wno-shadow $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
endif()
if(SLUICE_FAULT_POINTS)
  target_compile_definitions(sluice_warnings INTERFACE SLUICE_FAULT_POINTS=1)
endif()
