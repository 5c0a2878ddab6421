#include "micro.h"

/* What changes from one micro-batch to the next, where operations find it. */
static aur_status put_inputs(struct aur_trainer *trainer, struct aur_lane *lane, int64_t index)
{
	const struct aur_config *config = trainer->config;
	struct aur_backend *backend = lane->backend;
	const int64_t micro = config->train.micro_batch_size, positions = config->model.block_size;
	const int64_t first = aur_trainer_first_sequence(trainer) + index * micro;
	const size_t bytes = (size_t)(micro * positions) * sizeof *lane->tokens;
	const struct aur_step_state state = {
		.seed = (uint64_t)config->train.seed,
		.first_sample = (uint64_t)(trainer->step * config->train.batch_size + first),
	};
	AUR_TRY(backend->ops->upload(backend, lane->state, &state, sizeof state));
	AUR_TRY(backend->ops->upload(backend, lane->tokens, trainer->next_tokens + index * micro * positions, bytes));
	return backend->ops->upload(backend, lane->targets, trainer->next_targets + index * micro * positions, bytes);
}

static struct aur_micro_batch batch_of(
	const struct aur_trainer *trainer, const struct aur_lane *lane, const struct aur_micro *micro, double *losses)
{
	const struct aur_config *config = trainer->config;
	return (struct aur_micro_batch){
		.tokens = lane->tokens,
		.targets = lane->targets,
		.batch = config->train.micro_batch_size,
		.positions = config->model.block_size,
		.weights = trainer->weights,
		.compute_weights = trainer->compute_weights,
		.state = lane->state,
		.loss = lane->recorder ? lane->losses : losses,
		.gradients = micro->gradients,
		.first = micro->index % trainer->micros_per_leaf == 0,
		.gradient_scale = (float)(1.0 / (double)(config->train.batch_size * config->model.block_size)),
		.completed = micro->completed,
		.context = micro->context,
	};
}

/* The buffer's place, or a free one; NULL: more buffers than places. */
static struct aur_lane_graph *place_of(struct aur_lane *lane, const float *gradients)
{
	for (int i = 0; i < AUR_LANE_GRAPHS; i++)
		if (lane->graphs[i].gradients == gradients || !lane->graphs[i].gradients)
			return &lane->graphs[i];
	return NULL;
}

/* What fails while it is recorded is tried again as it is. */
static aur_status record(struct aur_lane *lane, const struct aur_micro_batch *batch, void **graph)
{
	AUR_TRY(lane->recorder->begin(lane->backend));
	const aur_status status = aur_model_run(lane->workspace, batch);
	AUR_TRY(lane->recorder->end(lane->backend, status == AUR_OK, graph));
	if (status != AUR_OK)
		aur_error_clear();
	return AUR_OK;
}

/* The recording of this micro-batch; NULL: it has to be run. The backend stops recording where it failed once. */
static aur_status graph_of(struct aur_lane *lane, const struct aur_micro_batch *batch, void **graph)
{
	struct aur_lane_graph *place = place_of(lane, batch->gradients);
	*graph = NULL;
	if (!place || batch->completed)
		return AUR_OK;
	if (place->gradients && !place->graph && lane->backend->graphs)
		AUR_TRY(record(lane, batch, &place->graph));
	place->gradients = batch->gradients;
	*graph = place->graph;
	return AUR_OK;
}

static aur_status run(struct aur_trainer *trainer, struct aur_lane *lane, const struct aur_micro *micro)
{
	const int64_t sequences = trainer->config->train.micro_batch_size;
	double *losses = trainer->losses + aur_trainer_first_sequence(trainer) + micro->index * sequences;
	struct aur_backend *backend = lane->backend;
	void *graph = NULL;
	AUR_TRY(put_inputs(trainer, lane, micro->index));
	const struct aur_micro_batch batch = batch_of(trainer, lane, micro, losses);
	if (lane->recorder)
		AUR_TRY(graph_of(lane, &batch, &graph));
	AUR_TRY(graph ? lane->recorder->run(backend, graph) : aur_model_run(lane->workspace, &batch));
	return lane->recorder ? backend->ops->copy(backend, losses, lane->losses, (size_t)sequences * sizeof *losses)
						  : AUR_OK;
}

aur_status aur_micro_run(struct aur_trainer *trainer, struct aur_lane *lane, const struct aur_micro *micro)
{
	aur_mark_begin(lane->backend, "micro-batch");
	const aur_status status = run(trainer, lane, micro);
	aur_mark_end(lane->backend);
	return status;
}

void aur_micro_forget(struct aur_lane *lane)
{
	for (int i = 0; i < AUR_LANE_GRAPHS; i++) {
		if (lane->recorder)
			lane->recorder->discard(lane->backend, lane->graphs[i].graph);
		lane->graphs[i] = (struct aur_lane_graph){0};
	}
}
