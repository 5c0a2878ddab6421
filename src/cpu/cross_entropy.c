#include "cross_entropy.h"

#include "rows.h"
#include "vector_math.h"

#include <math.h>

/* Columns go by in pieces that stay in the first-level cache. A row has at most MOST pieces; a piece is a whole number
 * of PIECE columns, the sum of which is taken in fp32. */
enum { LANES = 32, PIECE = 512, MOST = 256 };

/* A maximum by lanes: written out, because the order of a plain loop's comparisons may not be changed for NaN's sake.
 */
static float maximum_of(const float *x, int64_t n)
{
	float lane[LANES];
	for (int j = 0; j < LANES; j++)
		lane[j] = x[0];
	int64_t i = 0;
	for (; i + LANES <= n; i += LANES)
		for (int j = 0; j < LANES; j++)
			lane[j] = x[i + j] > lane[j] ? x[i + j] : lane[j];
	for (; i < n; i++)
		lane[0] = x[i] > lane[0] ? x[i] : lane[0];
	float max = lane[0];
	for (int j = 1; j < LANES; j++)
		max = lane[j] > max ? lane[j] : max;
	return max;
}

/* The sum of exp(x[j] - max), which are kept in y unless it is NULL. */
AUR_INLINE float sum_exponentials(const float *x, int64_t n, float max, float *y)
{
	float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
	for (int64_t j = 0; j < n; j++) {
		const float e = aur_exp_below(x[j] - max);
		if (y)
			y[j] = e;
		sum += e;
	}
	return sum;
}

static double sum_piece(const float *x, int64_t n, float max, float *y)
{
	/* Minus infinity alone: nothing is added, and no difference of two infinities is taken. */
	const float from = max > -INFINITY ? max : 0.0f;
	double sum = 0.0;
	for (int64_t i = 0; i < n; i += PIECE) {
		const int64_t columns = n - i < PIECE ? n - i : PIECE;
		sum +=
			(double)(y ? sum_exponentials(x + i, columns, from, y + i) : sum_exponentials(x + i, columns, from, NULL));
	}
	return sum;
}

static int64_t piece_columns(int64_t n)
{
	return ((n + MOST - 1) / MOST + PIECE - 1) / PIECE * PIECE;
}

/* One pass: each piece's exponentials are taken from the largest number seen so far, max[piece], and what was summed
 * before is scaled down when a larger one comes. `next`, unless NULL, is a row that is read afterwards. */
static struct aur_softmax soften(const float *x, int64_t n, float *exponentials, float max[MOST], const float *next)
{
	struct aur_softmax softmax = {.max = -INFINITY};
	const int64_t step = piece_columns(n);
	for (int64_t i = 0; i < n; i += step) {
		const int64_t columns = n - i < step ? n - i : step;
		const float here = maximum_of(x + i, columns);
		aur_fetch(next ? next + i : NULL, (size_t)columns * sizeof *next);
		if (here > softmax.max) {
			softmax.sum *= exp((double)softmax.max - (double)here);
			softmax.max = here;
		}
		max[i / step] = softmax.max;
		softmax.sum += sum_piece(x + i, columns, softmax.max, exponentials ? exponentials + i : NULL);
	}
	return softmax;
}

struct aur_softmax aur_softmax_of(const float *x, int64_t n, const float *next)
{
	float max[MOST];
	return soften(x, n, NULL, max, next);
}

/* `to` may be the memory of `e`: an element of it is never wider, so what is written has been read. */
AUR_INLINE void scale_piece(const float *e, int64_t begin, int64_t end, float factor, void *to, enum aur_dtype type)
{
#pragma omp simd
	for (int64_t j = begin; j < end; j++)
		aur_set_element(to, j, type, e[j] * factor);
}

/* to = e * factor, `factor` being what the largest exponential is to be multiplied with. */
AUR_INLINE void scale_row(const float *e, int64_t n, double factor, const struct aur_softmax *softmax,
	const float max[MOST], void *to, enum aur_dtype type)
{
	const int64_t step = piece_columns(n);
	for (int64_t i = 0; i < n; i += step) {
		const float piece_max = max[i / step];
		const double shift = piece_max < softmax->max ? exp((double)piece_max - (double)softmax->max) : 1.0;
		scale_piece(e, i, i + step < n ? i + step : n, (float)(factor * shift), to, type);
	}
}

double aur_cross_entropy_row(
	float *logits, int64_t n, int32_t target, float scale, void *d_logits, enum aur_dtype d_type)
{
	float max[MOST];
	const double chosen = (double)logits[target];
	const struct aur_softmax softmax = soften(logits, n, d_logits ? logits : NULL, max, NULL);
	const double loss = log(softmax.sum) + ((double)softmax.max - chosen);
	if (!d_logits)
		return loss;
	const double factor = (double)scale / softmax.sum;
	const float at_target = (float)(expm1(-loss) * (double)scale);
	if (d_type == AUR_F32) {
		scale_row(logits, n, factor, &softmax, max, d_logits, AUR_F32);
		aur_set_element(d_logits, target, AUR_F32, at_target);
	} else {
		scale_row(logits, n, factor, &softmax, max, d_logits, AUR_BF16);
		aur_set_element(d_logits, target, AUR_BF16, at_target);
	}
	return loss;
}

void aur_sum_sequences(const double *row_loss, int64_t batch, int64_t positions, double *loss)
{
	for (int64_t b = 0; b < batch; b++) {
		double sum = 0.0;
		for (int64_t t = 0; t < positions; t++)
			sum += row_loss[b * positions + t];
		loss[b] = sum;
	}
}
