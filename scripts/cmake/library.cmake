# parley_library(NAME PREFIX [INTERNAL] [FOLDERS folder…] [USES other-library…] [DEPENDS pkg-config-module…] VERSION v)
# A library of this project: sources PREFIX_*.c in this folder and in FOLDERS below it, public headers in include/. INTERNAL: none, its
# headers are for the other libraries, in whose packages it is named since they are static.
# Static, with package files for pkg-config and CMake; `NAME_internal` is an interface target for its own tests.
function(parley_library name prefix)
    cmake_parse_arguments(ARG "INTERNAL" "VERSION" "FOLDERS;USES;DEPENDS" ${ARGN})
    set(folders ${CMAKE_CURRENT_SOURCE_DIR})
    set(patterns ${prefix}_*.c)
    foreach(folder IN LISTS ARG_FOLDERS)
        list(APPEND folders ${CMAKE_CURRENT_SOURCE_DIR}/${folder})
        list(APPEND patterns ${folder}/${prefix}_*.c)
    endforeach()
    set(${name}_folders ${folders} PARENT_SCOPE) # of its private headers, for tests
    file(GLOB sources CONFIGURE_DEPENDS ${patterns})
    add_library(${name} STATIC ${sources})
    add_library(parley::${name} ALIAS ${name})
    target_include_directories(${name} PRIVATE ${folders} ${PROJECT_SOURCE_DIR}/base)
    if(NOT ARG_INTERNAL)
        target_include_directories(${name} PUBLIC
            $<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
    endif()
    target_link_libraries(${name} PRIVATE $<BUILD_INTERFACE:parley_flags>)
    foreach(other IN LISTS ARG_USES)
        target_link_libraries(${name} PUBLIC parley::${other})
    endforeach()
    foreach(module IN LISTS ARG_DEPENDS)
        string(MAKE_C_IDENTIFIER "DEP_${module}" dep)
        pkg_check_modules(${dep} REQUIRED IMPORTED_TARGET GLOBAL ${module})
        target_link_libraries(${name} PUBLIC PkgConfig::${dep})
    endforeach()

    add_library(${name}_internal INTERFACE)
    target_include_directories(${name}_internal INTERFACE ${folders} ${PROJECT_SOURCE_DIR}/base)
    target_link_libraries(${name}_internal INTERFACE ${name} parley_flags)

    string(REPLACE ";" " " PC_REQUIRES "${ARG_USES};${ARG_DEPENDS}")
    set(PC_NAME ${name})
    file(RELATIVE_PATH PC_TO_PREFIX ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
    configure_file(${PROJECT_SOURCE_DIR}/scripts/cmake/library.pc.in ${CMAKE_CURRENT_BINARY_DIR}/${name}.pc @ONLY)
    set(PC_USES "${ARG_USES}")
    set(PC_MODULES "${ARG_DEPENDS}")
    configure_package_config_file(${PROJECT_SOURCE_DIR}/scripts/cmake/library-config.cmake.in
        ${CMAKE_CURRENT_BINARY_DIR}/${name}-config.cmake
        INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/${name})
    write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/${name}-config-version.cmake
        VERSION ${ARG_VERSION} COMPATIBILITY SameMajorVersion)
    # A component of its own, and so a Debian package of its own (scripts/packaging).
    install(TARGETS ${name} EXPORT ${name}-targets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT ${name})
    install(EXPORT ${name}-targets NAMESPACE parley:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/${name} COMPONENT ${name})
    install(FILES ${CMAKE_CURRENT_BINARY_DIR}/${name}-config.cmake
        ${CMAKE_CURRENT_BINARY_DIR}/${name}-config-version.cmake DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/${name} COMPONENT ${name})
    install(FILES ${CMAKE_CURRENT_BINARY_DIR}/${name}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT ${name})
    if(NOT ARG_INTERNAL)
        install(DIRECTORY include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT ${name})
    endif()
    set_property(GLOBAL APPEND PROPERTY PARLEY_LIBRARIES ${name})
    set_property(GLOBAL PROPERTY PARLEY_USES_${name} "${ARG_USES}")
    set_property(GLOBAL PROPERTY PARLEY_DEPENDS_${name} "${ARG_DEPENDS}")
endfunction()
