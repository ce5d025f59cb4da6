# Compiler flags for everything that is built here, as the interface target parley_flags.
add_library(parley_flags INTERFACE)
target_compile_definitions(parley_flags INTERFACE _GNU_SOURCE)
target_compile_options(parley_flags INTERFACE
    -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wcast-qual
    -Wwrite-strings -Wvla -Wundef -Wformat=2 -fno-common -Wno-missing-field-initializers)
if(PARLEY_SANITIZE)
    target_compile_options(parley_flags INTERFACE
        -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
    target_link_options(parley_flags INTERFACE -fsanitize=address,undefined)
    # The tests are some two hundred programs: where mold is installed, linking all of them takes a third of the time.
    find_program(PARLEY_MOLD mold)
    if(PARLEY_MOLD)
        target_link_options(parley_flags INTERFACE -fuse-ld=mold)
    endif()
else()
    target_compile_options(parley_flags INTERFACE
        $<$<CONFIG:Release>:-fstack-protector-strong> $<$<CONFIG:Release>:-fstack-clash-protection>
        $<$<CONFIG:Release>:-fcf-protection> $<$<CONFIG:Release>:-g>)
    target_compile_definitions(parley_flags INTERFACE $<$<CONFIG:Release>:_FORTIFY_SOURCE=2>)
    target_link_options(parley_flags INTERFACE -Wl,-z,relro,-z,now)
endif()
