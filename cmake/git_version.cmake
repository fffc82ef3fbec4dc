# git_version.cmake — writes OUTPUT, a C++ source with what `git describe` says of SOURCE, "" outside
# git. Run at every build (cmake -P); the file is touched only when the answer changed.
set(version "")
find_program(git_program git)
if(git_program AND EXISTS "${SOURCE}/.git")
  execute_process(COMMAND "${git_program}" -C "${SOURCE}" describe --always --dirty --tags
    OUTPUT_VARIABLE version OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
endif()
set(text "#include \"git_version.hpp\"\n\nnamespace sluice {\nconst char* git_version() { return \"${version}\"; }\n}  // namespace sluice\n")
set(before "")
if(EXISTS "${OUTPUT}")
  file(READ "${OUTPUT}" before)
endif()
if(NOT "${before}" STREQUAL "${text}")
  file(WRITE "${OUTPUT}" "${text}")
endif()
