#include "checkpoint_format.h"
#include "vocab_h5.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct aur_checkpoint {
	struct aur_h5 *file;
	struct aur_checkpoint_meta meta;
	struct aur_vocab vocab;
	struct aur_history history;
	int64_t n_tensors;
	struct aur_tensor_record *tensors; /* owned: what /params holds */
};

/* ---- opening ---- */

static aur_status open_tensor(
	struct aur_checkpoint *checkpoint, enum aur_checkpoint_part part, const char *name, struct aur_h5_dataset *dataset)
{
	char path[AUR_H5_NAME];
	snprintf(path, sizeof path, "%s/%s", aur_checkpoint_groups[part], name);
	return aur_h5_dataset_open(checkpoint->file, path, AUR_H5_F32, 0, dataset);
}

static aur_status get_record(struct aur_checkpoint *checkpoint, const char *name, struct aur_tensor_record *record)
{
	struct aur_h5_dataset dataset;
	AUR_TRY(open_tensor(checkpoint, AUR_PART_PARAMS, name, &dataset));
	memcpy(record->name, name, strlen(name) + 1);
	record->dims = dataset.dims;
	memcpy(record->shape, dataset.shape, sizeof record->shape);
	return aur_h5_dataset_close(&dataset);
}

static aur_status get_records(struct aur_checkpoint *checkpoint, const struct aur_paths *names)
{
	checkpoint->tensors = calloc((size_t)names->count + 1, sizeof *checkpoint->tensors);
	if (!checkpoint->tensors)
		return aur_fail(AUR_MEMORY, "%s: no memory for a list of its tensors", aur_h5_path(checkpoint->file));
	for (; checkpoint->n_tensors < names->count; checkpoint->n_tensors++)
		AUR_TRY(
			get_record(checkpoint, names->items[checkpoint->n_tensors], &checkpoint->tensors[checkpoint->n_tensors]));
	return AUR_OK;
}

/* The mark says how many tensors were written. */
static aur_status check_counts(struct aur_checkpoint *checkpoint, int64_t complete)
{
	const int is_model = strcmp(checkpoint->meta.kind, "model") == 0;
	const int64_t expected = checkpoint->n_tensors * (is_model ? 1 : AUR_CHECKPOINT_PARTS);
	if (expected != complete)
		return aur_h5_damaged(checkpoint->file, "/params",
			"%" PRId64 " tensors make %" PRId64 ", the mark says %" PRId64, checkpoint->n_tensors, expected, complete);
	return AUR_OK;
}

static aur_status open_all(const char *path, struct aur_checkpoint *checkpoint)
{
	int64_t complete;
	struct aur_paths names = {0};
	AUR_TRY(aur_h5_open(path, &checkpoint->file));
	AUR_TRY(aur_h5_expect(
		checkpoint->file, AUR_CHECKPOINT_FORMAT, AUR_CHECKPOINT_VERSION, AUR_CHECKPOINT_ADVICE, &complete));
	AUR_TRY(aur_h5_get_meta(checkpoint->file, &checkpoint->meta));
	AUR_TRY(aur_h5_get_vocab(checkpoint->file, &checkpoint->vocab));
	AUR_TRY(aur_h5_get_history(checkpoint->file, &checkpoint->history));
	aur_status status = aur_h5_list(checkpoint->file, aur_checkpoint_groups[AUR_PART_PARAMS], &names);
	if (status == AUR_OK)
		status = get_records(checkpoint, &names);
	aur_paths_clear(&names);
	return status == AUR_OK ? check_counts(checkpoint, complete) : status;
}

aur_status aur_checkpoint_open(const char *path, struct aur_checkpoint **checkpoint)
{
	*checkpoint = calloc(1, sizeof **checkpoint);
	if (!*checkpoint)
		return aur_fail(AUR_MEMORY, "%s: no memory to open it", path);
	const aur_status status = open_all(path, *checkpoint);
	if (status != AUR_OK)
		aur_checkpoint_close(checkpoint);
	return status;
}

void aur_checkpoint_close(struct aur_checkpoint **checkpoint)
{
	if (!checkpoint || !*checkpoint)
		return;
	struct aur_checkpoint *old = *checkpoint;
	aur_h5_close(&old->file);
	aur_checkpoint_meta_clear(&old->meta);
	aur_vocab_clear(&old->vocab);
	aur_history_clear(&old->history);
	free(old->tensors);
	free(old);
	*checkpoint = NULL;
}

const struct aur_checkpoint_meta *aur_checkpoint_meta_of(const struct aur_checkpoint *checkpoint)
{
	return &checkpoint->meta;
}

const struct aur_vocab *aur_checkpoint_vocab(const struct aur_checkpoint *checkpoint)
{
	return &checkpoint->vocab;
}

const struct aur_history *aur_checkpoint_history(const struct aur_checkpoint *checkpoint)
{
	return &checkpoint->history;
}

const char *aur_checkpoint_path(const struct aur_checkpoint *checkpoint)
{
	return aur_h5_path(checkpoint->file);
}

