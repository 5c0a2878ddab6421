#ifndef AUR_CUDA_REDUCE_CUH
#define AUR_CUDA_REDUCE_CUH

/* Sums and maxima over a warp or a block, in an order that only the number of threads decides.
 *
 * In a warp lanes exchange by xor: each step adds the same two numbers in both lanes, so all 32 lanes end with equal
 * bits. In a block the warps' results are then added in ascending order of warp, by every thread for itself.
 * All threads of the warp or block must call; all get the result. T is float or double (sums), float (maxima). */

#include "launch.cuh"

enum { AUR_LANES = 32 };

#define AUR_ALL_LANES 0xffffffffu

template <class T> AUR_ON_DEVICE T aur_warp_sum(T x)
{
	for (int distance = AUR_LANES / 2; distance > 0; distance /= 2)
		x += __shfl_xor_sync(AUR_ALL_LANES, x, distance);
	return x;
}

/* The larger; NaN where either is. fmaxf would lose it. */
AUR_ON_DEVICE float aur_larger(float a, float b)
{
	return a > b || a != a ? a : b;
}

AUR_ON_DEVICE float aur_warp_max(float x)
{
	for (int distance = AUR_LANES / 2; distance > 0; distance /= 2)
		x = aur_larger(x, __shfl_xor_sync(AUR_ALL_LANES, x, distance));
	return x;
}

/* A block's threads in one dimension: threadIdx.x / 32 is the warp. `shared` has room for one T a warp and may be used
 * anew as soon as the call returns. Two barriers. */
template <class T> AUR_ON_DEVICE T aur_block_sum(T x, T *shared)
{
	const int warps = static_cast<int>((blockDim.x + AUR_LANES - 1) / AUR_LANES);
	x = aur_warp_sum(x);
	if (threadIdx.x % AUR_LANES == 0)
		shared[threadIdx.x / AUR_LANES] = x;
	__syncthreads();
	T sum = shared[0];
	for (int warp = 1; warp < warps; warp++)
		sum += shared[warp];
	__syncthreads();
	return sum;
}

/* N sums at once; `shared` has room for N a warp. A block of one warp needs no barrier. */
template <int N> AUR_ON_DEVICE void aur_block_sums(float (&x)[N], float *shared)
{
	const int warps = static_cast<int>((blockDim.x + AUR_LANES - 1) / AUR_LANES);
	for (int i = 0; i < N; i++)
		x[i] = aur_warp_sum(x[i]);
	if (warps == 1)
		return;
	if (threadIdx.x % AUR_LANES == 0)
		for (int i = 0; i < N; i++)
			shared[threadIdx.x / AUR_LANES * N + i] = x[i];
	__syncthreads();
	for (int i = 0; i < N; i++) {
		x[i] = shared[i];
		for (int warp = 1; warp < warps; warp++)
			x[i] += shared[warp * N + i];
	}
	__syncthreads();
}

AUR_ON_DEVICE float aur_block_max(float x, float *shared)
{
	const int warps = static_cast<int>((blockDim.x + AUR_LANES - 1) / AUR_LANES);
	x = aur_warp_max(x);
	if (threadIdx.x % AUR_LANES == 0)
		shared[threadIdx.x / AUR_LANES] = x;
	__syncthreads();
	float max = shared[0];
	for (int warp = 1; warp < warps; warp++)
		max = aur_larger(max, shared[warp]);
	__syncthreads();
	return max;
}

#endif
