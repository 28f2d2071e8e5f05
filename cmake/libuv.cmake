# Provides veloop::libuv: the system's libuv >= 1.44 by pkg-config, else a pinned release that
# FetchContent downloads and builds. VELOOP_LIBUV=system|fetch forces one of them. Without a network,
# CMake's own FETCHCONTENT_SOURCE_DIR_LIBUV names a local source folder instead of the download.
set(VELOOP_LIBUV "auto" CACHE STRING "Where libuv comes from: auto, system or fetch")
option(VELOOP_STATIC_LIBUV "Link the system's static libuv, for a self-contained wheel" OFF)

set(VELOOP_LIBUV_VERSION 1.51.0)
set(VELOOP_LIBUV_SHA256 5f0557b90b1106de71951a3c3931de5e0430d78da1d9a10287ebc7a3f78ef8eb)

add_library(veloop_libuv INTERFACE)
add_library(veloop::libuv ALIAS veloop_libuv)

if(NOT VELOOP_LIBUV STREQUAL "fetch")
  find_package(PkgConfig QUIET)
  if(PkgConfig_FOUND)
    pkg_check_modules(VELOOP_UV QUIET IMPORTED_TARGET libuv>=1.44)
  endif()
endif()

if(VELOOP_UV_FOUND)
  set(VELOOP_LIBUV_ORIGIN "${VELOOP_UV_VERSION} (system)")
  if(VELOOP_STATIC_LIBUV)
    find_library(VELOOP_UV_STATIC NAMES libuv_a.a libuv.a HINTS ${VELOOP_UV_LIBRARY_DIRS} REQUIRED)
    target_include_directories(veloop_libuv SYSTEM INTERFACE ${VELOOP_UV_INCLUDE_DIRS})
    target_link_libraries(veloop_libuv INTERFACE ${VELOOP_UV_STATIC} ${CMAKE_DL_LIBS})
    find_package(Threads REQUIRED)
    target_link_libraries(veloop_libuv INTERFACE Threads::Threads)
  else()
    target_link_libraries(veloop_libuv INTERFACE PkgConfig::VELOOP_UV)
  endif()
elseif(VELOOP_LIBUV STREQUAL "system")
  message(FATAL_ERROR "libuv >= 1.44 was not found by pkg-config (Debian: libuv1-dev, Homebrew: libuv)")
else()
  include(FetchContent)
  set(LIBUV_BUILD_SHARED OFF CACHE BOOL "" FORCE)
  set(LIBUV_BUILD_TESTS OFF CACHE BOOL "" FORCE)
  set(LIBUV_BUILD_BENCH OFF CACHE BOOL "" FORCE)
  set(BUILD_TESTING OFF CACHE BOOL "" FORCE)
  FetchContent_Declare(libuv
    URL https://dist.libuv.org/dist/v${VELOOP_LIBUV_VERSION}/libuv-v${VELOOP_LIBUV_VERSION}.tar.gz
    URL_HASH SHA256=${VELOOP_LIBUV_SHA256}
    DOWNLOAD_EXTRACT_TIMESTAMP OFF)
  FetchContent_MakeAvailable(libuv)
  set(VELOOP_LIBUV_ORIGIN "${VELOOP_LIBUV_VERSION} (built here)")
  set_target_properties(uv_a PROPERTIES POSITION_INDEPENDENT_CODE ON)
  target_link_libraries(veloop_libuv INTERFACE uv_a)
endif()
