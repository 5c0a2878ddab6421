# What the project links against, all from the distribution's packages (launch/install-deps.sh installs them).
find_package(PkgConfig REQUIRED)
find_package(OpenMP REQUIRED COMPONENTS C)
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)
find_package(MPI REQUIRED COMPONENTS C)

# The serial flavour of HDF5: thread-safe in Debian, unlike the parallel one.
pkg_check_modules(HDF5 IMPORTED_TARGET hdf5-serial)
if(TARGET PkgConfig::HDF5)
	add_library(aur_hdf5 INTERFACE)
	target_link_libraries(aur_hdf5 INTERFACE PkgConfig::HDF5)
else()
	set(HDF5_PREFER_PARALLEL OFF)
	find_package(HDF5 REQUIRED COMPONENTS C)
	add_library(aur_hdf5 INTERFACE)
	target_include_directories(aur_hdf5 INTERFACE ${HDF5_INCLUDE_DIRS})
	target_link_libraries(aur_hdf5 INTERFACE ${HDF5_LIBRARIES})
endif()

pkg_check_modules(YAML REQUIRED IMPORTED_TARGET yaml-0.1)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)
pkg_check_modules(ZLIB REQUIRED IMPORTED_TARGET zlib)
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)

find_path(AUR_RANDOM123_INCLUDE Random123/philox.h REQUIRED)
