# -DAURELIUS_BUNDLE=ON: `cmake --install` makes a tree that can be copied to a bare machine. bin/ holds the program, lib/
# aurelius/ the libraries that such a machine lacks (HDF5, MPI, and what they need; not the C library, whose version must
# be as new there as here, and nothing of the NVIDIA driver), libexec/aurelius/ the programs of the tests and benchmarks
# that a GPU is tested with (tests/gpu.sh), share/aurelius/ configurations and scripts. Where MPI is Open MPI 4, bin/mpirun
# starts ranks of one machine, or of several by TCP, without an MPI installed there; a cluster's own network wants the
# cluster's MPI and a build with it.
option(AURELIUS_BUNDLE "Install the libraries and test programs that a bare machine lacks too" OFF)
if(NOT AURELIUS_BUNDLE)
	return()
endif()

set(AUR_BUNDLE_LIBRARIES "${CMAKE_INSTALL_LIBDIR}/aurelius")
set(AUR_BUNDLE_PROGRAMS "${CMAKE_INSTALL_LIBEXECDIR}/aurelius")

# Every program of the label gpu, and those that measure.
set(bundled)
get_property(tests GLOBAL PROPERTY AUR_BUNDLE_TARGETS)
foreach(target ${tests} aurelius-bench-ops aurelius-bench-comm)
	if(TARGET ${target})
		list(APPEND bundled ${target})
	endif()
endforeach()
if(bundled)
	set_target_properties(${bundled} PROPERTIES INSTALL_RPATH "$ORIGIN/../../${AUR_BUNDLE_LIBRARIES}")
	install(TARGETS ${bundled} RUNTIME DESTINATION "${AUR_BUNDLE_PROGRAMS}")
endif()
set_property(TARGET aurelius APPEND PROPERTY INSTALL_RPATH "$ORIGIN/../${AUR_BUNDLE_LIBRARIES}")
if(TARGET aurelius-gpu-trace)
	install(TARGETS aurelius-gpu-trace LIBRARY DESTINATION "${AUR_BUNDLE_PROGRAMS}")
endif()
# The older kind of search path, which holds for what the libraries themselves need too.
foreach(target aurelius ${bundled})
	target_link_options(${target} PRIVATE LINKER:--disable-new-dtags)
endforeach()
install(FILES "${PROJECT_SOURCE_DIR}/tests/gpu.sh" DESTINATION "${CMAKE_INSTALL_DATADIR}/aurelius/tests"
	PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
install(FILES "${PROJECT_SOURCE_DIR}/tests/agreement/agreement.sh"
	DESTINATION "${CMAKE_INSTALL_DATADIR}/aurelius/tests/agreement")
install(DIRECTORY "${PROJECT_SOURCE_DIR}/benchmarks/pytorch" DESTINATION "${CMAKE_INSTALL_DATADIR}/aurelius/benchmarks"
	PATTERN "__pycache__" EXCLUDE)

# Open MPI's launcher and the plugins that need no library of a network's vendor.
set(launchers)
set(plugins)
find_program(AUR_OMPI_INFO ompi_info)
if(AUR_OMPI_INFO)
	foreach(part bindir pkglibdir pkgdatadir)
		execute_process(COMMAND "${AUR_OMPI_INFO}" --path ${part} --parsable OUTPUT_VARIABLE answer ERROR_QUIET)
		string(REGEX MATCH "path:${part}:([^\n]*)" answer "${answer}")
		set(openmpi_${part} "${CMAKE_MATCH_1}")
	endforeach()
endif()
# Version 5 has another launcher, with plugins of its own.
if(AUR_OMPI_INFO AND NOT EXISTS "${openmpi_bindir}/orterun")
	message(STATUS "aurelius: the bundle has no bin/mpirun: Open MPI 4's orterun is not in ${openmpi_bindir}")
elseif(AUR_OMPI_INFO)
	file(GLOB plugins "${openmpi_pkglibdir}/mca_*.so")
	list(FILTER plugins EXCLUDE REGEX "_(ucx|ofi|psm|psm2|openib|flux|romio321|portals4|ugni|lustre)\\.so$")
	set(launchers "${openmpi_bindir}/orterun" "${openmpi_bindir}/orted")
	set(openmpi "${AUR_BUNDLE_LIBRARIES}/openmpi")
	install(PROGRAMS ${launchers} DESTINATION "${openmpi}/bin")
	install(FILES ${plugins} DESTINATION "${openmpi}/plugins")
	install(DIRECTORY "${openmpi_pkgdatadir}/" DESTINATION "${openmpi}/share" FILES_MATCHING PATTERN "*.txt")
	file(CONFIGURE OUTPUT "${PROJECT_BINARY_DIR}/mpirun" CONTENT [[#!/bin/sh
# Open MPI's launcher, out of this tree, wherever that lies.
root=$(dirname "$(dirname "$(readlink -f "$0")")")
export OPAL_PREFIX="$root/@openmpi@" OPAL_BINDIR="$root/@openmpi@/bin" OPAL_LIBDIR="$root/@AUR_BUNDLE_LIBRARIES@"
export OPAL_PKGLIBDIR="$root/@openmpi@/plugins" OPAL_PKGDATADIR="$root/@openmpi@/share"
export LD_LIBRARY_PATH="$root/@AUR_BUNDLE_LIBRARIES@${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
# What PMIx would load from the machine's own installation belongs to another version: it gets a folder without files.
export PMIX_MCA_mca_base_component_path="$root/@openmpi@" PMIX_MCA_pcompress_base_silence_warning=1
command -v ssh >/dev/null || export OMPI_MCA_plm=isolated
exec "$root/@openmpi@/bin/orterun" "$@"
]] @ONLY)
	install(PROGRAMS "${PROJECT_BINARY_DIR}/mpirun" DESTINATION "${CMAKE_INSTALL_BINDIR}")
endif()

# The C library and its kin, the loader, and the driver's libraries belong to the machine the tree is copied to.
set(executables)
foreach(target aurelius ${bundled})
	list(APPEND executables "$<TARGET_FILE:${target}>")
endforeach()
install(CODE "
	set(destination \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${AUR_BUNDLE_LIBRARIES}\")
	file(GET_RUNTIME_DEPENDENCIES EXECUTABLES ${executables} ${launchers} MODULES ${plugins}
		RESOLVED_DEPENDENCIES_VAR found UNRESOLVED_DEPENDENCIES_VAR missing
		PRE_EXCLUDE_REGEXES \"^lib(c|m|dl|rt|pthread|resolv|util)\\\\.so\" \"^ld-linux\" \"^libcuda\\\\.so\")
	foreach(library \${found})
		file(INSTALL \"\${library}\" DESTINATION \"\${destination}\" FOLLOW_SYMLINK_CHAIN)
		get_filename_component(real \"\${library}\" REALPATH)
		get_filename_component(name \"\${real}\" NAME)
		# A search path of its own would hide the program's.
		file(RPATH_REMOVE FILE \"\${destination}/\${name}\")
	endforeach()
	file(GLOB installed \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${AUR_BUNDLE_LIBRARIES}/openmpi/plugins/*.so\")
	foreach(library \${installed})
		file(RPATH_REMOVE FILE \"\${library}\")
	endforeach()
	if(missing)
		message(WARNING \"not found, and so not in the tree: \${missing}\")
	endif()
")
