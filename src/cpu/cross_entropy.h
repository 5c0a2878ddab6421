#ifndef AUR_CPU_CROSS_ENTROPY_H
#define AUR_CPU_CROSS_ENTROPY_H

#include "variant.h"

#include "core/dtype.h"

#include <stdint.h>

enum { AUR_SOFTMAX_PIECES = 256 /* of a row, at most */ };

/* softmax(x)[j] = exp(x[j] - max) / sum. */
struct aur_softmax {
	float max;
	double sum;                          /* of fp32 exponentials, added in fp32 over 512 columns and in fp64 beyond */
	float piece_max[AUR_SOFTMAX_PIECES]; /* the largest number up to each piece's end: what its exponentials are of */
};

/* Of one row, in one pass; x [n], n > 0. A NaN in x makes sum NaN. `exponentials` [n], unless NULL, gets each piece's
 * exp(x[j] - piece_max), for aur_add_softmax; it may be x. `next`, unless NULL, is a row as long that is read
 * afterwards: it is fetched meanwhile. `softmax` is filled but for pieces that the row has not. */
void aur_softmax_of(const float *x, int64_t n, float *exponentials, const float *next, struct aur_softmax *softmax);

/* to[j] += scale * softmax(x)[j], of what aur_softmax_of left. `next` as there. */
void aur_add_softmax(const float *exponentials, int64_t n, double scale, const struct aur_softmax *softmax, float *to,
	const float *next);

/* -log softmax(logits)[target] of one row, the same bits with and without a gradient. d_logits, fp32 or bf16 [n], gets
 * (softmax(logits) - onehot(target)) * scale; the logits are then used up, and it may begin where they do, in either
 * type. NULL: the loss alone. Memory is read and written once: the second pass over a row finds it in a cache. */
double aur_cross_entropy_row(
	float *logits, int64_t n, int32_t target, float scale, void *d_logits, enum aur_dtype d_type);

/* loss[b] = sum over t, ascending, of row_loss[b * positions + t]. */
void aur_sum_sequences(const double *row_loss, int64_t batch, int64_t positions, double *loss);

#endif
