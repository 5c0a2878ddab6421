#include "internal.cuh"

/* CUDA's and cuBLASLt's codes in the project's own. */

static const char *advice_for(cudaError_t error)
{
	switch (error) {
	case cudaErrorMemoryAllocation:
		return "; a smaller model or micro_batch_size takes less";
	case cudaErrorNoKernelImageForDevice:
		return "; the program is built for other GPUs, see CMAKE_CUDA_ARCHITECTURES";
	default:
		return "";
	}
}

aur_status aur_cuda_check(cudaError_t error, const char *who)
{
	if (error == cudaSuccess)
		return AUR_OK;
	/* Reported here, it must not be what a later launch finds. */
	(void)cudaGetLastError();
	return aur_fail(error == cudaErrorMemoryAllocation ? AUR_MEMORY : AUR_DEVICE, "%s: %s (%s)%s", who,
		cudaGetErrorString(error), cudaGetErrorName(error), advice_for(error));
}

aur_status aur_cublas_check(cublasStatus_t status, const char *who)
{
	if (status == CUBLAS_STATUS_SUCCESS)
		return AUR_OK;
	return aur_fail(status == CUBLAS_STATUS_ALLOC_FAILED ? AUR_MEMORY : AUR_DEVICE, "%s: cuBLASLt: %s", who,
		cublasLtGetStatusString(status));
}
