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
