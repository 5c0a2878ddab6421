#ifndef AUR_IO_H5_H
#define AUR_IO_H5_H

#include "core/status.h"
#include "io/file.h"

#include <stddef.h>
#include <stdint.h>

/* The one wrapper around HDF5: everything else in the project speaks to HDF5 through these functions.
 *
 * Each takes one global lock around its HDF5 calls (other builds of HDF5 are not thread-safe), while a file is used by
 * one thread at a time; moves at most 4 MiB a call, and turns the library's error stack into our message. Files are
 * written in the format of HDF5 1.10, whose metadata carries checksums; older ones, which have none, are refused. Names
 * inside files are absolute: "/train/tokens". */

enum { AUR_H5_SLAB_BYTES = 4 << 20, AUR_H5_DIMS = 4, AUR_H5_NAME = 128 };

enum aur_h5_type { AUR_H5_U8, AUR_H5_U16, AUR_H5_U32, AUR_H5_U64, AUR_H5_I64, AUR_H5_F32, AUR_H5_F64, AUR_H5_TEXT };

enum aur_h5_storage {
	AUR_H5_CONTIGUOUS, /* one run of bytes without a checksum of HDF5's; where there are no elements, always this */
	AUR_H5_CHECKED,    /* chunks of at most 1 MiB with Fletcher32 */
	AUR_H5_DEFLATED    /* chunks of 128 KiB, deflate, Fletcher32 */
};

struct aur_h5;

/* ---- files ---- */

/* Begins `path`.partial, replacing an old one. AUR_IO. */
aur_status aur_h5_create(const char *path, struct aur_h5 **file);

/* Flushes, then writes the completeness mark (the root's attribute `complete`, at least 1), closes and fsyncs. What is
 * left is a synced `path`.partial. Frees *file whatever happens; on failure the partial file is removed. AUR_IO. */
aur_status aur_h5_finish(struct aur_h5 **file, int64_t complete);

/* Verifies `path`.partial with `verify`, renames it to `path` and fsyncs the folder. On failure the partial file is
 * removed and an old `path` is untouched. AUR_IO. */
aur_status aur_h5_publish(const char *path, aur_status (*verify)(const char *partial));

/* Both in one: while the bytes travel to the disk they are verified as they will be read, from the system's memory. The
 * file gets its name when both went well. Frees *file whatever happens. AUR_IO. */
aur_status aur_h5_finish_verified(struct aur_h5 **file, int64_t complete, aur_status (*verify)(const char *partial));

/* Closes and removes the partial file. Accepts NULL. */
void aur_h5_abandon(struct aur_h5 **file);

/* Opens for reading. AUR_INPUT says what the file is when it is no HDF5 file of a known format. */
aur_status aur_h5_open(const char *path, struct aur_h5 **file);
void aur_h5_close(struct aur_h5 **file);

/* Checks the attributes format, version and complete of the root. `advice` (a literal) ends every later message about
 * damage: "re-run prepare". *complete gets the mark; it may be NULL. AUR_INPUT. */
aur_status aur_h5_expect(
	struct aur_h5 *file, const char *format, int64_t version, const char *advice, int64_t *complete);

const char *aur_h5_path(const struct aur_h5 *file);
int64_t aur_h5_bytes(const struct aur_h5 *file);

/* A new descriptor of the open file, which the caller closes. AUR_IO. */
aur_status aur_h5_descriptor(const struct aur_h5 *file, int *fd);

