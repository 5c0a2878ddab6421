#include "train/lanes.h"

#include "core/threads.h"

/* Up to here threads that share operations wait for each other more than they compute: FLOPs of a micro-batch, forward
 * and backward. */
static const double short_flops = 2e10;

/* What lanes may take for gradient buffers beyond those of one. */
static const double most_bytes = 512e6;

static double buffer_bytes(const struct aur_model *model, int64_t leaves, int lanes)
{
	const double one = (double)aur_model_parameters(model)->count * sizeof(float);
	return one * lanes * aur_leaf_tree_buffers(leaves / lanes);
}

/* Threads that no lane has stand idle: operations must be all the shorter for lanes to be worth it. */
static int works_alone(const struct aur_config *config, const struct aur_model *model, int lanes)
{
	const int64_t positions = config->model.block_size;
	const double tokens = (double)(config->train.micro_batch_size * positions);
	const int threads = aur_threads_now(), idle = threads % lanes > 0;
	return aur_model_flops_per_token(model, positions) * tokens <= (idle ? short_flops / 8 : short_flops);
}

/* The largest power of two that is not above any of these. */
static int most_lanes(int64_t threads, int64_t leaves, int64_t asked)
{
	int64_t most = threads < leaves ? threads : leaves;
	most = asked > 0 && asked < most ? asked : most;
	most = most < AUR_MOST_LANES ? most : AUR_MOST_LANES;
	int lanes = 1;
	while (lanes * 2 <= most)
		lanes *= 2;
	return lanes;
}

int aur_lanes_choose(
	const struct aur_config *config, const struct aur_model *model, const struct aur_backend *backend, int64_t leaves)
{
	int lanes = most_lanes(aur_threads_now(), leaves, config->system.lanes);
	if (!backend->host_memory)
		return 1;
	if (config->system.lanes > 0)
		return lanes;
	while (lanes > 1 && buffer_bytes(model, leaves, lanes) - buffer_bytes(model, leaves, 1) > most_bytes)
		lanes /= 2;
	return works_alone(config, model, lanes) ? lanes : 1;
}
