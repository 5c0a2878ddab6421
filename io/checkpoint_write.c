#include "checkpoint_format.h"
#include "vocab_h5.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct aur_checkpoint_writer {
	struct aur_h5 *file;
	char *path;
	int is_model;
	int64_t written[AUR_CHECKPOINT_PARTS];
};

static aur_status begin_file(struct aur_checkpoint_writer *writer, const struct aur_checkpoint_meta *meta,
	const struct aur_vocab *vocab, const struct aur_history *history)
{
	AUR_TRY(aur_h5_create(writer->path, &writer->file));
	AUR_TRY(aur_h5_put_meta(writer->file, meta));
	AUR_TRY(aur_h5_put_vocab(writer->file, vocab));
	AUR_TRY(aur_h5_put_history(writer->file, history));
	AUR_TRY(aur_h5_group(writer->file, aur_checkpoint_groups[AUR_PART_PARAMS]));
	if (writer->is_model)
		return AUR_OK;
	AUR_TRY(aur_h5_group(writer->file, "/adam"));
	AUR_TRY(aur_h5_group(writer->file, aur_checkpoint_groups[AUR_PART_M]));
	return aur_h5_group(writer->file, aur_checkpoint_groups[AUR_PART_V]);
}

aur_status aur_checkpoint_begin(const char *path, const struct aur_checkpoint_meta *meta, const struct aur_vocab *vocab,
	const struct aur_history *history, struct aur_checkpoint_writer **writer)
{
	*writer = NULL;
	const int is_model = strcmp(meta->kind, "model") == 0;
	if (!is_model && strcmp(meta->kind, "checkpoint") != 0)
		return aur_fail(AUR_INTERNAL, "%s: no kind of checkpoint is called \"%s\"", path, meta->kind);
	struct aur_checkpoint_writer *new = calloc(1, sizeof *new);
	if (!new)
		return aur_fail(AUR_MEMORY, "%s: no memory to write it", path);
	new->is_model = is_model;
	new->path = strdup(path);
	const aur_status status =
		new->path ? begin_file(new, meta, vocab, history) : aur_fail(AUR_MEMORY, "%s: no memory for its name", path);
	if (status == AUR_OK)
		*writer = new;
	else
		aur_checkpoint_abandon(&new);
	return status;
}

static aur_status check_tensor(
	const struct aur_checkpoint_writer *writer, enum aur_checkpoint_part part, const struct aur_tensor_record *tensor)
{
	const size_t bytes = strnlen(tensor->name, sizeof tensor->name);
	if (bytes == 0 || bytes == sizeof tensor->name || strchr(tensor->name, '/') || strcmp(tensor->name, ".") == 0)
		return aur_fail(AUR_INTERNAL, "%s: no tensor can have the name \"%.63s\"", writer->path, tensor->name);
	if (writer->is_model && part != AUR_PART_PARAMS)
		return aur_fail(AUR_INTERNAL, "%s: a model holds no optimizer state", writer->path);
	return AUR_OK;
}

aur_status aur_checkpoint_write(struct aur_checkpoint_writer *writer, enum aur_checkpoint_part part,
	const struct aur_tensor_record *tensor, const float *data)
{
	AUR_TRY(check_tensor(writer, part, tensor));
	struct aur_h5_dataset dataset = {.type = AUR_H5_F32, .storage = AUR_H5_CHECKED, .dims = tensor->dims};
	for (int i = 0; i < tensor->dims && i < AUR_H5_DIMS; i++)
		dataset.shape[i] = tensor->shape[i];
	snprintf(dataset.name, sizeof dataset.name, "%s/%s", aur_checkpoint_groups[part], tensor->name);
	AUR_TRY(aur_h5_dataset_create(writer->file, &dataset));
	const aur_status status = aur_h5_dataset_write(&dataset, 0, dataset.elements, data);
	const aur_status closed = aur_h5_dataset_close(&dataset);
	AUR_TRY(status);
	AUR_TRY(closed);
	writer->written[part]++;
	return AUR_OK;
}

static void free_writer(struct aur_checkpoint_writer **writer)
{
	free((*writer)->path);
	free(*writer);
	*writer = NULL;
}

static aur_status finish_file(struct aur_checkpoint_writer *writer)
{
	const int64_t *written = writer->written;
	const int64_t total = written[AUR_PART_PARAMS] + written[AUR_PART_M] + written[AUR_PART_V];
	if (total < 1 || (!writer->is_model && (written[AUR_PART_M] != written[AUR_PART_PARAMS] ||
											   written[AUR_PART_V] != written[AUR_PART_PARAMS])))
		return aur_fail(AUR_INTERNAL, "%s: %lld weights, %lld m and %lld v were written: not a checkpoint",
			writer->path, (long long)written[AUR_PART_PARAMS], (long long)written[AUR_PART_M],
			(long long)written[AUR_PART_V]);
	return aur_h5_finish_verified(&writer->file, total, aur_checkpoint_verify);
}

aur_status aur_checkpoint_finish(struct aur_checkpoint_writer **writer)
{
	const aur_status status = finish_file(*writer);
	aur_checkpoint_abandon(writer);
	return status;
}

void aur_checkpoint_abandon(struct aur_checkpoint_writer **writer)
{
	if (!writer || !*writer)
		return;
	aur_h5_abandon(&(*writer)->file);
	free_writer(writer);
}
