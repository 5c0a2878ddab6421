#include "internal.h"
#include "rows.h"

#include <math.h>

enum { BLOCK = 16384 }; /* elements: four arrays of them fit the second-level cache */

struct update {
	float gradient_scale, learning_rate, epsilon;
	float new_m, new_v;       /* 1 - beta */
	float inverse1, inverse2; /* 1 / bias corrections */
};

/* Every sum has one product in it, so that contracting it to a fused multiply-add leaves no choice: an element gets the
 * same bits in the vector body and in the remainder of a loop, wherever slices are cut. */
static void step(const struct update *u, float weight_decay, int64_t n, float *restrict w,
	const float *restrict gradient, float *restrict m, float *restrict v)
{
	for (int64_t i = 0; i < n; i++) {
		const float g = gradient[i] * u->gradient_scale;
		m[i] += u->new_m * (g - m[i]);
		v[i] += u->new_v * (g * g - v[i]);
		const float direction = m[i] * u->inverse1 / (sqrtf(v[i] * u->inverse2) + u->epsilon);
		w[i] -= u->learning_rate * (direction + weight_decay * w[i]);
	}
}

/* The new weights while the cache still holds them. */
static void round_weights(const struct aur_adamw *op, int64_t begin, int64_t end)
{
	const float *w = aur_f32(&op->weights);
	uint16_t *rounded = op->rounded.data;
#pragma omp simd
	for (int64_t i = begin; i < end; i++)
		rounded[i] = aur_narrow(w[i]);
}

/* The segment that holds an element. */
static int64_t find_segment(const struct aur_adamw *op, int64_t element)
{
	int64_t low = 0;
	int64_t high = op->n_segments - 1;
	while (low < high) {
		const int64_t middle = (low + high) / 2;
		if (op->segments[middle].begin + op->segments[middle].count > element)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

static void step_block(const struct aur_adamw *op, const struct update *update, int64_t begin, int64_t end)
{
	const int64_t first = begin;
	int64_t i = find_segment(op, begin);
	while (begin < end) {
		const int64_t segment_end = op->segments[i].begin + op->segments[i].count;
		const int64_t stop = segment_end < end ? segment_end : end;
		step(update, op->segments[i].weight_decay, stop - begin, aur_f32(&op->weights) + begin,
			aur_f32(&op->gradients) + begin, aur_f32(&op->m) + begin, aur_f32(&op->v) + begin);
		begin = stop;
		i++;
	}
	if (op->rounded.data)
		round_weights(op, first, end);
}

aur_status aur_adamw_cpu(struct aur_backend *backend, const struct aur_adamw *op)
{
	(void)backend;
	AUR_TRY(aur_check_adamw(op));
	const struct aur_step_state *state = op->state;
	if (state->skip)
		return AUR_OK;
	const struct update update = {.gradient_scale = state->gradient_scale,
		.learning_rate = state->learning_rate,
		.epsilon = op->epsilon,
		.new_m = (float)(1.0 - (double)op->beta1),
		.new_v = (float)(1.0 - (double)op->beta2),
		.inverse1 = 1.0f / state->correction1,
		.inverse2 = 1.0f / state->correction2};
	const int64_t count = aur_tensor_count(&op->weights);
#pragma omp parallel for schedule(static)
	for (int64_t begin = 0; begin < count; begin += BLOCK)
		step_block(op, &update, begin, begin + BLOCK < count ? begin + BLOCK : count);
	return AUR_OK;
}
