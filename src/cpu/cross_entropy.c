#include "cross_entropy.h"

#include "vector_math.h"

#include <math.h>

enum { LANES = 32, PIECE = 512 };

/* A maximum by lanes: written out, because the order of a plain loop's comparisons may not be changed for NaN's sake.
 */
static float row_maximum(const float *x, int64_t n)
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

static float sum_exponentials(const float *x, int64_t n, float max)
{
	float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
	for (int64_t j = 0; j < n; j++)
		sum += aur_expf(x[j] - max);
	return sum;
}

static float keep_exponentials(const float *x, int64_t n, float max, float *y)
{
	float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
	for (int64_t j = 0; j < n; j++) {
		const float e = aur_expf(x[j] - max);
		y[j] = e;
		sum += e;
	}
	return sum;
}

struct aur_softmax aur_softmax_of(const float *x, int64_t n, float *exponentials)
{
	struct aur_softmax softmax = {.max = row_maximum(x, n)};
	for (int64_t i = 0; i < n; i += PIECE) {
		const int64_t columns = n - i < PIECE ? n - i : PIECE;
		softmax.sum += (double)(exponentials ? keep_exponentials(x + i, columns, softmax.max, exponentials + i)
											 : sum_exponentials(x + i, columns, softmax.max));
	}
	return softmax;
}

double aur_cross_entropy_row(float *logits, int64_t n, int32_t target, const float *gradient_scale)
{
	const double chosen = (double)logits[target];
	const struct aur_softmax softmax = aur_softmax_of(logits, n, logits);
	if (gradient_scale) {
		const float factor = (float)((double)*gradient_scale / softmax.sum);
		for (int64_t j = 0; j < n; j++)
			logits[j] *= factor;
		logits[target] -= *gradient_scale;
	}
	return log(softmax.sum) + ((double)softmax.max - chosen);
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
