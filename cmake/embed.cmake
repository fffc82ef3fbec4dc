# embed(TARGET FOLDER dir PATTERNS *.sql ... NAMESPACE ns)
#   Puts the bytes of the folder's files into TARGET: declared by base/embedded.hpp as
#   `namespace sluice::ns { std::span<const EmbeddedFile> files(); }`, sorted by path.
function(embed target)
  cmake_parse_arguments(ARG "" "FOLDER;NAMESPACE" "PATTERNS" ${ARGN})
  set(globs "")
  foreach(pattern ${ARG_PATTERNS})
    list(APPEND globs "${ARG_FOLDER}/${pattern}")
  endforeach()
  file(GLOB_RECURSE files CONFIGURE_DEPENDS RELATIVE "${ARG_FOLDER}" ${globs})
  list(SORT files)
  set(dir "${CMAKE_CURRENT_BINARY_DIR}/embed_${ARG_NAMESPACE}")
  set(assembly ".section .rodata\n")
  set(table "")
  set(externs "")
  set(index 0)
  set(paths "")
  foreach(file ${files})
    string(APPEND assembly
      ".global sluice_${ARG_NAMESPACE}_${index}\n.global sluice_${ARG_NAMESPACE}_${index}_end\n"
      "sluice_${ARG_NAMESPACE}_${index}:\n.incbin \"${ARG_FOLDER}/${file}\"\n"
      "sluice_${ARG_NAMESPACE}_${index}_end:\n.byte 0\n")
    string(APPEND externs
      "extern const char sluice_${ARG_NAMESPACE}_${index};\nextern const char sluice_${ARG_NAMESPACE}_${index}_end;\n")
    string(APPEND table
      "        {\"${file}\", {&sluice_${ARG_NAMESPACE}_${index}, static_cast<std::size_t>(&sluice_${ARG_NAMESPACE}_${index}_end - &sluice_${ARG_NAMESPACE}_${index})}},\n")
    list(APPEND paths "${ARG_FOLDER}/${file}")
    math(EXPR index "${index} + 1")
  endforeach()
  file(CONFIGURE OUTPUT "${dir}/data.s" CONTENT "${assembly}.section .note.GNU-stack,\"\",@progbits\n" @ONLY)
  file(CONFIGURE OUTPUT "${dir}/table.cpp" CONTENT
"#include \"base/embedded.hpp\"
extern \"C\" {
${externs}}
namespace sluice::${ARG_NAMESPACE} {
std::span<const EmbeddedFile> files();
std::span<const EmbeddedFile> files() {
    static const std::vector<EmbeddedFile> table{
${table}    };
    return table;
}
}  // namespace sluice::${ARG_NAMESPACE}
" @ONLY)
  set_source_files_properties("${dir}/data.s" PROPERTIES OBJECT_DEPENDS "${paths}")
  target_sources(${target} PRIVATE "${dir}/data.s" "${dir}/table.cpp")
endfunction()