int64_t aur_checkpoint_tensors(const struct aur_checkpoint *checkpoint)
{
	return checkpoint->n_tensors;
}

aur_status aur_checkpoint_tensor(
	const struct aur_checkpoint *checkpoint, int64_t index, struct aur_tensor_record *tensor)
{
	if (index < 0 || index >= checkpoint->n_tensors)
		return aur_fail(AUR_SHAPE, "%s: tensor %" PRId64 " asked for, it has %" PRId64, aur_checkpoint_path(checkpoint),
			index, checkpoint->n_tensors);
	*tensor = checkpoint->tensors[index];
	return AUR_OK;
}

/* ---- reading ---- */

enum { SHAPE_TEXT = 96 };

static const char *shape_text(int dims, const int64_t *shape, char text[SHAPE_TEXT])
{
	size_t used = 0;
	text[0] = '\0';
	for (int i = 0; i < dims && i < AUR_CHECKPOINT_DIMS; i++)
		used += (size_t)snprintf(text + used, SHAPE_TEXT - used, "%s%" PRId64, i ? ", " : "", shape[i]);
	return text;
}

static aur_status check_shape(const struct aur_h5_dataset *dataset, const struct aur_tensor_record *tensor)
{
	int same = dataset->dims == tensor->dims;
	for (int i = 0; same && i < tensor->dims; i++)
		same = dataset->shape[i] == tensor->shape[i];
	if (same)
		return AUR_OK;
	char stored[SHAPE_TEXT], wanted[SHAPE_TEXT];
	return aur_fail(AUR_INPUT, "%s: %s: has the shape [%s], [%s] is needed: it is of another model configuration",
		aur_h5_path(dataset->file), dataset->name, shape_text(dataset->dims, dataset->shape, stored),
		shape_text(tensor->dims, tensor->shape, wanted));
}

static int knows(const struct aur_checkpoint *checkpoint, const char *name)
{
	for (int64_t i = 0; i < checkpoint->n_tensors; i++)
		if (strcmp(checkpoint->tensors[i].name, name) == 0)
			return 1;
	return 0;
}

static aur_status check_present(
	const struct aur_checkpoint *checkpoint, enum aur_checkpoint_part part, const char *name)
{
	if (part != AUR_PART_PARAMS && strcmp(checkpoint->meta.kind, "model") == 0)
		return aur_fail(AUR_INPUT,
			"%s: is an exported model without optimizer state: begin a new run with train --from",
			aur_checkpoint_path(checkpoint));
	if (!knows(checkpoint, name))
		return aur_fail(AUR_INPUT, "%s: has no tensor %s/%s: it is of another model configuration",
			aur_checkpoint_path(checkpoint), aur_checkpoint_groups[part], name);
	return AUR_OK;
}

aur_status aur_checkpoint_read(struct aur_checkpoint *checkpoint, enum aur_checkpoint_part part,
	const struct aur_tensor_record *tensor, int64_t begin, int64_t count, float *out)
{
	struct aur_h5_dataset dataset;
	AUR_TRY(check_present(checkpoint, part, tensor->name));
	AUR_TRY(open_tensor(checkpoint, part, tensor->name, &dataset));
	aur_status status = check_shape(&dataset, tensor);
	if (status == AUR_OK)
		status = aur_h5_dataset_read(&dataset, begin, count, out);
	aur_h5_dataset_close(&dataset);
	return status;
}

/* ---- verification ---- */

static aur_status verify_tensor(struct aur_checkpoint *checkpoint, enum aur_checkpoint_part part,
	const struct aur_tensor_record *tensor, void *buffer)
{
	struct aur_h5_dataset dataset;
	AUR_TRY(open_tensor(checkpoint, part, tensor->name, &dataset));
	aur_status status = check_shape(&dataset, tensor);
	if (status == AUR_OK)
		status = aur_h5_dataset_verify(&dataset, buffer);
	aur_h5_dataset_close(&dataset);
	return status;
}

static aur_status verify_tensors(struct aur_checkpoint *checkpoint, void *buffer)
{
	const int parts = strcmp(checkpoint->meta.kind, "model") == 0 ? 1 : AUR_CHECKPOINT_PARTS;
	for (int part = 0; part < parts; part++)
		for (int64_t i = 0; i < checkpoint->n_tensors; i++)
			AUR_TRY(verify_tensor(checkpoint, (enum aur_checkpoint_part)part, &checkpoint->tensors[i], buffer));
	return AUR_OK;
}

aur_status aur_checkpoint_verify(const char *path)
{
	struct aur_checkpoint *checkpoint;
	AUR_TRY(aur_checkpoint_open(path, &checkpoint));
	void *buffer = malloc(AUR_H5_SLAB_BYTES);
	const aur_status status =
		buffer ? verify_tensors(checkpoint, buffer) : aur_fail(AUR_MEMORY, "%s: no memory to verify it", path);
	free(buffer);
	aur_checkpoint_close(&checkpoint);
	return status;
}
