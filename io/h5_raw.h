#ifndef AUR_IO_H5_RAW_H
#define AUR_IO_H5_RAW_H

#include "h5.h"

#include <hdf5.h>

/* What the files of the wrapper share; only they include this. */

struct aur_h5 {
	hid_t id;
	char *path;         /* the final name, for messages */
	char *partial;      /* what is being written; NULL when reading */
	const char *advice; /* what to do about damage */
	int64_t bytes;      /* the file's length when it was opened for reading */
	int driver_fd;      /* HDF5's own descriptor; borrowed */
	int fd;             /* a duplicate of it: fsync through it sees every write's error; -1 when reading */
	char *room;         /* of a stored chunk and its checksum; owned, NULL until it is needed */
};

/* The one lock; also prepares the library on first use, and silences its printing in the calling thread. */
void aur_h5_lock(void);
void aur_h5_unlock(void);

/* Turn the calling thread's error stack into a message; call under the lock, before any other HDF5 call.
 * write: AUR_IO "PATH: cannot write: REASON". read: AUR_INPUT "PATH: OBJECT: REASON (ADVICE)", or AUR_IO when the
 * system refused the read. */
aur_status aur_h5_write_failed(const struct aur_h5 *file);
aur_status aur_h5_read_failed(const struct aur_h5 *file, const char *object);

/* Fails with AUR_INPUT, saying what the file is, unless it begins as the HDF5 files we write. */
aur_status aur_h5_check_signature(const char *path);

/* Under the lock: fails unless every step of `name` is a hard link. */
aur_status aur_h5_check_links(const struct aur_h5 *file, const char *name);

/* h5_chunk.c: chunks that are moved without HDF5's filter pipeline. direct says whether a dataset's layout allows it,
 * given that Fletcher32 is its only filter; deflated chunks are read so too. write: writes the chunk that begins at
 * element `begin` when one does and `count` elements cover it; *written gets its elements, else 0. AUR_IO, AUR_MEMORY.
 * read: the same into `data` (NULL: checked only) and returns its elements; 0 too when anything is not as expected,
 * which the way through HDF5 then has words for. */
int aur_h5_chunks_are_direct(const struct aur_h5_dataset *dataset);
aur_status aur_h5_chunk_write(
	struct aur_h5_dataset *dataset, int64_t begin, int64_t count, const void *data, int64_t *written);
int64_t aur_h5_chunk_read(struct aur_h5_dataset *dataset, int64_t begin, int64_t count, void *data);

/* The type in the file; every one is little-endian. For texts *type is new and to be closed by the caller. */
hid_t aur_h5_file_type(enum aur_h5_type type);
hid_t aur_h5_text_type(size_t bytes);

#endif
