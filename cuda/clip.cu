#include "internal.cuh"
#include "reduce.cuh"

#include <math.h>

/* The norm of the whole gradient and what follows from it, on the device, so that the host need not wait.
 *
 * One thread block: thread i of 1,024 adds the sums i, i + 1024, ... in order, then lanes and warps are added as
 * reduce.cuh says; an order that the number of sums alone decides. 8 bytes a block of 4,096 elements: gpt2-124m's
 * 30,384 sums are 30 steps of one multiprocessor, some 10 us. One thread counts the update: two powers in fp64. */

namespace
{

enum { THREADS = 1024 };

struct betas {
	double first, second;
};

AUR_ON_DEVICE void count_update(const betas &beta, bool finite, struct aur_step_state *state)
{
	if (!finite) {
		state->skipped_in_a_row++;
		return;
	}
	const double t = static_cast<double>(++state->updates);
	state->correction1 = static_cast<float>(1.0 - pow(beta.first, t));
	state->correction2 = static_cast<float>(1.0 - pow(beta.second, t));
	state->skipped_in_a_row = 0;
}

AUR_KERNEL(THREADS)
clip(const double *sums, int64_t blocks, double limit, betas beta, struct aur_step_state *state)
{
	AUR_SHARED(double, shared, THREADS / AUR_LANES);
	double sum = 0.0;
	for (int64_t i = threadIdx.x; i < blocks; i += THREADS)
		sum += sums[i];
	const double norm = sqrt(aur_block_sum(sum, shared));
	if (threadIdx.x != 0)
		return;
	const bool finite = norm < static_cast<double>(INFINITY); /* not so for NaN */
	state->norm = norm;
	state->skip = !finite;
	state->gradient_scale = limit > 0.0 && finite && norm > limit ? static_cast<float>(limit / norm) : 1.0f;
	count_update(beta, finite, state);
}

} // namespace

size_t aur_clip_scratch_cuda(const struct aur_backend_limits *limits)
{
	(void)limits;
	return 0;
}

aur_status aur_clip_cuda(struct aur_backend *backend, const struct aur_clip *op)
{
	AUR_TRY(aur_check_clip(op));
	return AUR_LAUNCH("clip", (clip), 1, THREADS, 0, aur_cuda_of(backend)->stream,
		static_cast<const double *>(op->sums.data), aur_tensor_count(&op->sums), static_cast<double>(op->max_norm),
		betas{op->beta1, op->beta2}, op->state);
}
