#include "internal.h"

enum { LANES = 16 };

/* Element i is added to lane i % LANES, and the lanes are folded in halves: one order for every instruction set. */
static double sum_squares(const float *x, int64_t n)
{
	double lane[LANES] = {0.0};
	int64_t i = 0;
	for (; i + LANES <= n; i += LANES)
		for (int j = 0; j < LANES; j++)
			lane[j] += (double)x[i + j] * (double)x[i + j];
	for (int j = 0; i + j < n; j++)
		lane[j] += (double)x[i + j] * (double)x[i + j];
	for (int half = LANES / 2; half > 0; half /= 2)
		for (int j = 0; j < half; j++)
			lane[j] += lane[j + half];
	return lane[0];
}

aur_status aur_sum_of_squares_cpu(struct aur_backend *backend, const struct aur_sum_of_squares *op)
{
	(void)backend;
	const int64_t count = aur_tensor_count(&op->x);
	const int64_t blocks = (count + AUR_NORM_BLOCK - 1) / AUR_NORM_BLOCK;
	AUR_TRY(aur_check_sum_of_squares(op));
	const float *x = aur_f32(&op->x);
	double *sums = op->sums.data;
#pragma omp parallel for schedule(static)
	for (int64_t i = 0; i < blocks; i++) {
		const int64_t begin = i * AUR_NORM_BLOCK;
		sums[i] = sum_squares(x + begin, count - begin < AUR_NORM_BLOCK ? count - begin : AUR_NORM_BLOCK);
	}
	return AUR_OK;
}
