#include "oracle.h"

#include "cpu/cpu.h"
#ifdef OPS_CUDA
#include "cuda/cuda.h"
#endif

void ops_register_backends(void)
{
	aur_backend_register(&aur_cpu_factory);
#ifdef OPS_CUDA
	aur_backend_register(&aur_cuda_factory);
#endif
}
