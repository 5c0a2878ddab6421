#ifndef AUR_CUDA_CROSS_ENTROPY_CUH
#define AUR_CUDA_CROSS_ENTROPY_CUH

/* Softmax and cross-entropy of one row by one block. All threads of the block call, none may have left.
 *
 *   softmax(x)[j] = exp(x[j] - max) / sum          loss = log(sum) + (max - x[target])
 *
 * Each thread takes eight neighbouring columns, then the eight that lie 8 blockDim.x further on, with a running maximum
 * and an fp32 sum of exponentials (Milakov, Gimelshein 2018, arXiv:1805.02867); the threads of a warp are put together
 * in fp32, warps in fp64, both in the order of reduce.cuh. So bits depend on the row and on blockDim.x alone. */

#include "reduce.cuh"
#include "vector.cuh"

#include <math.h>

struct aur_softmax {
	float max;
	double sum; /* of exp(x - max); NaN when x holds one */
};

/* Shared memory of a block, for one call: of each warp. */
struct aur_softmax_shared {
	float max[AUR_LANES], sum[AUR_LANES];
};

/* Threads for rows of so many columns: eight columns each, at most 1024, whole warps. */
static inline unsigned aur_softmax_threads(int64_t columns)
{
	const int64_t threads = (columns + AUR_VECTOR * AUR_LANES - 1) / (AUR_VECTOR * AUR_LANES) * AUR_LANES;
	return static_cast<unsigned>(threads < 1024 ? threads : 1024);
}

/* What exponents are taken from: no difference of two infinities where a row so far is minus infinity alone. */
AUR_ON_DEVICE float aur_softmax_from(float max)
{
	return max > -INFINITY ? max : 0.0f;
}

/* Eight more columns of a running softmax. */
AUR_ON_DEVICE void aur_soften8(const float (&x)[AUR_VECTOR], float *max, float *sum)
{
	float larger = *max;
	for (int i = 0; i < AUR_VECTOR; i++)
		larger = fmaxf(larger, x[i]); /* which passes over NaN; the sum keeps it */
	if (larger > *max) {
		*sum *= expf(*max - larger);
		*max = larger;
	}
	const float from = aur_softmax_from(*max);
	float e[AUR_VECTOR];
	for (int i = 0; i < AUR_VECTOR; i++)
		e[i] = expf(x[i] - from);
	*sum += ((e[0] + e[1]) + (e[2] + e[3])) + ((e[4] + e[5]) + (e[6] + e[7]));
}

/* What a sum of exponentials from `max` is to be multiplied with to be one from `larger`. */
AUR_ON_DEVICE float aur_softmax_shift(float max, float larger)
{
	return max > -INFINITY ? expf(max - larger) : 0.0f;
}

/* All threads' together, which each of them gets, behind one barrier. */
AUR_ON_DEVICE struct aur_softmax aur_softmax_together(float max, float sum, struct aur_softmax_shared *shared)
{
	const unsigned lane = threadIdx.x % AUR_LANES, warps = blockDim.x / AUR_LANES;
	const float of_warp = aur_warp_max(max), warp_sum = aur_warp_sum(sum * aur_softmax_shift(max, of_warp));
	if (lane == 0) {
		shared->max[threadIdx.x / AUR_LANES] = of_warp;
		shared->sum[threadIdx.x / AUR_LANES] = warp_sum;
	}
	__syncthreads();
	const float other = lane < warps ? shared->max[lane] : -INFINITY;
	struct aur_softmax softmax;
	softmax.max = aur_warp_max(other);
	softmax.sum = aur_warp_sum(lane < warps ? static_cast<double>(shared->sum[lane]) *
												  static_cast<double>(aur_softmax_shift(other, softmax.max))
											: 0.0);
	return softmax;
}

/* x [columns] fp32, a multiple of 16 bytes; blockDim.x a multiple of 32, at most 1024. COPIED: each thread puts what it
 * reads into `copy`, of columns rounded up to eight, at the same places. Loads are one step ahead. */
template <bool COPIED>
AUR_ON_DEVICE struct aur_softmax aur_softmax_of(
	const float *x, int64_t columns, float *copy, struct aur_softmax_shared *shared)
{
	const int64_t step = static_cast<int64_t>(AUR_VECTOR) * blockDim.x;
	float max = -INFINITY, sum = 0.0f, next[AUR_VECTOR] = {};
	int64_t j = static_cast<int64_t>(AUR_VECTOR) * threadIdx.x;
	if (j < columns)
		aur_load8(x + j, columns - j, true, next);
	for (; j < columns; j += step) {
		float eight[AUR_VECTOR];
		for (int i = 0; i < AUR_VECTOR; i++)
			eight[i] = j + i < columns ? next[i] : -INFINITY;
		if (j + step < columns)
			aur_load8(x + j + step, columns - j - step, true, next);
		if (COPIED)
			aur_store8(copy + j, eight);
		aur_soften8(eight, &max, &sum);
	}
	return aur_softmax_together(max, sum, shared);
}

/* -log softmax(x)[target], `chosen` being x[target]. For one thread. */
AUR_ON_DEVICE double aur_cross_entropy_of(const struct aur_softmax &softmax, float chosen)
{
	return log(softmax.sum) + (static_cast<double>(softmax.max) - static_cast<double>(chosen));
}

/* What turns logits into (softmax(x) - onehot(target)) * scale. At the target the difference is taken in fp64:
 * p - 1 = expm1(-loss) would lose its digits in fp32 when p is near 1. That number is for the thread that has the
 * target's column; where it is not, `target` is -1. */
struct aur_softmax_gradient {
	float from, factor, at_target;
	int64_t target;
};

AUR_ON_DEVICE struct aur_softmax_gradient aur_softmax_gradient_of(const struct aur_softmax &softmax, float scale)
{
	struct aur_softmax_gradient gradient;
	gradient.from = aur_softmax_from(softmax.max);
	gradient.factor = static_cast<float>(static_cast<double>(scale) / softmax.sum);
	gradient.at_target = 0.0f;
	gradient.target = -1;
	return gradient;
}

AUR_ON_DEVICE void aur_softmax_gradient_aim(
	struct aur_softmax_gradient *gradient, double loss, int64_t target, float scale)
{
	gradient->at_target = static_cast<float>(expm1(-loss) * static_cast<double>(scale));
	gradient->target = target;
}

/* The gradient of column j, whose logit is x. */
AUR_ON_DEVICE float aur_softmax_gradient_at(const struct aur_softmax_gradient &gradient, float x, int64_t j)
{
	return j == gradient.target ? gradient.at_target : expf(x - gradient.from) * gradient.factor;
}

#endif
