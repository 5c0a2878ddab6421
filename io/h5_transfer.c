#include "h5_raw.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A block of a dataset that is one run of elements in row-major order. */
struct box {
	hsize_t start[AUR_H5_DIMS], count[AUR_H5_DIMS];
	int64_t elements;
};

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Boxes end where chunks do, as far as that is possible: a chunk is then read or written once. */
static int64_t end_with_a_chunk(int64_t start, int64_t count, int64_t whole, int64_t chunk)
{
	if (chunk < 1 || start + count >= whole)
		return count;
	const int64_t end = (start + count) / chunk * chunk;
	return end > start ? end - start : count;
}

/* The largest box that begins at element `at`, holds at most `left` elements and AUR_H5_SLAB_BYTES: dimensions before
 * `cut` are fixed, `cut` is a range, those after it are whole. */
static void next_box(const struct aur_h5_dataset *dataset, int64_t at, int64_t left, struct box *box)
{
	int64_t stride[AUR_H5_DIMS];
	int64_t limit = AUR_H5_SLAB_BYTES / (int64_t)dataset->element_bytes;
	const int last = dataset->dims - 1;
	limit = limit < 1 ? 1 : limit;
	stride[last] = 1;
	for (int i = last; i > 0; i--)
		stride[i - 1] = stride[i] * dataset->shape[i];
	int cut = 0;
	while (cut < last && (at % stride[cut] != 0 || stride[cut] > left || stride[cut] > limit))
		cut++;
	for (int i = 0; i < dataset->dims; i++) {
		box->start[i] = (hsize_t)(at / stride[i]);
		at %= stride[i];
		box->count[i] = i < cut ? 1 : (hsize_t)dataset->shape[i];
	}
	const int64_t start = (int64_t)box->start[cut];
	const int64_t room = least(least(left, limit) / stride[cut], dataset->shape[cut] - start);
	const int64_t count = end_with_a_chunk(start, room, dataset->shape[cut], dataset->chunk[cut]);
	box->count[cut] = (hsize_t)count;
	box->elements = count * stride[cut];
}

struct spaces {
	hid_t file, memory, type;
};

static void close_spaces(const struct aur_h5_dataset *dataset, struct spaces *spaces)
{
	if (spaces->file >= 0)
		H5Sclose(spaces->file);
	if (spaces->memory >= 0)
		H5Sclose(spaces->memory);
	if (dataset->type == AUR_H5_TEXT && spaces->type >= 0)
		H5Tclose(spaces->type);
}

static int open_spaces(const struct aur_h5_dataset *dataset, const struct box *box, struct spaces *spaces)
{
	spaces->file = H5Dget_space(dataset->id);
	/* Of the box's rank and shape: between different shapes HDF5 goes element by element, a hundred times slower. */
	spaces->memory = H5Screate_simple(dataset->dims, box->count, NULL);
	spaces->type = dataset->type == AUR_H5_TEXT ? H5Dget_type(dataset->id) : aur_h5_file_type(dataset->type);
	return spaces->file >= 0 && spaces->memory >= 0 && spaces->type >= 0 &&
		   H5Sselect_hyperslab(spaces->file, H5S_SELECT_SET, box->start, NULL, box->count, NULL) >= 0;
}

static aur_status write_box(struct aur_h5_dataset *dataset, const struct box *box, const void *data)
{
	struct spaces spaces;
	aur_status status = AUR_OK;
	aur_h5_lock();
	if (!open_spaces(dataset, box, &spaces) ||
		H5Dwrite(dataset->id, spaces.type, spaces.memory, spaces.file, H5P_DEFAULT, data) < 0)
		status = aur_h5_write_failed(dataset->file);
	close_spaces(dataset, &spaces);
	aur_h5_unlock();
	return status;
}

static aur_status read_box(struct aur_h5_dataset *dataset, const struct box *box, void *data)
{
	struct spaces spaces;
	aur_status status = AUR_OK;
	aur_h5_lock();
	if (!open_spaces(dataset, box, &spaces) ||
		H5Dread(dataset->id, spaces.type, spaces.memory, spaces.file, H5P_DEFAULT, data) < 0)
		status = aur_h5_read_failed(dataset->file, dataset->name);
	close_spaces(dataset, &spaces);
	aur_h5_unlock();
	return status;
}

static aur_status check_range(const struct aur_h5_dataset *dataset, int64_t begin, int64_t count)
{
	if (begin < 0 || count < 0 || begin > dataset->elements || count > dataset->elements - begin)
		return aur_fail(AUR_SHAPE, "%s: %s: %lld elements from %lld on asked for, it has %lld", dataset->file->path,
			dataset->name, (long long)count, (long long)begin, (long long)dataset->elements);
	return AUR_OK;
}

