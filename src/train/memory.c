#include "train/memory.h"

/* The file's cache of metadata and the room of a chunk. */
static const int64_t hdf5_bytes = 3 << 20;

static int64_t largest_tensor(const struct aur_model *model)
{
	const struct aur_parameters *parameters = aur_model_parameters(model);
	int64_t largest = 0;
	for (int64_t i = 0; i < parameters->n_items; i++)
		largest = parameters->items[i].count > largest ? parameters->items[i].count : largest;
	return largest * (int64_t)sizeof(float);
}

/* On one rank whose backend shares the host's memory a tensor is written from where it lies. */
static int64_t tensors_collected(const struct aur_backend *backend, int ranks)
{
	return (ranks > 1 || !backend->host_memory) + !backend->host_memory;
}

void aur_memory_besides(const struct aur_config *config, const struct aur_model *model,
	const struct aur_backend *backend, int ranks, struct aur_memory *memory)
{
	const int64_t window = 2 * config->model.block_size * (int64_t)sizeof(int32_t);
	/* A device's gradients may be staged through two buckets of the host's memory. */
	const int staged = !backend->host_memory && config->system.share_gpu;
	const int fast = config->train.reduction == AUR_REDUCTION_FAST;
	*memory = (struct aur_memory){
		.batches = (config->data.prefetch + 1) * (config->train.batch_size / ranks) * window,
		.saving = hdf5_bytes + tensors_collected(backend, ranks) * largest_tensor(model),
	};
	if (ranks == 1 || (!fast && !staged))
		return;
	const int64_t all = aur_model_parameters(model)->count * (int64_t)sizeof(float);
	const int64_t bucket = (int64_t)(config->system.allreduce_bucket_mb * 1e6);
	memory->staging = 2 * (bucket < all ? bucket : all);
}

int64_t aur_memory_sum(const struct aur_memory *memory)
{
	return memory->batches + memory->saving + memory->staging;
}
