#!/usr/bin/env bash
# Installs into a folder of its own and builds docs/examples/echo.c against that, with pkg-config and with CMake.
set -euo pipefail
build=$1 source=$2
prefix=$(mktemp -d)
trap 'rm -rf "$prefix"' EXIT
cmake --install "$build" --prefix "$prefix/usr" >/dev/null
for name in engineio engineio_http rooms rooms_msgpack cluster socketio adminui; do
    [ -f "$prefix/usr/include/$name.h" ] || { echo "$name.h is not installed"; exit 1; }
done
# A build with sanitizers needs them in who links it.
flags=$(grep -q 'PARLEY_SANITIZE:[A-Z]*=ON' "$build/CMakeCache.txt" && echo "-fsanitize=address,undefined" || true)

libdir=$(dirname "$(find "$prefix/usr" -name socketio.pc)")
export PKG_CONFIG_PATH="$libdir"
# shellcheck disable=SC2046
cc $flags -o "$prefix/by_pkg_config" "$source/docs/examples/echo.c" $(pkg-config --cflags --libs socketio)

mkdir "$prefix/project"
cat >"$prefix/project/CMakeLists.txt" <<CMAKE
cmake_minimum_required(VERSION 3.25)
project(stranger LANGUAGES C)
find_package(socketio REQUIRED)
add_executable(by_cmake "$source/docs/examples/echo.c")
target_link_libraries(by_cmake PRIVATE parley::socketio)
CMAKE
cmake -S "$prefix/project" -B "$prefix/project/build" -DCMAKE_PREFIX_PATH="$prefix/usr" -DCMAKE_C_FLAGS="$flags" >/dev/null
cmake --build "$prefix/project/build" >/dev/null
[ -x "$prefix/project/build/by_cmake" ] && echo "installed, and built against by pkg-config and CMake"
