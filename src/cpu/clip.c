#include "internal.h"

#include <math.h>

static void count_update(const struct aur_clip *op, struct aur_step_state *state)
{
	if (state->skip) {
		state->skipped_in_a_row++;
		return;
	}
	const double t = (double)++state->updates;
	state->correction1 = (float)(1.0 - pow(op->beta1, t));
	state->correction2 = (float)(1.0 - pow(op->beta2, t));
	state->skipped_in_a_row = 0;
}

aur_status aur_clip_cpu(struct aur_backend *backend, const struct aur_clip *op)
{
	(void)backend;
	const int64_t blocks = aur_tensor_count(&op->sums);
	AUR_TRY(aur_check_clip(op));
	const double *sums = op->sums.data;
	double total = 0.0;
	for (int64_t i = 0; i < blocks; i++)
		total += sums[i];
	struct aur_step_state *state = op->state;
	const double limit = (double)op->max_norm;
	state->norm = sqrt(total);
	state->skip = !isfinite(state->norm);
	state->gradient_scale = limit > 0.0 && !state->skip && state->norm > limit ? (float)(limit / state->norm) : 1.0f;
	count_update(op, state);
	return AUR_OK;
}
