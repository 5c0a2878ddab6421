# Compiles for 64-bit ARM on a machine of another kind, with Debian's cross compiler (gcc-aarch64-linux-gnu):
#
#   AURELIUS_SYSROOT=FOLDER cmake -S . -B build-arm64 -DCMAKE_TOOLCHAIN_FILE=cmake/toolchain-aarch64.cmake
#
# FOLDER holds the arm64 libraries, laid out as a Debian system is. tests/arm64.sh makes such a folder and runs the tests
# of the result under qemu; a copy of the / of an ARM machine does as well.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
if(NOT DEFINED ENV{AURELIUS_SYSROOT})
	message(FATAL_ERROR "set AURELIUS_SYSROOT to the folder with the arm64 libraries (tests/arm64.sh makes one)")
endif()
set(CMAKE_SYSROOT "$ENV{AURELIUS_SYSROOT}")
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(AUR_SYSROOT_LIBRARIES "${CMAKE_SYSROOT}/usr/lib/aarch64-linux-gnu")

# Headers and libraries of the ARM system, programs of this one.
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
set(ENV{PKG_CONFIG_SYSROOT_DIR} "${CMAKE_SYSROOT}")
set(ENV{PKG_CONFIG_LIBDIR} "${AUR_SYSROOT_LIBRARIES}/pkgconfig:${CMAKE_SYSROOT}/usr/share/pkgconfig")

# mpicc is a program of this machine and would name this machine's libraries.
set(MPI_C_LIB_NAMES mpi CACHE STRING "")
set(MPI_C_HEADER_DIR "${AUR_SYSROOT_LIBRARIES}/openmpi/include" CACHE PATH "")
set(MPI_mpi_LIBRARY "${AUR_SYSROOT_LIBRARIES}/openmpi/lib/libmpi.so" CACHE FILEPATH "")
