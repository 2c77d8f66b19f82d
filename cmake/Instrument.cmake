# SPDX-License-Identifier: MIT
#
# tape_instrument: sanitizers, coverage and fuzzing, for whoever links it; empty in an ordinary build.
#
# A module built with ASan loads only where ASan's runtime came first: into programs built the same way,
# or with TAPE_ASAN_RUNTIME preloaded (tests/CMakeLists.txt does it). TSan's cannot be preloaded at all.

add_library(tape_instrument INTERFACE)
set(TAPE_ASAN_RUNTIME "")

if(TAPE_SANITIZE)
	set(flags -fsanitize=${TAPE_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
	target_compile_options(tape_instrument INTERFACE ${flags})
	target_link_options(tape_instrument INTERFACE ${flags})
endif()

if(TAPE_SANITIZE MATCHES "address" AND NOT TAPE_FUZZ)
	if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
		set(runtime libasan.so)
	else()
		set(runtime libclang_rt.asan-${CMAKE_SYSTEM_PROCESSOR}.so)
	endif()
	execute_process(COMMAND ${CMAKE_C_COMPILER} -print-file-name=${runtime}
		OUTPUT_VARIABLE TAPE_ASAN_RUNTIME OUTPUT_STRIP_TRAILING_WHITESPACE)
	if(NOT CMAKE_C_COMPILER_ID STREQUAL "GNU")
		# clang would link the runtime into programs, where it would clash with the preloaded one.
		cmake_path(GET TAPE_ASAN_RUNTIME PARENT_PATH directory)
		target_link_options(tape_instrument INTERFACE -shared-libsan LINKER:-rpath,${directory})
	endif()
endif()

if(TAPE_FUZZ)
	if(NOT CMAKE_C_COMPILER_ID MATCHES "Clang")
		message(FATAL_ERROR "TAPE_FUZZ needs clang: configure with CC=clang or with the preset fuzz")
	endif()
	target_compile_options(tape_instrument INTERFACE -fsanitize=fuzzer-no-link)
endif()

if(TAPE_COVERAGE)
	target_compile_options(tape_instrument INTERFACE --coverage)
	target_link_options(tape_instrument INTERFACE --coverage)
endif()
