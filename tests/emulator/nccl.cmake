# aur_comm_nccl_twin: the communicator over NCCL with NCCL's functions from nccl.c, over MPI, instead of the library's. The
# program that links it brings cudaGetDevice, cudaDeviceGetPCIBusId and cudaLaunchHostFunc, as the emulator does.
if(TARGET aur_nccl_headers AND NOT TARGET aur_comm_nccl_twin)
	add_library(aur_comm_nccl_twin STATIC ${AUR_NCCL_SOURCES}
		"${CMAKE_CURRENT_LIST_DIR}/nccl.c" "${CMAKE_CURRENT_LIST_DIR}/nccl_meet.c"
		"${CMAKE_CURRENT_LIST_DIR}/nccl_run.c")
	target_include_directories(aur_comm_nccl_twin PRIVATE "${PROJECT_SOURCE_DIR}/comm")
	target_link_libraries(aur_comm_nccl_twin PUBLIC aur_comm PRIVATE aur_options aur_nccl_headers MPI::MPI_C)
endif()
