# SPDX-License-Identifier: MIT
#
# tape_add_pkcs11_module(<name> SOURCES … LINK … [LINK_OPTIONS …])
#
# A library made for dlopen(): build/lib/<name>.so, without prefix, showing its C_ functions and nothing
# else, hardened, installed to lib/pkcs11; the test exports.<name> looks at the result.

function(tape_add_pkcs11_module name)
	cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;LINK;LINK_OPTIONS")
	set(map ${PROJECT_SOURCE_DIR}/cmake/pkcs11.map)

	add_library(${name} MODULE ${arg_SOURCES})
	target_link_libraries(${name} PRIVATE tape_common ${arg_LINK})
	set_target_properties(${name} PROPERTIES
		PREFIX ""
		C_VISIBILITY_PRESET hidden
		LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/lib
		LINK_DEPENDS ${map})

	# -Bsymbolic: our tables point at our functions, whatever C_ symbols the program brings.
	target_link_options(${name} PRIVATE
		LINKER:--version-script=${map}
		LINKER:--exclude-libs,ALL
		LINKER:-Bsymbolic
		LINKER:--as-needed
		LINKER:-z,relro
		LINKER:-z,now
		LINKER:-z,noexecstack
		${arg_LINK_OPTIONS})
	if(NOT TAPE_SANITIZE)
		# The sanitizers' runtime comes from the program.
		target_link_options(${name} PRIVATE LINKER:-z,defs)
	endif()

	install(TARGETS ${name} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkcs11)

	if(TAPE_TESTS AND NOT TAPE_SANITIZE AND NOT TAPE_FUZZ)
		add_test(NAME exports.${name}
			COMMAND ${PROJECT_SOURCE_DIR}/tests/static/exports.sh $<TARGET_FILE:${name}>)
		set_tests_properties(exports.${name} PROPERTIES LABELS static TIMEOUT 60)
	endif()
endfunction()
