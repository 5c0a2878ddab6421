#include "train/state.h"

#include "train/model_file.h"

#include <stdlib.h>
#include <string.h>

/* The stretch of a tensor that lies in a rank's slice, in floats of the arena. */
struct overlap {
	int64_t begin, count;
};

static struct overlap overlap_of(const struct aur_trainer *trainer, const struct aur_parameter *parameter, int rank)
{
	const int64_t from = trainer->slices.begin[rank], to = trainer->slices.begin[rank + 1];
	const int64_t begin = parameter->offset > from ? parameter->offset : from;
	const int64_t last = parameter->offset + parameter->count;
	const int64_t end = last < to ? last : to;
	return (struct overlap){begin, end > begin ? end - begin : 0};
}

/* Memory of a save: one tensor on its way to the file, and this rank's share of it. Where the backend's memory is the
 * host's, shares lie there already, and on one rank the whole tensor does. */
struct save_buffers {
	float *tensor; /* rank 0 */
	float *mine;
	size_t *bytes; /* [ranks] */
};

static void free_buffers(struct save_buffers *buffers)
{
	free(buffers->tensor);
	free(buffers->mine);
	free(buffers->bytes);
}

static aur_status take_buffers(const struct aur_trainer *trainer, struct save_buffers *buffers)
{
	const struct aur_parameters *parameters = aur_model_parameters(trainer->model);
	const int host = trainer->backend->host_memory;
	const int whole = trainer->comm->rank == 0 && (!host || trainer->comm->size > 1);
	size_t largest = 1;
	for (int64_t i = 0; i < parameters->n_items; i++)
		if ((size_t)parameters->items[i].count > largest)
			largest = (size_t)parameters->items[i].count;
	buffers->mine = host ? NULL : malloc(largest * sizeof(float));
	buffers->bytes = malloc((size_t)trainer->comm->size * sizeof(size_t));
	buffers->tensor = whole ? malloc(largest * sizeof(float)) : NULL;
	if ((!host && !buffers->mine) || !buffers->bytes || (whole && !buffers->tensor))
		return aur_fail(AUR_MEMORY, "checkpoint: no memory for a tensor of %zu bytes", largest * sizeof(float));
	return AUR_OK;
}

/* `count` floats of the backend's memory as the host reads them: in place, or copied to `room`. */
static aur_status on_host(
	const struct aur_trainer *trainer, const float *data, int64_t count, float *room, const float **seen)
{
	struct aur_backend *backend = trainer->backend;
	*seen = backend->host_memory ? data : room;
	if (backend->host_memory || count == 0)
		return AUR_OK;
	return backend->ops->download(backend, room, data, (size_t)count * sizeof(float));
}

/* Collective: rank 0 gets the whole tensor of m or v. */
static aur_status gather_tensor(struct aur_trainer *trainer, const struct aur_parameter *parameter, const float *slice,
	struct save_buffers *buffers, const float **tensor)
{
	struct aur_comm *comm = trainer->comm;
	for (int r = 0; r < comm->size; r++)
		buffers->bytes[r] = (size_t)overlap_of(trainer, parameter, r).count * sizeof(float);
	const struct overlap own = overlap_of(trainer, parameter, comm->rank);
	const float *mine = slice;
	aur_status status = AUR_OK;
	if (own.count > 0)
		status =
			on_host(trainer, slice + (own.begin - trainer->slices.begin[comm->rank]), own.count, buffers->mine, &mine);
	AUR_TRY(aur_comm_agree(comm, status));
	*tensor = comm->size == 1 ? mine : buffers->tensor;
	return comm->size == 1 ? AUR_OK : comm->ops->gather(comm, mine, buffers->bytes, buffers->tensor, 0);
}

static aur_status write_weights(struct aur_trainer *trainer, const struct aur_parameter *parameter,
	const struct aur_tensor_record *record, struct save_buffers *buffers, struct aur_checkpoint_writer *writer)
{
	const float *tensor;
	if (trainer->comm->rank != 0)
		return AUR_OK;
	AUR_TRY(on_host(trainer, trainer->weights + parameter->offset, parameter->count, buffers->tensor, &tensor));
	return aur_checkpoint_write(writer, AUR_PART_PARAMS, record, tensor);
}

static aur_status save_moment(struct aur_trainer *trainer, const struct aur_parameter *parameter,
	enum aur_checkpoint_part part, struct save_buffers *buffers, struct aur_checkpoint_writer *writer)
{
	struct aur_tensor_record record;
	const float *tensor;
	aur_tensor_record_of(parameter, &record);
	AUR_TRY(gather_tensor(trainer, parameter, part == AUR_PART_M ? trainer->m : trainer->v, buffers, &tensor));
	aur_status status = AUR_OK;
	if (trainer->comm->rank == 0)
		status = aur_checkpoint_write(writer, part, &record, tensor);
	return aur_comm_agree(trainer->comm, status);
}

