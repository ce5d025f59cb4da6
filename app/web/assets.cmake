# Files that the binary serves: the console (GET / and /assets/) and the official client's builds beside the Socket.IO
# endpoint. Both stand ready-made in the repository (docs/decisions/0014), so that nothing of npm is needed here; texts are
# embedded compressed as well.
find_program(GZIP gzip REQUIRED)
find_program(BROTLI brotli REQUIRED)

# parley_embed_packed(SET BASE FILES…): the files, and those that compress as .gz and .br.
function(parley_embed_packed set base)
    set(packed_folder ${CMAKE_CURRENT_BINARY_DIR}/packed/${set})
    set(packed "")
    foreach(file IN LISTS ARGN)
        file(RELATIVE_PATH name ${base} ${file})
        if(NOT name MATCHES "\\.(html|css|js|map|json|svg)$")
            continue()
        endif()
        get_filename_component(folder ${packed_folder}/${name} DIRECTORY)
        file(MAKE_DIRECTORY ${folder})
        add_custom_command(OUTPUT ${packed_folder}/${name}.gz ${packed_folder}/${name}.br
            COMMAND ${GZIP} --best --no-name --stdout ${file} > ${packed_folder}/${name}.gz
            COMMAND ${BROTLI} --best --force --output=${packed_folder}/${name}.br ${file}
            DEPENDS ${file} VERBATIM)
        list(APPEND packed ${packed_folder}/${name}.gz ${packed_folder}/${name}.br)
    endforeach()
    parley_embed(parley_app_internal ${set} BASE ${base} FILES ${ARGN} BASE ${packed_folder} FILES ${packed})
endfunction()

set(console_dist ${PROJECT_SOURCE_DIR}/clients/dist/console)
file(GLOB_RECURSE console_files CONFIGURE_DEPENDS ${console_dist}/*)
parley_embed_packed(assets ${console_dist} ${console_files})

# The eight builds of socket.io-client/dist (the same bytes as in the package socket.io), and their version.
set(client_dist ${PROJECT_SOURCE_DIR}/clients/dist/socket.io-client)
file(GLOB client_files CONFIGURE_DEPENDS ${client_dist}/*.js ${client_dist}/*.js.map)
parley_embed_packed(client ${client_dist} ${client_files})
file(READ ${client_dist}/package.json client_package)
string(JSON client_version GET "${client_package}" version)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${client_dist}/package.json)
set_source_files_properties(web/web_client_files.c PROPERTIES COMPILE_DEFINITIONS CLIENT_VERSION="${client_version}")
