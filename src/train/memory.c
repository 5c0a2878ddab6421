#include "train/memory.h"

#include "core/process.h"
#include "train/trainer.h"

#include <stdio.h>

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

/* Evaluations read both parts, and none is made where there are no validation tokens. */
int64_t aur_memory_of_chunks(const struct aur_dataset *dataset)
{
	const int evaluates = aur_dataset_tokens(dataset, AUR_VAL) > 0;
	return aur_dataset_kept_bytes(dataset, 0) + (evaluates ? aur_dataset_kept_bytes(dataset, 1) : 0);
}

void aur_memory_besides(const struct aur_memory_rank *rank, struct aur_memory *memory)
{
	const struct aur_config *config = rank->config;
	const struct aur_backend *backend = rank->backend;
	const int ranks = rank->ranks;
	const int64_t window = 2 * config->model.block_size * (int64_t)sizeof(int32_t);
	/* A device's gradients may be staged through two buckets of the host's memory. */
	const int staged = !backend->host_memory && config->system.share_gpu;
	const int fast = config->train.reduction == AUR_REDUCTION_FAST;
	*memory = (struct aur_memory){
		.batches = (config->data.prefetch + 1) * (config->train.batch_size / ranks) * window,
		.chunks = rank->chunk_bytes,
		.saving = hdf5_bytes + tensors_collected(backend, ranks) * largest_tensor(rank->model),
	};
	if (ranks == 1 || (!fast && !staged))
		return;
	const int64_t all = aur_model_parameters(rank->model)->count * (int64_t)sizeof(float);
	const int64_t bucket = (int64_t)(config->system.allreduce_bucket_mb * 1e6);
	memory->staging = 2 * (bucket < all ? bucket : all);
}

int64_t aur_memory_sum(const struct aur_memory *memory)
{
	return memory->batches + memory->chunks + memory->saving + memory->staging;
}

/* Lanes and the trainer have parts of the same name. */
static void sum_parts(struct aur_arena *plan)
{
	struct aur_arena summed = {0};
	for (int i = 0; i < plan->n_parts; i++)
		aur_arena_take(&summed, plan->parts[i].name, plan->parts[i].bytes);
	*plan = summed;
}

aur_status aur_memory_need_of(const struct aur_memory_rank *rank, int64_t micro_batch, struct aur_memory_need *need)
{
	struct aur_config config = *rank->config;
	config.train.micro_batch_size = micro_batch;
	AUR_TRY(aur_trainer_plan(&config, rank->model, rank->backend, rank->ranks, &need->plan));
	sum_parts(&need->plan);
	aur_memory_besides(rank, &need->besides);
	need->bytes = (int64_t)need->plan.used;
	if (rank->backend->host_memory)
		need->bytes += rank->program_bytes + aur_memory_sum(&need->besides);
	return AUR_OK;
}

aur_status aur_memory_largest(const struct aur_memory_rank *rank, int64_t room, int64_t *largest, int *fits)
{
	const int64_t batch = rank->config->train.batch_size;
	*largest = 0;
	*fits = 0;
	for (int64_t micro = 1; micro <= batch; micro++) {
		struct aur_memory_need need;
		if (batch % micro != 0)
			continue;
		const aur_status status = aur_memory_need_of(rank, micro, &need);
		if (status != AUR_OK && status != AUR_USAGE)
			return status;
		if (status == AUR_OK && need.bytes <= room) {
			*largest = micro;
			*fits |= micro == rank->config->train.micro_batch_size;
		}
		aur_error_clear();
	}
	return AUR_OK;
}

static double megabytes(int64_t bytes)
{
	return (double)bytes * 1e-6;
}

/* "weights 396.7 MB, gradient buffers 1586.9 MB, ..." */
static void list_parts(const struct aur_memory_rank *rank, const struct aur_memory_need *need, char *text, size_t bytes)
{
	size_t used = 0;
	text[0] = '\0';
	for (int i = 0; i < need->plan.n_parts && used < bytes; i++)
		used += (size_t)snprintf(text + used, bytes - used, "%s%s %.1f MB", i ? ", " : "", need->plan.parts[i].name,
			megabytes((int64_t)need->plan.parts[i].bytes));
	if (rank->backend->host_memory && used < bytes)
		snprintf(text + used, bytes - used, ", program, batches and saving %.1f MB",
			megabytes(rank->program_bytes + aur_memory_sum(&need->besides)));
}

static void advise(const struct aur_memory_rank *rank, int64_t largest, char *text, size_t bytes)
{
	if (largest > 0)
		snprintf(text, bytes, "%lld is the largest that fits", (long long)largest);
	else
		snprintf(text, bytes, "none fits%s; a smaller model takes less",
			rank->config->system.recompute == AUR_RECOMPUTE_BLOCK ? "" : " (system.recompute: block keeps less)");
}

/* `room` is one rank's. */
static aur_status refuse(const struct aur_memory_rank *rank, const struct aur_memory_need *need, int64_t room)
{
	char parts[512], advice[128];
	int64_t largest;
	int fits;
	list_parts(rank, need, parts, sizeof parts);
	AUR_TRY(aur_memory_largest(rank, room, &largest, &fits));
	advise(rank, largest, advice, sizeof advice);
	return aur_fail(AUR_MEMORY,
		"memory: a rank needs %.1f MB and can have %.1f MB of %s: %s; of train.micro_batch_size, which is %lld, %s",
		megabytes(need->bytes), megabytes(room), rank->backend->device[0] ? rank->backend->device : "this machine",
		parts, (long long)rank->config->train.micro_batch_size, advice);
}

/* What one rank can have of the backend's memory: ranks of a machine share the host's. */
static aur_status room_of(const struct aur_memory_rank *rank, int ranks_here, int64_t *room)
{
	if (!rank->backend->host_memory)
		return rank->backend->ops->room(rank->backend, room);
	*room = aur_process_room(ranks_here);
	return AUR_OK;
}

aur_status aur_memory_check(const struct aur_memory_rank *rank, int ranks_here)
{
	struct aur_memory_need need;
	int64_t room = 0;
	if (!rank->backend->host_memory)
		return AUR_OK;
	AUR_TRY(room_of(rank, ranks_here, &room));
	AUR_TRY(aur_memory_need_of(rank, rank->config->train.micro_batch_size, &need));
	if (room <= 0 || need.bytes <= room)
		return AUR_OK;
	return refuse(rank, &need, room);
}

aur_status aur_memory_explain(const struct aur_memory_rank *rank, int ranks_here)
{
	char before[AUR_MESSAGE];
	struct aur_memory_need need;
	int64_t room = 0;
	snprintf(before, sizeof before, "%s", aur_error_message());
	aur_status status = room_of(rank, ranks_here, &room);
	if (status == AUR_OK)
		status = aur_memory_need_of(rank, rank->config->train.micro_batch_size, &need);
	/* Where the plan would fit, or nobody knows, something else was short: what was said of it stays. */
	if (status == AUR_OK && need.bytes > room && (room > 0 || !rank->backend->host_memory))
		return refuse(rank, &need, room);
	return aur_fail(AUR_MEMORY, "%s", before);
}
