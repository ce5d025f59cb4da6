# The Admin UI's front end, as app/admin/page/build.mjs copied it from npm's package; in the repository like the console
# (docs/decisions/0014), so that nothing of npm is needed here.
set(admin_page ${CMAKE_CURRENT_SOURCE_DIR}/admin/page)
file(GLOB_RECURSE admin_files CONFIGURE_DEPENDS ${admin_page}/dist/*)
parley_embed_packed(admin ${admin_page}/dist ${admin_files})
parley_embed(parley_app_internal admin_own BASE ${admin_page} FILES ${admin_page}/preset.js)
