#include "update.h"

#include "train/precision.h"
#include "train/schedule.h"

/* The norm over all slices: each rank sums its blocks, all ranks add all blocks in order. */
static aur_status clip(struct aur_trainer *trainer, float *gradient)
{
	struct aur_backend *backend = trainer->backend;
	struct aur_comm *comm = trainer->comm;
	const int64_t length = aur_slice_length(&trainer->slices, comm->rank);
	const struct aur_tensor sums = {
		.data = trainer->sums, .dtype = AUR_F64, .dims = 1, .shape = {trainer->sum_slices.count}, .stride = {1}};
	if (length > 0) {
		struct aur_tensor mine = sums;
		mine.data = trainer->sums + trainer->sum_slices.begin[comm->rank];
		mine.shape[0] = aur_slice_length(&trainer->sum_slices, comm->rank);
		const struct aur_sum_of_squares squares = {.x = aur_view1(gradient, length), .sums = mine};
		AUR_TRY(backend->ops->sum_of_squares(backend, &squares));
	}
	AUR_TRY(comm->ops->all_gather_start(comm, &trainer->sum_slices, trainer->sums, sizeof *trainer->sums));
	AUR_TRY(comm->ops->finish(comm));
	const struct aur_clip clip = {
		.sums = sums,
		.max_norm = (float)trainer->config->train.grad_clip,
		.beta1 = trainer->config->train.beta1,
		.beta2 = trainer->config->train.beta2,
		.state = trainer->state,
	};
	return backend->ops->clip(backend, &clip);
}

/* Where the update puts the weights that products read; absent where these are the weights themselves. */
static struct aur_tensor rounded_slice(const struct aur_trainer *trainer, int64_t begin, int64_t length)
{
	char *all = trainer->compute_weights;
	if (trainer->compute == AUR_F32)
		return (struct aur_tensor){0};
	return aur_view1_of(all + (size_t)begin * aur_dtype_bytes(trainer->compute), trainer->compute, length);
}

static aur_status update(struct aur_trainer *trainer, float *gradient)
{
	const struct aur_config *config = trainer->config;
	const int64_t begin = trainer->slices.begin[trainer->comm->rank];
	const int64_t length = aur_slice_length(&trainer->slices, trainer->comm->rank);
	if (length == 0)
		return AUR_OK;
	const struct aur_adamw adamw = {
		.weights = aur_view1(trainer->weights + begin, length),
		.gradients = aur_view1(gradient, length),
		.m = aur_view1(trainer->m, length),
		.v = aur_view1(trainer->v, length),
		.rounded = rounded_slice(trainer, begin, length),
		.segments = trainer->segments,
		.n_segments = trainer->n_segments,
		.beta1 = (float)config->train.beta1,
		.beta2 = (float)config->train.beta2,
		.epsilon = (float)config->train.epsilon,
		.state = trainer->state,
	};
	return trainer->backend->ops->adamw(trainer->backend, &adamw);
}

/* What the host knows of the update; the rest is on the device and stays there. */
static aur_status send_state(struct aur_trainer *trainer)
{
	const struct aur_config *config = trainer->config;
	const struct aur_step_state state = {
		.seed = (uint64_t)config->train.seed,
		.learning_rate = (float)aur_schedule_rate(config, trainer->step),
	};
	return trainer->backend->ops->upload(trainer->backend, trainer->state, &state, AUR_STEP_STATE_SENT);
}

static aur_status round_stretch(struct aur_trainer *trainer, int64_t begin, int64_t end)
{
	char *all = trainer->compute_weights;
	if (begin == end || trainer->compute == AUR_F32)
		return AUR_OK;
	return aur_precision_round(trainer->backend, trainer->compute, trainer->weights + begin,
		all + (size_t)begin * aur_dtype_bytes(trainer->compute), end - begin);
}

/* The other ranks' slices, which arrive as they are; the own one was rounded by its update, and in memory that all
 * ranks have in common so were the others. */
static aur_status round_gathered(struct aur_trainer *trainer)
{
	const struct aur_slices *slices = &trainer->slices;
	const int rank = trainer->comm->rank;
	if (aur_comm_in_common(trainer->comm, trainer->compute_weights))
		return AUR_OK;
	AUR_TRY(round_stretch(trainer, 0, slices->begin[rank]));
	return round_stretch(trainer, slices->begin[rank + 1], slices->count);
}

aur_status aur_trainer_update(struct aur_trainer *trainer, float *gradient)
{
	struct aur_comm *comm = trainer->comm;
	AUR_TRY(send_state(trainer));
	AUR_TRY(clip(trainer, gradient));
	AUR_TRY(update(trainer, gradient));
	AUR_TRY(comm->ops->all_gather_start(comm, &trainer->slices, trainer->weights, sizeof *trainer->weights));
	AUR_TRY(comm->ops->finish(comm));
	return round_gathered(trainer);
}
