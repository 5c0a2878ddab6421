# build_info.h: the version, the commit and what was compiled in, for --version and for checkpoints.
find_package(Git QUIET)
set(AUR_COMMIT "unknown")
if(GIT_FOUND)
	execute_process(COMMAND "${GIT_EXECUTABLE}" describe --always --dirty --abbrev=12
		WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}" OUTPUT_VARIABLE AUR_COMMIT_FOUND
		OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
	if(AUR_COMMIT_FOUND)
		set(AUR_COMMIT "${AUR_COMMIT_FOUND}")
	endif()
endif()
configure_file("${PROJECT_SOURCE_DIR}/cmake/build_info.h.in" "${PROJECT_BINARY_DIR}/generated/core/build_info.h" @ONLY)
