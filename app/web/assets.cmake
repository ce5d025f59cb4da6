# What GET / and /assets/ serve: app/public, the model of a call that the agent command uses too, and the stock
# Socket.IO client for browsers as npm delivers it. Without the latter the page says so instead of connecting.
set(assets_public ${CMAKE_CURRENT_SOURCE_DIR}/public)
set(assets_lib ${PROJECT_SOURCE_DIR}/clients/lib)
set(assets_client ${PROJECT_SOURCE_DIR}/clients/node_modules/socket.io-client/dist)

file(GLOB_RECURSE assets_pages CONFIGURE_DEPENDS ${assets_public}/*)
file(GLOB assets_bundle CONFIGURE_DEPENDS ${assets_client}/socket.io.min.js)
if(NOT assets_bundle)
    message(STATUS "The page is built without the Socket.IO client; to have it: (cd clients && npm ci), then build again")
endif()
parley_embed(parley_app_internal assets
    BASE ${assets_public} FILES ${assets_pages}
    BASE ${assets_lib} FILES ${assets_lib}/live-call.mjs
    BASE ${assets_client} FILES ${assets_bundle})

# What sio_serve_client() serves beside the Socket.IO endpoint: the official client's eight builds (socket.io-client/dist,
# the same bytes as in the package socket.io), and what node makes of them for browsers that take them compressed.
set(client_files ${assets_client}/socket.io.js ${assets_client}/socket.io.js.map)
foreach(build socket.io.min socket.io.esm.min socket.io.msgpack.min)
    list(APPEND client_files ${assets_client}/${build}.js ${assets_client}/${build}.js.map)
endforeach()
set(client_version "")
set(client_present "")
set(client_packed "")
set(client_packed_folder ${CMAKE_CURRENT_BINARY_DIR}/client)
if(assets_bundle)
    file(READ ${assets_client}/../package.json client_package)
    string(JSON client_version GET "${client_package}" version)
    set(client_present ${client_files})
    foreach(file IN LISTS client_files)
        get_filename_component(name ${file} NAME)
        set(packed ${client_packed_folder}/${name}.gz ${client_packed_folder}/${name}.br)
        add_custom_command(OUTPUT ${packed}
            COMMAND ${NODE} ${PROJECT_SOURCE_DIR}/scripts/cmake/pack.mjs ${file} ${packed}
            DEPENDS ${file} ${PROJECT_SOURCE_DIR}/scripts/cmake/pack.mjs VERBATIM)
        list(APPEND client_packed ${packed})
    endforeach()
endif()
parley_embed(parley_app_internal client
    BASE ${assets_client} FILES ${client_present}
    BASE ${client_packed_folder} FILES ${client_packed})
set_source_files_properties(web/web_client_files.c PROPERTIES COMPILE_DEFINITIONS CLIENT_VERSION="${client_version}")
