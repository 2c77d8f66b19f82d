# SPDX-License-Identifier: MIT
#
# tape_add_unit_test(<name> SOURCES … LINK …)
#
# One cmocka program, build/tests/test-<name>, and the test unit.<name>. It finds the checkout in
# P11TAPE_SOURCE_DIR, as every test does (TAPE_TEST_ENVIRONMENT).

function(tape_add_unit_test name)
	cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;LINK")

	add_executable(test-${name} ${arg_SOURCES})
	target_link_libraries(test-${name} PRIVATE tape_common ${arg_LINK} PkgConfig::CMOCKA)
	set_target_properties(test-${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)

	add_test(NAME unit.${name} COMMAND test-${name})
	set_tests_properties(unit.${name} PROPERTIES
		LABELS unit
		TIMEOUT 60
		ENVIRONMENT "${TAPE_TEST_ENVIRONMENT}")
endfunction()