/* Records "PATH: OBJECT: WHAT (ADVICE)" and returns AUR_INPUT. */
aur_status aur_h5_damaged(const struct aur_h5 *file, const char *object, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* ---- groups ---- */

aur_status aur_h5_group(struct aur_h5 *file, const char *name);

/* Whether every step of `name` is a hard link that exists. */
int aur_h5_has(struct aur_h5 *file, const char *name);

/* Adds the names in a group, sorted by bytes. Fails with AUR_INPUT on links that are not hard, on more than 65,536 of
 * them, and on names of AUR_H5_NAME / 2 bytes or more. */
aur_status aur_h5_list(struct aur_h5 *file, const char *group, struct aur_paths *names);

/* ---- attributes of the object `object` ---- */

aur_status aur_h5_put_text(struct aur_h5 *file, const char *object, const char *name, const char *value);
aur_status aur_h5_put_int(struct aur_h5 *file, const char *object, const char *name, int64_t value);
aur_status aur_h5_put_uint(struct aur_h5 *file, const char *object, const char *name, uint64_t value);
aur_status aur_h5_put_double(struct aur_h5 *file, const char *object, const char *name, double value);

/* AUR_INPUT when missing, of another type, or longer than `bytes` with the terminating zero. */
aur_status aur_h5_get_text(struct aur_h5 *file, const char *object, const char *name, char *value, size_t bytes);
aur_status aur_h5_get_int(struct aur_h5 *file, const char *object, const char *name, int64_t *value);
aur_status aur_h5_get_uint(struct aur_h5 *file, const char *object, const char *name, uint64_t *value);
aur_status aur_h5_get_double(struct aur_h5 *file, const char *object, const char *name, double *value);

/* ---- datasets ---- */

/* An open dataset; owned by whoever opened it, closed before its file. */
struct aur_h5_dataset {
	struct aur_h5 *file; /* borrowed */
	char name[AUR_H5_NAME];
	int64_t id;
	enum aur_h5_type type;
	enum aur_h5_storage storage;
	size_t element_bytes; /* a text's length */
	int dims;             /* 1 to 4 */
	int64_t shape[AUR_H5_DIMS];
	int64_t chunk[AUR_H5_DIMS]; /* 0 where contiguous */
	int direct;                 /* whole chunks are moved without HDF5's filter pipeline */
	int inflated;               /* the same of reading deflated ones */
	int64_t stored_bytes;       /* chunked: what the chunks take in the file */
	int64_t elements;
	int64_t offset; /* of the first element in the file, contiguous only; 0 when there are no elements */
};

/* Creates the dataset that type, storage, element_bytes (texts only), dims, shape and name describe. AUR_IO. */
aur_status aur_h5_dataset_create(struct aur_h5 *file, struct aur_h5_dataset *dataset);

/* Opens `name` and checks all that could do harm: hard links, no external or virtual storage, known filters, the type,
 * the rank, and the size against the file's length. Contiguous storage is accepted when asked for. AUR_INPUT. */
aur_status aur_h5_dataset_open(
	struct aur_h5 *file, const char *name, enum aur_h5_type type, int contiguous_too, struct aur_h5_dataset *dataset);

/* Elements [begin, begin + count) in row-major order, from or to contiguous memory of the same type. */
aur_status aur_h5_dataset_write(struct aur_h5_dataset *dataset, int64_t begin, int64_t count, const void *data);
aur_status aur_h5_dataset_read(struct aur_h5_dataset *dataset, int64_t begin, int64_t count, void *data);

/* Reads everything through a buffer of AUR_H5_SLAB_BYTES, so that every checksum is checked. AUR_INPUT. */
aur_status aur_h5_dataset_verify(struct aur_h5_dataset *dataset, void *buffer);

/* HDF5's checksum of the filter Fletcher32 (H5_checksum_fletcher32): over 16-bit big-endian words modulo 65535, the
 * plain sum in the lower half and the sum of the partial sums in the upper. */
uint32_t aur_h5_fletcher32(const void *data, size_t bytes);

/* Closing reports what a delayed write has to say. Accepts a dataset that was never opened. AUR_IO. */
aur_status aur_h5_dataset_close(struct aur_h5_dataset *dataset);

/* A whole list as a dataset [count], checked; and back as new memory, which the caller frees. */
aur_status aur_h5_put_list(
	struct aur_h5 *file, const char *name, enum aur_h5_type type, const void *data, int64_t count);
aur_status aur_h5_get_list(struct aur_h5 *file, const char *name, enum aur_h5_type type, void **data, int64_t *count);

/* A long text (at most 4 MiB) as a dataset [1] of one string; and back, terminated, as new memory. */
aur_status aur_h5_put_long_text(struct aur_h5 *file, const char *name, const char *text);
aur_status aur_h5_get_long_text(struct aur_h5 *file, const char *name, char **text);

#endif
