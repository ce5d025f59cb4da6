# parley_embed(TARGET SET BASE folder FILES file… [BASE folder FILES file…])
# Puts files into TARGET as `kit_embedded_SET` (app/kit/kit_embed.h). A file's name is its path relative to its BASE.
# Only paths are generated here; the assembler reads the bytes, so this costs nothing and needs no other program.
function(parley_embed target set)
    set(blobs "")
    set(rows "")
    set(inputs "")
    set(base "")
    set(i 0)
    set(expect "")
    foreach(word IN LISTS ARGN)
        if(word STREQUAL "BASE" OR word STREQUAL "FILES")
            set(expect ${word})
        elseif(expect STREQUAL "BASE")
            set(base ${word})
        else()
            file(RELATIVE_PATH name ${base} ${word})
            set(symbol "embedded_${set}_${i}")
            string(APPEND blobs "BLOB(${symbol}, \"${word}\")\n")
            string(APPEND rows "    {\"${name}\", ${symbol}, ${symbol}_end},\n")
            list(APPEND inputs ${word})
            math(EXPR i "${i} + 1")
        endif()
    endforeach()
    set(out ${CMAKE_CURRENT_BINARY_DIR}/embedded_${set}.c)
    file(CONFIGURE OUTPUT ${out} @ONLY CONTENT [[
/* Made by scripts/cmake/embed.cmake. */
#include "kit_embed.h"

#define BLOB(symbol, path)                                                                       \
    __asm__(".pushsection .rodata\n.balign 16\n" #symbol ":\n.incbin \"" path "\"\n" #symbol     \
            "_end:\n.byte 0\n.popsection\n");                                                    \
    extern const uint8_t symbol[] __attribute__((visibility("hidden")));                         \
    extern const uint8_t symbol##_end[] __attribute__((visibility("hidden")));

@blobs@
const struct kit_embedded_file kit_embedded_@set@[] = {
@rows@    {NULL, NULL, NULL},
};
]])
    set_source_files_properties(${out} PROPERTIES OBJECT_DEPENDS "${inputs}")
    target_sources(${target} PRIVATE ${out})
endfunction()
