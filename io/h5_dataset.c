#include "h5_raw.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Values go from file to memory unchanged. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the files are little-endian and read without conversion");

enum {
	CHECKED_CHUNK_BYTES = 1 << 20,
	DEFLATED_CHUNK_BYTES = 128 << 10,
	CHUNK_BYTES_MAX = 16 << 20,
	DEFLATE_LEVEL = 4,
	DEFLATE_RATIO_MAX = 1100 /* deflate cannot do better than 1032 to 1 */
};

static size_t bytes_of_type(enum aur_h5_type type)
{
	static const size_t bytes[] = {[AUR_H5_U8] = 1,
		[AUR_H5_U16] = 2,
		[AUR_H5_U32] = 4,
		[AUR_H5_U64] = 8,
		[AUR_H5_I64] = 8,
		[AUR_H5_F32] = 4,
		[AUR_H5_F64] = 8,
		[AUR_H5_TEXT] = 0};
	return bytes[type];
}

/* Elements, or -1 when the bytes do not fit an int64. */
static int64_t count_elements(const struct aur_h5_dataset *dataset)
{
	int64_t elements = 1, bytes;
	for (int i = 0; i < dataset->dims; i++)
		if (dataset->shape[i] < 0 || __builtin_mul_overflow(elements, dataset->shape[i], &elements))
			return -1;
	if (__builtin_mul_overflow(elements, (int64_t)dataset->element_bytes, &bytes))
		return -1;
	return elements;
}

/* ---- creating ---- */

/* A chunk is a run of consecutive elements, so that a slice of a tensor touches few chunks: trailing dimensions whole,
 * one dimension cut, leading ones 1. The cut is even, since a last chunk takes the space of a full one. */
static void choose_chunks(struct aur_h5_dataset *dataset)
{
	const int64_t limit_bytes = dataset->storage == AUR_H5_DEFLATED ? DEFLATED_CHUNK_BYTES : CHECKED_CHUNK_BYTES;
	int64_t room = limit_bytes / (int64_t)dataset->element_bytes;
	for (int i = dataset->dims - 1; i >= 0; i--) {
		const int64_t whole = dataset->shape[i];
		int64_t cut = room < 1 ? 1 : whole < room ? whole : room;
		if (dataset->storage != AUR_H5_DEFLATED && cut < whole) {
			const int64_t pieces = (whole + cut - 1) / cut;
			cut = (whole + pieces - 1) / pieces;
		}
		dataset->chunk[i] = cut;
		room = cut < whole ? 1 : room / whole;
	}
}

/* Under the lock; negative on failure. */
static hid_t creation_list(const struct aur_h5_dataset *dataset)
{
	const hid_t list = H5Pcreate(H5P_DATASET_CREATE);
	if (list < 0 || dataset->storage == AUR_H5_CONTIGUOUS)
		return list;
	hsize_t chunk[AUR_H5_DIMS];
	for (int i = 0; i < dataset->dims; i++)
		chunk[i] = (hsize_t)dataset->chunk[i];
	int failed = H5Pset_chunk(list, dataset->dims, chunk) < 0;
	if (dataset->storage == AUR_H5_DEFLATED)
		failed |= H5Pset_deflate(list, DEFLATE_LEVEL) < 0;
	failed |= H5Pset_fletcher32(list) < 0;
	if (!failed)
		return list;
	H5Pclose(list);
	return -1;
}

static aur_status create_locked(struct aur_h5_dataset *dataset)
{
	hsize_t shape[AUR_H5_DIMS];
	for (int i = 0; i < dataset->dims; i++)
		shape[i] = (hsize_t)dataset->shape[i];
	const hid_t space = H5Screate_simple(dataset->dims, shape, NULL);
	const hid_t list = creation_list(dataset);
	const int text = dataset->type == AUR_H5_TEXT;
	const hid_t type = text ? aur_h5_text_type(dataset->element_bytes) : aur_h5_file_type(dataset->type);
	dataset->id = H5Dcreate2(dataset->file->id, dataset->name, type, space, H5P_DEFAULT, list, H5P_DEFAULT);
	const aur_status status = dataset->id < 0 ? aur_h5_write_failed(dataset->file) : AUR_OK;
	if (text && type >= 0)
		H5Tclose(type);
	if (list >= 0)
		H5Pclose(list);
	if (space >= 0)
		H5Sclose(space);
	return status;
}

