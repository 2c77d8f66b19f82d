# SPDX-License-Identifier: MIT
#
# tape_warnings: what our own code is held to. TAPE_WERROR is off by default, so that a compiler of
# the future does not break a packager's build; the presets turn it on.

add_library(tape_warnings INTERFACE)
target_compile_options(tape_warnings INTERFACE
	-Wall
	-Wextra
	-Wpedantic
	-Wconversion
	-Wshadow
	-Wmissing-prototypes
	-Wstrict-prototypes
	-Wcast-qual
	-Wwrite-strings
	-Wundef
	-Wvla
	-Wformat=2
	$<$<BOOL:${TAPE_WERROR}>:-Werror>)
