# build_info.h: the version, the commit and what was compiled in, for --version and for checkpoints.
find_package(Git QUIET)
set(AUR_COMMIT "unknown")
if(GIT_FOUND)
	execute_process(COMMAND "${GIT_EXECUTABLE}" describe --always --dirty --abbrev=12
		WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}" OUTPUT_VARIABLE AUR_COMMIT_FOUND
		OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
	if(AUR_COMMIT_FOUND)
		set(AUR_COMMIT "${AUR_COMMIT_FOUND}")
		# A new commit configures anew, so that the program never names an older one.
		execute_process(COMMAND "${GIT_EXECUTABLE}" rev-parse --git-path logs/HEAD
			WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}" OUTPUT_VARIABLE AUR_GIT_LOG OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
		get_filename_component(AUR_GIT_LOG "${AUR_GIT_LOG}" ABSOLUTE BASE_DIR "${PROJECT_SOURCE_DIR}")
		if(EXISTS "${AUR_GIT_LOG}")
			set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${AUR_GIT_LOG}")
		endif()
	endif()
endif()
set(AUR_BACKENDS "cpu")
if(AUR_CUDA)
	set(AUR_BACKENDS "cuda, cpu")
endif()
configure_file("${PROJECT_SOURCE_DIR}/cmake/build_info.h.in" "${PROJECT_BINARY_DIR}/generated/core/build_info.h" @ONLY)