static aur_status save_tensors(
	struct aur_trainer *trainer, struct save_buffers *buffers, struct aur_checkpoint_writer *writer)
{
	const struct aur_parameters *parameters = aur_model_parameters(trainer->model);
	for (int64_t i = 0; i < parameters->n_items; i++) {
		const struct aur_parameter *parameter = &parameters->items[i];
		struct aur_tensor_record record;
		aur_tensor_record_of(parameter, &record);
		AUR_TRY(aur_comm_agree(trainer->comm, write_weights(trainer, parameter, &record, buffers, writer)));
		AUR_TRY(save_moment(trainer, parameter, AUR_PART_M, buffers, writer));
		AUR_TRY(save_moment(trainer, parameter, AUR_PART_V, buffers, writer));
	}
	return AUR_OK;
}

static void fill_meta(const struct aur_trainer *trainer, struct aur_checkpoint_meta *meta)
{
	meta->step = trainer->step;
	meta->samples = trainer->step * trainer->config->train.batch_size;
	meta->updates = trainer->updates;
	meta->skipped = trainer->skipped;
	meta->seed = (uint64_t)trainer->config->train.seed;
	meta->ranks = trainer->comm->size;
}

aur_status aur_state_save(struct aur_trainer *trainer, const char *path, struct aur_checkpoint_meta *meta,
	const struct aur_vocab *vocab, const struct aur_history *history)
{
	struct aur_comm *comm = trainer->comm;
	struct save_buffers buffers = {0};
	struct aur_checkpoint_writer *writer = NULL;
	aur_status status = take_buffers(trainer, &buffers);
	if (status == AUR_OK && comm->rank == 0) {
		fill_meta(trainer, meta);
		status = aur_checkpoint_begin(path, meta, vocab, history, &writer);
	}
	AUR_TRY_CLEANUP(aur_comm_agree(comm, status));
	AUR_TRY_CLEANUP(save_tensors(trainer, &buffers, writer));
	if (comm->rank == 0)
		status = aur_checkpoint_finish(&writer);
	status = aur_comm_agree(comm, status);
cleanup:
	aur_checkpoint_abandon(&writer);
	free_buffers(&buffers);
	return status;
}

static aur_status load_moment(
	struct aur_trainer *trainer, struct aur_checkpoint *checkpoint, enum aur_checkpoint_part part, float *buffer)
{
	struct aur_backend *backend = trainer->backend;
	const struct aur_parameters *parameters = aur_model_parameters(trainer->model);
	const int rank = trainer->comm->rank;
	float *slice = part == AUR_PART_M ? trainer->m : trainer->v;
	for (int64_t i = 0; i < parameters->n_items; i++) {
		const struct aur_parameter *parameter = &parameters->items[i];
		const struct overlap mine = overlap_of(trainer, parameter, rank);
		if (mine.count == 0)
			continue;
		struct aur_tensor_record record;
		aur_tensor_record_of(parameter, &record);
		float *to = slice + (mine.begin - trainer->slices.begin[rank]), *read = backend->host_memory ? to : buffer;
		AUR_TRY(aur_checkpoint_read(checkpoint, part, &record, mine.begin - parameter->offset, mine.count, read));
		if (read != to)
			AUR_TRY(backend->ops->upload(backend, to, read, (size_t)mine.count * sizeof(float)));
	}
	return AUR_OK;
}

aur_status aur_state_host_weights(struct aur_trainer *trainer, float **weights)
{
	*weights =
		trainer->backend->host_memory ? trainer->weights : malloc((size_t)trainer->slices.count * sizeof **weights);
	if (!*weights)
		return aur_fail(AUR_MEMORY, "no memory for %lld weights", (long long)trainer->slices.count);
	return AUR_OK;
}

void aur_state_free_weights(const struct aur_trainer *trainer, float **weights)
{
	if (*weights != trainer->weights)
		free(*weights);
	*weights = NULL;
}

aur_status aur_state_load_weights(struct aur_trainer *trainer, struct aur_checkpoint *checkpoint)
{
	float *weights;
	aur_status status = aur_state_host_weights(trainer, &weights);
	if (status == AUR_OK && trainer->comm->rank == 0)
		status = aur_read_parameters(checkpoint, aur_model_parameters(trainer->model), weights);
	AUR_TRY_CLEANUP(aur_comm_agree(trainer->comm, status));
	status = aur_trainer_set_weights(trainer, weights);
cleanup:
	aur_state_free_weights(trainer, &weights);
	return status;
}

aur_status aur_state_load(struct aur_trainer *trainer, struct aur_checkpoint *checkpoint)
{
	AUR_TRY(aur_state_load_weights(trainer, checkpoint));
	struct save_buffers buffers = {0};
	aur_status status = take_buffers(trainer, &buffers);
	if (status == AUR_OK)
		status = load_moment(trainer, checkpoint, AUR_PART_M, buffers.mine);
	if (status == AUR_OK)
		status = load_moment(trainer, checkpoint, AUR_PART_V, buffers.mine);
	free_buffers(&buffers);
	const struct aur_checkpoint_meta *meta = aur_checkpoint_meta_of(checkpoint);
	trainer->step = meta->step;
	trainer->updates = meta->updates;
	trainer->skipped = meta->skipped;
	if (status == AUR_OK)
		status = aur_trainer_send_updates(trainer);
	return aur_comm_agree(trainer->comm, status);
}
