# SPDX-License-Identifier: MIT
#
# How our own files are compiled: wmap_flags, which our targets link PRIVATE and
# nobody who uses the library ever inherits.
include(CheckCCompilerFlag)

set(warnings
	-Wall -Wextra -Wshadow -Wundef -Wvla -Wpointer-arith -Wwrite-strings
	-Wcast-qual -Wcast-align -Wformat=2 -Wstrict-prototypes
	-Wmissing-prototypes -Wimplicit-fallthrough -Wconversion
	-Wno-sign-conversion)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
	list(APPEND warnings -Wlogical-op -Wduplicated-cond)
elseif(CMAKE_C_COMPILER_ID MATCHES "Clang")
	list(APPEND warnings -Wunreachable-code)
endif()
if(WMAP_WERROR)
	list(APPEND warnings -Werror)
endif()

add_library(wmap_flags INTERFACE)
target_compile_options(wmap_flags INTERFACE
	${warnings} -fvisibility=hidden -fno-omit-frame-pointer)
# Empty, so that a file which says "#define _GNU_SOURCE" itself agrees.
target_compile_definitions(wmap_flags INTERFACE _GNU_SOURCE=)

if(WMAP_SANITIZER)
	target_compile_options(wmap_flags INTERFACE
		-fsanitize=${WMAP_SANITIZER} -fno-sanitize-recover=all)
	target_link_options(wmap_flags INTERFACE
		-fsanitize=${WMAP_SANITIZER})
endif()
