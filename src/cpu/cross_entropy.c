#include "cross_entropy.h"

#include "rows.h"
#include "vector_math.h"

#include <math.h>

/* Columns go by in pieces that stay in the first-level cache, a whole number of PIECE columns, the sum of which is
 * taken in fp32. What is read next is fetched in runs of FETCHED columns: more requests at once than the processor can
 * wait for would hold up the computing between them. */
enum { LANES = 32, PIECE = 512, FETCHED = 64 };

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
	return ((n + AUR_SOFTMAX_PIECES - 1) / AUR_SOFTMAX_PIECES + PIECE - 1) / PIECE * PIECE;
}

/* Each piece's exponentials are taken from the largest number seen so far, and what was summed before is scaled down
 * when a larger one comes. */
void aur_softmax_of(const float *x, int64_t n, float *exponentials, const float *next, struct aur_softmax *softmax)
{
	float max = -INFINITY;
	double sum = 0.0;
	const int64_t step = piece_columns(n);
	for (int64_t i = 0; i < n; i += step) {
		const int64_t columns = n - i < step ? n - i : step;
		const float here = maximum_of(x + i, columns);
		aur_fetch(next ? next + i : NULL, (size_t)columns * sizeof *next);
		if (here > max) {
			sum *= exp((double)max - (double)here);
			max = here;
		}
		softmax->piece_max[i / step] = max;
		sum += sum_piece(x + i, columns, max, exponentials ? exponentials + i : NULL);
	}
	softmax->max = max;
	softmax->sum = sum;
}

/* `to` may be the memory of `e`: an element of it is never wider, so what is written has been read. */
AUR_INLINE void scale_piece(const float *e, int64_t begin, int64_t end, float factor, void *to, enum aur_dtype type)
{
#pragma omp simd
	for (int64_t j = begin; j < end; j++)
		aur_set_element(to, j, type, e[j] * factor);
}

/* What the exponentials of a piece are to be multiplied with, `factor` being that of the largest one. */
static float piece_factor(const struct aur_softmax *softmax, int64_t piece, double factor)
{
	const float max = softmax->piece_max[piece];
	return (float)(max < softmax->max ? factor * exp((double)max - (double)softmax->max) : factor);
}

/* to = e * factor, `factor` being what the largest exponential is to be multiplied with. */
AUR_INLINE void scale_row(
	const float *e, int64_t n, double factor, const struct aur_softmax *softmax, void *to, enum aur_dtype type)
{
	const int64_t step = piece_columns(n);
	for (int64_t i = 0; i < n; i += step)
		scale_piece(e, i, i + step < n ? i + step : n, piece_factor(softmax, i / step, factor), to, type);
}

AUR_INLINE void add_piece(const float *e, int64_t n, float factor, float *to)
{
#pragma omp simd
	for (int64_t j = 0; j < n; j++)
		to[j] += e[j] * factor;
}

void aur_add_softmax(
	const float *exponentials, int64_t n, double scale, const struct aur_softmax *softmax, float *to, const float *next)
{
	const int64_t step = piece_columns(n);
	for (int64_t i = 0; i < n; i += step) {
		const float factor = piece_factor(softmax, i / step, scale / softmax->sum);
		const int64_t end = i + step < n ? i + step : n;
		for (int64_t j = i; j < end; j += FETCHED) {
			const int64_t columns = end - j < FETCHED ? end - j : FETCHED;
			aur_fetch(next ? next + j : NULL, (size_t)columns * sizeof *next);
			add_piece(exponentials + j, columns, factor, to + j);
		}
	}
}

double aur_cross_entropy_row(
	float *logits, int64_t n, int32_t target, float scale, void *d_logits, enum aur_dtype d_type)
{
	struct aur_softmax softmax;
	const double chosen = (double)logits[target];
	aur_softmax_of(logits, n, d_logits ? logits : NULL, NULL, &softmax);
	const double loss = log(softmax.sum) + ((double)softmax.max - chosen);
	if (!d_logits)
		return loss;
	const double factor = (double)scale / softmax.sum;
	const float at_target = (float)(expm1(-loss) * (double)scale);
	if (d_type == AUR_F32) {
		scale_row(logits, n, factor, &softmax, d_logits, AUR_F32);
		aur_set_element(d_logits, target, AUR_F32, at_target);
	} else {
		scale_row(logits, n, factor, &softmax, d_logits, AUR_BF16);
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
