# SPDX-License-Identifier: MIT
#
# What an installed tree has: the libraries, the headers, the manual pages, and
# two ways to find them, CMake's and pkg-config's, both relocatable. Static
# linking is a set of its own, so that users of the shared library need no
# liburing, liblz4 and libzstd to build against.
include(CMakePackageConfigHelpers)

install(DIRECTORY include/wmap TYPE INCLUDE FILES_MATCHING PATTERN "*.h")
install(FILES LICENSE TYPE DOC)

# A page that describes several functions is found by each of their names.
file(GLOB manuals CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/man/*.[1-9])
foreach(manual IN LISTS manuals)
	cmake_path(GET manual FILENAME page)
	string(REGEX REPLACE ".*\\." "" section ${page})
	install(FILES ${manual}
		DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
	file(STRINGS ${manual} names REGEX "^\\.Nm [a-z]")
	foreach(name IN LISTS names)
		string(REGEX REPLACE "^\\.Nm ([a-z0-9_]+).*" "\\1.${section}"
			alias ${name})
		if(NOT alias STREQUAL page)
			file(WRITE ${PROJECT_BINARY_DIR}/obj/man/${alias}
				".so man${section}/${page}\n")
			install(FILES ${PROJECT_BINARY_DIR}/obj/man/${alias}
				DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
		endif()
	endforeach()
endforeach()

# systemd's units: two sets of one name, the system's and each user's.
foreach(who IN ITEMS system user)
	set(suffix)
	if(who STREQUAL "user")
		set(suffix -user)
	endif()
	configure_file(systemd/wmapd${suffix}.service.in
		${PROJECT_BINARY_DIR}/obj/systemd/${who}/wmapd.service @ONLY)
	configure_file(systemd/wmapd${suffix}.socket
		${PROJECT_BINARY_DIR}/obj/systemd/${who}/wmapd.socket COPYONLY)
	install(DIRECTORY ${PROJECT_BINARY_DIR}/obj/systemd/${who}
		DESTINATION lib/systemd)
endforeach()

if(NOT TARGET wmap_shared)
	return()
endif()

install(TARGETS wmap_shared EXPORT wmapTargets
	LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS wmap_static EXPORT wmapStaticTargets
	ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/wmap)
install(EXPORT wmapTargets NAMESPACE wmap:: DESTINATION ${package_dir})
install(EXPORT wmapStaticTargets NAMESPACE wmap:: DESTINATION ${package_dir})

configure_package_config_file(cmake/wmapConfig.cmake.in
	${PROJECT_BINARY_DIR}/obj/wmapConfig.cmake
	INSTALL_DESTINATION ${package_dir}
	NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(
	${PROJECT_BINARY_DIR}/obj/wmapConfigVersion.cmake
	COMPATIBILITY SameMinorVersion)
install(FILES
	${PROJECT_BINARY_DIR}/obj/wmapConfig.cmake
	${PROJECT_BINARY_DIR}/obj/wmapConfigVersion.cmake
	DESTINATION ${package_dir})

# The prefix is where the .pc file is found, so many steps up.
set(pc_dir ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig)
set(pc_up ${CMAKE_INSTALL_PREFIX})
cmake_path(RELATIVE_PATH pc_up BASE_DIRECTORY ${pc_dir})
string(REGEX REPLACE "/$" "" pc_up "${pc_up}")
foreach(dir IN ITEMS LIBDIR INCLUDEDIR)
	set(pc_${dir} ${CMAKE_INSTALL_${dir}})
	if(NOT IS_ABSOLUTE ${pc_${dir}})
		string(PREPEND pc_${dir} "\${prefix}/")
	endif()
endforeach()
configure_file(cmake/wmap.pc.in ${PROJECT_BINARY_DIR}/obj/wmap.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/obj/wmap.pc
	DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
