#ifndef AUR_CPU_CROSS_ENTROPY_H
#define AUR_CPU_CROSS_ENTROPY_H

#include "variant.h"

#include <stdint.h>

/* softmax(x)[j] = exp(x[j] - max) / sum. */
struct aur_softmax {
	float max;
	double sum; /* of fp32 exponentials, added in fp32 over 512 columns and in fp64 beyond */
};

/* Of one row; x [n], n > 0. exponentials (may be NULL, may be x) gets exp(x[j] - max). A NaN in x makes sum NaN. */
struct aur_softmax aur_softmax_of(const float *x, int64_t n, float *exponentials);

/* -log softmax(logits)[target] of one row, the same bits with and without a gradient. With gradient_scale given, the
 * row becomes (softmax(logits) - onehot(target)) * gradient_scale; without (NULL) what it holds afterwards means
 * nothing. */
double aur_cross_entropy_row(float *logits, int64_t n, int32_t target, const float *gradient_scale);

/* loss[b] = sum over t, ascending, of row_loss[b * positions + t]. */
void aur_sum_sequences(const double *row_loss, int64_t batch, int64_t positions, double *loss);

#endif
