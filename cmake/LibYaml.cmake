# SPDX-License-Identifier: MIT
#
# tape_yaml: libyaml, linked in. The replayer is loaded into other people's programs, which may have a
# libyaml of their own: what it brings must be inside and hidden. So the archive is what we want.

find_package(PkgConfig REQUIRED)
pkg_check_modules(YAML REQUIRED yaml-0.1)
find_library(TAPE_YAML_ARCHIVE NAMES libyaml.a PATHS ${YAML_LIBDIR} ${YAML_LIBRARY_DIRS} NO_DEFAULT_PATH)
mark_as_advanced(TAPE_YAML_ARCHIVE)

add_library(tape_yaml INTERFACE)
target_include_directories(tape_yaml SYSTEM INTERFACE ${YAML_INCLUDE_DIRS})
if(TAPE_YAML_ARCHIVE)
	target_link_libraries(tape_yaml INTERFACE ${TAPE_YAML_ARCHIVE})
else()
	message(WARNING
		"libyaml.a is not in ${YAML_LIBDIR}: the replayer will load libyaml.so into the programs that it "
		"serves. Install the static library (Debian: libyaml-dev; Alpine: yaml-static).")
	target_link_libraries(tape_yaml INTERFACE ${YAML_LINK_LIBRARIES})
endif()