aur_status aur_h5_dataset_write(struct aur_h5_dataset *dataset, int64_t begin, int64_t count, const void *data)
{
	AUR_TRY(check_range(dataset, begin, count));
	const char *next = data;
	while (count > 0) {
		int64_t moved;
		AUR_TRY(aur_h5_chunk_write(dataset, begin, count, next, &moved));
		if (moved == 0) {
			struct box box;
			next_box(dataset, begin, count, &box);
			AUR_TRY(write_box(dataset, &box, next));
			moved = box.elements;
		}
		next += (size_t)moved * dataset->element_bytes;
		begin += moved;
		count -= moved;
	}
	return AUR_OK;
}

aur_status aur_h5_dataset_read(struct aur_h5_dataset *dataset, int64_t begin, int64_t count, void *data)
{
	AUR_TRY(check_range(dataset, begin, count));
	char *next = data;
	while (count > 0) {
		int64_t moved = aur_h5_chunk_read(dataset, begin, count, next);
		if (moved == 0) {
			struct box box;
			next_box(dataset, begin, count, &box);
			AUR_TRY(read_box(dataset, &box, next));
			moved = box.elements;
		}
		next += (size_t)moved * dataset->element_bytes;
		begin += moved;
		count -= moved;
	}
	return AUR_OK;
}

aur_status aur_h5_dataset_verify(struct aur_h5_dataset *dataset, void *buffer)
{
	for (int64_t at = 0; at < dataset->elements;) {
		int64_t checked = aur_h5_chunk_read(dataset, at, dataset->elements - at, NULL);
		if (checked == 0) {
			struct box box;
			next_box(dataset, at, dataset->elements - at, &box);
			AUR_TRY(read_box(dataset, &box, buffer));
			checked = box.elements;
		}
		at += checked;
	}
	return AUR_OK;
}

/* ---- whole lists and texts ---- */

static aur_status put_whole(struct aur_h5 *file, struct aur_h5_dataset *dataset, const char *name, const void *data)
{
	snprintf(dataset->name, sizeof dataset->name, "%s", name);
	AUR_TRY(aur_h5_dataset_create(file, dataset));
	const aur_status status = aur_h5_dataset_write(dataset, 0, dataset->elements, data);
	const aur_status closed = aur_h5_dataset_close(dataset);
	return status != AUR_OK ? status : closed;
}

aur_status aur_h5_put_list(
	struct aur_h5 *file, const char *name, enum aur_h5_type type, const void *data, int64_t count)
{
	struct aur_h5_dataset dataset = {.type = type, .storage = AUR_H5_CHECKED, .dims = 1, .shape = {count}};
	return put_whole(file, &dataset, name, data);
}

aur_status aur_h5_put_long_text(struct aur_h5 *file, const char *name, const char *text)
{
	const size_t bytes = strlen(text);
	if (bytes > AUR_H5_SLAB_BYTES)
		return aur_fail(AUR_INPUT, "%s: %s: a text of %zu bytes, at most %d are stored", file->path, name, bytes,
			AUR_H5_SLAB_BYTES);
	struct aur_h5_dataset dataset = {.type = AUR_H5_TEXT,
		.storage = AUR_H5_CHECKED,
		.element_bytes = bytes > 0 ? bytes : 1,
		.dims = 1,
		.shape = {1}};
	return put_whole(file, &dataset, name, text);
}

/* A dataset [n] as new memory with one zero byte more. */
static aur_status get_whole(struct aur_h5 *file, const char *name, enum aur_h5_type type, void **data, int64_t *count)
{
	struct aur_h5_dataset dataset;
	*data = NULL;
	AUR_TRY(aur_h5_dataset_open(file, name, type, 0, &dataset));
	aur_status status = AUR_OK;
	const size_t bytes = (size_t)dataset.elements * dataset.element_bytes;
	char *memory = NULL;
	if (dataset.dims != 1)
		status = aur_h5_damaged(file, name, "has %d dimensions, not one", dataset.dims);
	else if (!(memory = malloc(bytes + 1)))
		status = aur_fail(AUR_MEMORY, "%s: %s: no memory for its %zu bytes", file->path, name, bytes);
	else
		status = aur_h5_dataset_read(&dataset, 0, dataset.elements, memory);
	aur_h5_dataset_close(&dataset);
	if (status != AUR_OK) {
		free(memory);
		return status;
	}
	memory[bytes] = '\0';
	*data = memory;
	*count = dataset.elements;
	return AUR_OK;
}

aur_status aur_h5_get_list(struct aur_h5 *file, const char *name, enum aur_h5_type type, void **data, int64_t *count)
{
	return get_whole(file, name, type, data, count);
}

aur_status aur_h5_get_long_text(struct aur_h5 *file, const char *name, char **text)
{
	void *data;
	int64_t count;
	*text = NULL;
	AUR_TRY(get_whole(file, name, AUR_H5_TEXT, &data, &count));
	if (count == 1) {
		*text = data;
		return AUR_OK;
	}
	free(data);
	return aur_h5_damaged(file, name, "holds %lld texts, not one", (long long)count);
}