aur_status aur_h5_dataset_create(struct aur_h5 *file, struct aur_h5_dataset *dataset)
{
	dataset->file = file;
	dataset->id = -1;
	if (dataset->type != AUR_H5_TEXT)
		dataset->element_bytes = bytes_of_type(dataset->type);
	if (dataset->dims < 1 || dataset->dims > AUR_H5_DIMS || (dataset->elements = count_elements(dataset)) < 0)
		return aur_fail(AUR_SHAPE, "%s: %s: cannot store %d dimensions or so many elements", file->path, dataset->name,
			dataset->dims);
	if (dataset->elements == 0)
		dataset->storage = AUR_H5_CONTIGUOUS;
	memset(dataset->chunk, 0, sizeof dataset->chunk);
	if (dataset->storage != AUR_H5_CONTIGUOUS)
		choose_chunks(dataset);
	dataset->direct = dataset->storage == AUR_H5_CHECKED && aur_h5_chunks_are_direct(dataset);
	aur_h5_lock();
	const aur_status status = create_locked(dataset);
	aur_h5_unlock();
	return status;
}

/* ---- opening: nothing in the file is believed ---- */

static aur_status check_type(struct aur_h5_dataset *dataset)
{
	const hid_t type = H5Dget_type(dataset->id);
	if (type < 0)
		return aur_h5_read_failed(dataset->file, dataset->name);
	int fits;
	if (dataset->type == AUR_H5_TEXT) {
		fits = H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) == 0;
		dataset->element_bytes = fits ? H5Tget_size(type) : 0;
		fits = fits && dataset->element_bytes > 0 && dataset->element_bytes <= AUR_H5_SLAB_BYTES;
	} else {
		fits = H5Tequal(type, aur_h5_file_type(dataset->type)) > 0;
		dataset->element_bytes = bytes_of_type(dataset->type);
	}
	H5Tclose(type);
	return fits ? AUR_OK : aur_h5_damaged(dataset->file, dataset->name, "has another type than this program writes");
}

static aur_status check_shape(struct aur_h5_dataset *dataset)
{
	const hid_t space = H5Dget_space(dataset->id);
	if (space < 0)
		return aur_h5_read_failed(dataset->file, dataset->name);
	hsize_t shape[H5S_MAX_RANK] = {0};
	const int dims =
		H5Sget_simple_extent_type(space) == H5S_SIMPLE ? H5Sget_simple_extent_dims(space, shape, NULL) : -1;
	H5Sclose(space);
	if (dims < 1 || dims > AUR_H5_DIMS)
		return aur_h5_damaged(dataset->file, dataset->name, "has %d dimensions, 1 to %d are read", dims, AUR_H5_DIMS);
	dataset->dims = dims;
	for (int i = 0; i < dims; i++)
		dataset->shape[i] = shape[i] > INT64_MAX ? -1 : (int64_t)shape[i];
	dataset->elements = count_elements(dataset);
	return AUR_OK;
}

static aur_status check_filters(struct aur_h5_dataset *dataset, hid_t list)
{
	int checked = 0, deflated_first = 0;
	const int filters = H5Pget_nfilters(list);
	for (int i = 0; i < filters; i++) {
		unsigned flags, config;
		size_t values = 0;
		const H5Z_filter_t filter = H5Pget_filter2(list, (unsigned)i, &flags, &values, NULL, 0, NULL, &config);
		if (filter == H5Z_FILTER_FLETCHER32)
			checked = 1;
		else if (filter == H5Z_FILTER_DEFLATE) {
			dataset->storage = AUR_H5_DEFLATED;
			deflated_first = i == 0;
		} else if (filter != H5Z_FILTER_SHUFFLE)
			return aur_h5_damaged(
				dataset->file, dataset->name, "uses the filter %d, which is not allowed", (int)filter);
	}
	if (!checked)
		return aur_h5_damaged(dataset->file, dataset->name, "has no checksums");
	dataset->direct = filters == 1 && aur_h5_chunks_are_direct(dataset);
	dataset->inflated = filters == 2 && deflated_first && aur_h5_chunks_are_direct(dataset);
	return AUR_OK;
}

/* Chunks that were never written would read as zeros without a word. */
static aur_status check_all_written(struct aur_h5_dataset *dataset)
{
	int64_t expected = dataset->elements > 0;
	for (int i = 0; expected > 0 && i < dataset->dims; i++)
		expected *= (dataset->shape[i] + dataset->chunk[i] - 1) / dataset->chunk[i];
	hsize_t written = 0;
	const hid_t space = H5Dget_space(dataset->id);
	const int counted = space >= 0 && H5Dget_num_chunks(dataset->id, space, &written) >= 0;
	const aur_status status = counted ? AUR_OK : aur_h5_read_failed(dataset->file, dataset->name);
	if (space >= 0)
		H5Sclose(space);
	AUR_TRY(status);
	if (written != (hsize_t)expected)
		return aur_h5_damaged(
			dataset->file, dataset->name, "has %llu chunks of %lld", (unsigned long long)written, (long long)expected);
	dataset->stored_bytes = (int64_t)H5Dget_storage_size(dataset->id);
	return AUR_OK;
}

