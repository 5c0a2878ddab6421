#include "train/lanes.h"

#include "core/threads.h"

/* Up to here threads that share operations wait for each other more than they compute: FLOPs of a micro-batch, forward
 * and backward. */
static const double short_flops = 2e10;

static int works_alone(const struct aur_config *config, const struct aur_model *model)
{
	const int64_t positions = config->model.block_size;
	const double tokens = (double)(config->train.micro_batch_size * positions);
	return aur_model_flops_per_token(model, positions) * tokens <= short_flops;
}

int aur_lanes_choose(
	const struct aur_config *config, const struct aur_model *model, const struct aur_backend *backend, int64_t leaves)
{
	const int64_t asked = config->system.lanes, threads = aur_threads_now();
	int64_t most = asked > 0 && asked < threads ? asked : threads;
	if (!backend->host_memory || (asked == 0 && !works_alone(config, model)))
		return 1;
	most = most < leaves ? most : leaves;
	most = most < AUR_MOST_LANES ? most : AUR_MOST_LANES;
	int lanes = 1;
	while (lanes * 2 <= most)
		lanes *= 2;
	return lanes;
}
