#ifndef AUR_CUDA_DROPOUT_CUH
#define AUR_CUDA_DROPOUT_CUH

/* The masks of backend.h's struct aur_dropout. One draw of Philox is eight neighbouring columns, of 16 bits each; its
 * number, `element`, is row * ceil(columns / 8) + column / 8. */

extern "C" {
#include "backend/backend.h"
}

#include "philox.cuh"

#include <math.h>

/* What a kernel is given of it, by value. */
struct aur_dropout_mask {
	const struct aur_step_state *state; /* device memory; NULL: no dropout */
	uint32_t stream;                    /* of head 0 */
	uint32_t threshold;                 /* half-words below it are dropped */
	float scale;                        /* of what is kept */
};

/* Host. */
static inline struct aur_dropout_mask aur_dropout_mask_of(const struct aur_dropout *dropout)
{
	struct aur_dropout_mask mask = {};
	if (!(dropout->p > 0.0f))
		return mask;
	mask.state = dropout->state;
	mask.stream = dropout->site | dropout->layer << 8;
	mask.threshold = static_cast<uint32_t>(floor(65536.0 * static_cast<double>(dropout->p) + 0.5));
	if (mask.threshold < 65536)
		mask.scale = static_cast<float>(65536.0 / (65536.0 - mask.threshold));
	return mask;
}

/* All the masks of one head of one sequence; to be held in registers. */
struct aur_dropout_sequence {
	uint64_t seed, sample;
	uint32_t stream, threshold;
	float scale;
};

/* `sequence` is the number in the micro-batch; mask.state is not NULL. */
AUR_ON_DEVICE aur_dropout_sequence aur_dropout_sequence_of(
	const aur_dropout_mask &mask, uint32_t head, int64_t sequence)
{
	aur_dropout_sequence s;
	s.seed = mask.state->seed;
	s.sample = mask.state->first_sample + static_cast<uint64_t>(sequence);
	s.stream = mask.stream | head << 20;
	s.threshold = mask.threshold;
	s.scale = mask.scale;
	return s;
}

/* Half-word `column` % 8 of a draw; `column` a constant where the loop is unrolled. */
AUR_ON_DEVICE uint32_t aur_dropout_half(const uint4 &words, int column)
{
	const uint32_t word = column < 4 ? (column < 2 ? words.x : words.y) : (column < 6 ? words.z : words.w);
	return column % 2 ? word >> 16 : word & 0xffffu;
}

AUR_ON_DEVICE uint4 aur_dropout_words(const aur_dropout_sequence &s, uint32_t element)
{
	return aur_philox_words(s.seed, element, s.stream, s.sample);
}

/* What the eight columns of a draw are multiplied with: 0, or the scale. Multiplied, not selected: a NaN that is
 * dropped must still show. */
AUR_ON_DEVICE void aur_dropout_factors(const aur_dropout_sequence &s, uint32_t element, float (&factor)[8])
{
	const uint4 words = aur_dropout_words(s, element);
	for (int i = 0; i < 8; i++)
		factor[i] = aur_dropout_half(words, i) < s.threshold ? 0.0f : s.scale;
}

/* Multiplies columns `column` to `column` + 7 of row `row` of an activation [*, columns] with their mask; row n belongs
 * to position n % positions of sequence n / positions. Divided in 32 bits where that is enough: the difference is a
 * hundred instructions, and there are twenty multiplications in all. Without dropout x stays. */
AUR_ON_DEVICE void aur_dropout_apply(
	const aur_dropout_mask &mask, int64_t row, int64_t positions, int64_t column, int64_t columns, float (&x)[8])
{
	if (!mask.state)
		return;
	const bool fits = row <= UINT32_MAX && positions <= UINT32_MAX;
	const int64_t sequence = fits ? static_cast<uint32_t>(row) / static_cast<uint32_t>(positions) : row / positions;
	const int64_t draw = (row - sequence * positions) * ((columns + 7) / 8) + column / 8;
	float factor[8];
	aur_dropout_factors(aur_dropout_sequence_of(mask, 0, sequence), static_cast<uint32_t>(draw), factor);
	for (int i = 0; i < 8; i++)
		x[i] *= factor[i];
}

#endif
