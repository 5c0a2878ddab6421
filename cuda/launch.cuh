#ifndef AUR_CUDA_LAUNCH_CUH
#define AUR_CUDA_LAUNCH_CUH

/* The few words in which kernels differ between nvcc and the emulator (tests/emulator/). Everything else in a .cu file
 * is plain CUDA C++: threadIdx, blockIdx, __syncthreads, __shfl_xor_sync and the like are the emulator's too.
 *
 *   AUR_LAUNCH(who, (kernel<float, 8>), grid, block, shared_bytes, stream, arguments...)   an aur_status; `who` is the
 *                                        operation's name for the message
 *   AUR_SHARED(type, name, count);       `name` is an array of `count` elements, shared by the block, 16-byte aligned
 *   AUR_SHARED_DYNAMIC(type, name);      `name` is the block's dynamic shared memory, of shared_bytes
 *   AUR_KERNEL(threads)                  a kernel for blocks of at most so many threads
 *   AUR_KERNEL_RESIDENT(threads, blocks) one of which a multiprocessor is to hold so many blocks at once: registers are
 *                                        rationed for that, and for no more
 *
 * Parentheses stand round a kernel that has template arguments, since a macro cuts at their commas. Shared memory is
 * declared at the top of a kernel, outside of loops and conditions, before any barrier. Intrinsics that have no twin on
 * the host are called through the wrappers below alone.
 */

#include <cuda_bf16.h>
#include <cuda_runtime.h>
#include <stdint.h>

#ifdef AURELIUS_EMULATED
#include "emulator/device.h"
#define AUR_KERNEL_RESIDENT(threads, blocks) AUR_KERNEL(threads)
#else

#define AUR_KERNEL(threads) __global__ void __launch_bounds__(threads)
#define AUR_KERNEL_RESIDENT(threads, blocks) __global__ void __launch_bounds__(threads, blocks)
#define AUR_ON_DEVICE __device__ __forceinline__
#define AUR_SHARED(type, name, count) __shared__ __align__(16) type name[count]
#define AUR_SHARED_DYNAMIC(type, name)                                                                                 \
	extern __shared__ __align__(128) unsigned char aur_dynamic_shared[];                                               \
	type *const name = reinterpret_cast<type *>(aur_dynamic_shared)
#define AUR_LAUNCH(who, kernel, grid, block, shared_bytes, stream, ...)                                                \
	(kernel<<<(grid), (block), (shared_bytes), (stream)>>>(__VA_ARGS__), aur_cuda_check(cudaGetLastError(), who))

#endif

#endif
