#include "internal.cuh"
#include "reduce.cuh"
#include "vector.cuh"

/* sums[i] = sum of squares of block i, in fp64. 4 bytes an element; gpt2-124m: 498 MB, 0.12 ms at 4 TB/s.
 *
 * A thread block takes one block of AUR_NORM_BLOCK elements: two times eight a thread, all four accesses of 16 bytes
 * under way at once. Thread i adds elements 8i to 8i + 7 and those 2,048 further on, in order; then the lanes and the
 * warps are added as reduce.cuh says. Which thread adds what does not depend on the address, so a slice gives the bits
 * that the whole gives. */

namespace
{

enum { THREADS = 256, STEP = THREADS * AUR_VECTOR };
static_assert(AUR_NORM_BLOCK % STEP == 0, "a block is a whole number of steps");

/* One thread's share of a block that begins at x and has n elements. */
template <bool WIDE> AUR_ON_DEVICE double share_of(const float *x, int64_t n)
{
	double sum = 0.0;
	for (int i = threadIdx.x * AUR_VECTOR; i < AUR_NORM_BLOCK; i += STEP) {
		float v[AUR_VECTOR];
		aur_load8<WIDE>(x + i, n - i, v);
		for (int j = 0; j < AUR_VECTOR; j++)
			sum += static_cast<double>(v[j]) * static_cast<double>(v[j]);
	}
	return sum;
}

AUR_KERNEL(THREADS) sum_squares(const float *x, double *sums, int64_t count, bool wide)
{
	AUR_SHARED(double, shared, THREADS / AUR_LANES);
	for (int64_t block = blockIdx.x; block * AUR_NORM_BLOCK < count; block += gridDim.x) {
		const float *from = x + block * AUR_NORM_BLOCK;
		const int64_t n = count - block * AUR_NORM_BLOCK;
		const double share = wide && n >= AUR_NORM_BLOCK ? share_of<true>(from, n) : share_of<false>(from, n);
		const double sum = aur_block_sum(share, shared);
		if (threadIdx.x == 0)
			sums[block] = sum;
	}
}

} // namespace

aur_status aur_sum_of_squares_cuda(struct aur_backend *backend, const struct aur_sum_of_squares *op)
{
	AUR_TRY(aur_check_sum_of_squares(op));
	const struct aur_cuda *cuda = aur_cuda_of(backend);
	const int64_t count = aur_tensor_count(&op->x);
	if (count == 0)
		return AUR_OK;
	const float *x = static_cast<const float *>(op->x.data);
	return AUR_LAUNCH("sum_of_squares", (sum_squares), aur_blocks_for(count, AUR_NORM_BLOCK), THREADS, 0, cuda->stream,
		x, static_cast<double *>(op->sums.data), count, aur_all_aligned(x));
}
