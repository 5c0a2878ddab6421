# -DAURELIUS_BUNDLE=ON: `cmake --install` makes a tree that can be copied to a bare machine. bin/ holds the program, lib/
# aurelius/ the libraries that such a machine lacks (HDF5, MPI, and what they need; not the C library, whose version must
# be as new there as here, and nothing of the NVIDIA driver), libexec/aurelius/ the programs of the tests and benchmarks
# that a GPU is tested with (tests/gpu.sh), share/aurelius/ configurations and scripts.
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
install(FILES "${PROJECT_SOURCE_DIR}/tests/gpu.sh" DESTINATION "${CMAKE_INSTALL_DATADIR}/aurelius/tests"
	PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
install(FILES "${PROJECT_SOURCE_DIR}/tests/agreement/agreement.sh"
	DESTINATION "${CMAKE_INSTALL_DATADIR}/aurelius/tests/agreement")
install(DIRECTORY "${PROJECT_SOURCE_DIR}/benchmarks/pytorch" DESTINATION "${CMAKE_INSTALL_DATADIR}/aurelius/benchmarks"
	PATTERN "__pycache__" EXCLUDE)

# The C library and its kin, the loader, and the driver's libraries belong to the machine the tree is copied to.
install(CODE "
	set(destination \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${AUR_BUNDLE_LIBRARIES}\")
	file(GET_RUNTIME_DEPENDENCIES EXECUTABLES \"$<TARGET_FILE:aurelius>\"
		RESOLVED_DEPENDENCIES_VAR found UNRESOLVED_DEPENDENCIES_VAR missing
		PRE_EXCLUDE_REGEXES \"^lib(c|m|dl|rt|pthread|resolv|util)\\\\.so\" \"^ld-linux\" \"^libcuda\\\\.so\")
	foreach(library \${found})
		file(INSTALL \"\${library}\" DESTINATION \"\${destination}\" FOLLOW_SYMLINK_CHAIN)
	endforeach()
	if(missing)
		message(WARNING \"not found, and so not in the tree: \${missing}\")
	endif()
")
