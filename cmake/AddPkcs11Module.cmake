# SPDX-License-Identifier: MIT
#
# tape_add_pkcs11_module(<name> SOURCES … LINK … [LINK_OPTIONS …])
#
# Libraries made for dlopen(): build/lib/<name>.so and <name>-2.so, without prefix, showing their C_ functions
# and nothing else, hardened, installed to lib/pkcs11; the tests exports.<name> and exports.<name>-2 look at the
# result. Both are of the same objects. <name>-2.so stands for modules that speak 2.40: it has no entry point that
# such a module has not.

function(tape_add_pkcs11_module name)
	cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;LINK;LINK_OPTIONS")

	add_library(${name}-objects OBJECT ${arg_SOURCES})
	target_link_libraries(${name}-objects PRIVATE tape_common ${arg_LINK})
	set_target_properties(${name}-objects PROPERTIES
		C_VISIBILITY_PRESET hidden
		POSITION_INDEPENDENT_CODE ON)

	tape_link_pkcs11_module(${name} ${name}-objects pkcs11.map LINK ${arg_LINK} LINK_OPTIONS ${arg_LINK_OPTIONS})
	tape_link_pkcs11_module(${name}-2 ${name}-objects pkcs11-2.map LINK ${arg_LINK} LINK_OPTIONS ${arg_LINK_OPTIONS})
endfunction()

# tape_link_pkcs11_module(<name> <objects> <map> LINK … [LINK_OPTIONS …]): one of them.
function(tape_link_pkcs11_module name objects map)
	cmake_parse_arguments(PARSE_ARGV 3 arg "" "" "LINK;LINK_OPTIONS")
	set(map ${PROJECT_SOURCE_DIR}/cmake/${map})

	add_library(${name} MODULE)
	target_link_libraries(${name} PRIVATE ${objects} tape_common ${arg_LINK})
	set_target_properties(${name} PROPERTIES
		PREFIX ""
		LINKER_LANGUAGE C
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