static aur_status check_chunks(struct aur_h5_dataset *dataset, hid_t list)
{
	hsize_t chunk[H5S_MAX_RANK] = {0};
	dataset->storage = AUR_H5_CHECKED;
	if (H5Pget_chunk(list, H5S_MAX_RANK, chunk) != dataset->dims)
		return aur_h5_damaged(dataset->file, dataset->name, "has chunks of another rank");
	uint64_t bytes = dataset->element_bytes;
	for (int i = 0; i < dataset->dims; i++) {
		dataset->chunk[i] = (int64_t)chunk[i];
		if (chunk[i] < 1 || __builtin_mul_overflow(bytes, (uint64_t)chunk[i], &bytes) || bytes > CHUNK_BYTES_MAX)
			return aur_h5_damaged(dataset->file, dataset->name, "has chunks of more than %d bytes", CHUNK_BYTES_MAX);
	}
	return check_filters(dataset, list);
}

static aur_status check_size(struct aur_h5_dataset *dataset)
{
	const int64_t file_bytes = dataset->file->bytes;
	const int64_t ratio = dataset->storage == AUR_H5_DEFLATED ? DEFLATE_RATIO_MAX : 1;
	int64_t limit;
	if (__builtin_mul_overflow(file_bytes, ratio, &limit))
		limit = INT64_MAX;
	if (dataset->elements < 0 || dataset->elements > limit / (int64_t)dataset->element_bytes)
		return aur_h5_damaged(dataset->file, dataset->name, "claims more data than the file's %lld bytes can hold",
			(long long)file_bytes);
	return AUR_OK;
}

static aur_status find_contiguous(struct aur_h5_dataset *dataset, hid_t list, int accepted)
{
	dataset->storage = AUR_H5_CONTIGUOUS;
	if (H5Pget_external_count(list) != 0)
		return aur_h5_damaged(dataset->file, dataset->name, "is stored in other files, which are not read");
	AUR_TRY(check_size(dataset));
	if (dataset->elements == 0)
		return AUR_OK;
	if (!accepted)
		return aur_h5_damaged(dataset->file, dataset->name, "has no checksums");
	const haddr_t offset = H5Dget_offset(dataset->id);
	const uint64_t bytes = (uint64_t)dataset->elements * dataset->element_bytes,
				   file_bytes = (uint64_t)dataset->file->bytes;
	if (offset == HADDR_UNDEF || offset > file_bytes || bytes > file_bytes - offset)
		return aur_h5_damaged(dataset->file, dataset->name, "lies outside of the file");
	dataset->offset = (int64_t)offset;
	return AUR_OK;
}

static aur_status check_storage(struct aur_h5_dataset *dataset, int contiguous_too)
{
	const hid_t list = H5Dget_create_plist(dataset->id);
	if (list < 0)
		return aur_h5_read_failed(dataset->file, dataset->name);
	aur_status status;
	const H5D_layout_t layout = H5Pget_layout(list);
	if (layout == H5D_CHUNKED) {
		status = check_chunks(dataset, list);
		if (status == AUR_OK)
			status = check_size(dataset);
		if (status == AUR_OK)
			status = check_all_written(dataset);
	} else if (layout == H5D_CONTIGUOUS)
		status = find_contiguous(dataset, list, contiguous_too);
	else
		status = aur_h5_damaged(dataset->file, dataset->name, "has a storage layout that is not read");
	H5Pclose(list);
	return status;
}

static aur_status open_locked(struct aur_h5_dataset *dataset, int contiguous_too)
{
	AUR_TRY(aur_h5_check_links(dataset->file, dataset->name));
	dataset->id = H5Dopen2(dataset->file->id, dataset->name, H5P_DEFAULT);
	if (dataset->id < 0)
		return aur_h5_read_failed(dataset->file, dataset->name);
	aur_status status = check_type(dataset);
	if (status == AUR_OK)
		status = check_shape(dataset);
	if (status == AUR_OK)
		status = check_storage(dataset, contiguous_too);
	if (status != AUR_OK) {
		H5Dclose(dataset->id);
		dataset->id = -1;
	}
	return status;
}

aur_status aur_h5_dataset_open(
	struct aur_h5 *file, const char *name, enum aur_h5_type type, int contiguous_too, struct aur_h5_dataset *dataset)
{
	*dataset = (struct aur_h5_dataset){.file = file, .id = -1, .type = type};
	if (snprintf(dataset->name, sizeof dataset->name, "%s", name) >= (int)sizeof dataset->name)
		return aur_fail(AUR_INTERNAL, "%s: %s: too long a name", file->path, name);
	aur_h5_lock();
	const aur_status status = open_locked(dataset, contiguous_too);
	aur_h5_unlock();
	return status;
}

aur_status aur_h5_dataset_close(struct aur_h5_dataset *dataset)
{
	if (!dataset || !dataset->file || dataset->id < 0)
		return AUR_OK;
	aur_h5_lock();
	const aur_status status = H5Dclose(dataset->id) < 0 ? aur_h5_write_failed(dataset->file) : AUR_OK;
	aur_h5_unlock();
	dataset->id = -1;
	return status;
}
