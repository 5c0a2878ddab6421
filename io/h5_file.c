#include "file_posix.h"
#include "h5_raw.h"
#include "io/hdf5.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char default_advice[] = "make it again, or use another file";

/* Under the lock. The access list every file is created and opened with; negative on failure. */
static hid_t access_list(void)
{
	const hid_t list = H5Pcreate(H5P_FILE_ACCESS);
	if (list < 0)
		return list;
	int failed = H5Pset_fapl_sec2(list) < 0;
	failed |= H5Pset_libver_bounds(list, H5F_LIBVER_V110, H5F_LIBVER_V110) < 0;
	/* Closing a file closes whatever is still open in it, on every error path. */
	failed |= H5Pset_fclose_degree(list, H5F_CLOSE_STRONG) < 0;
	failed |= H5Pset_alignment(list, 65536, 4096) < 0;
#if H5_VERSION_GE(1, 10, 7)
	failed |= H5Pset_file_locking(list, 0, 1) < 0;
#endif
	if (!failed)
		return list;
	H5Pclose(list);
	return -1;
}

static void free_file(struct aur_h5 **file)
{
	if ((*file)->fd >= 0)
		close((*file)->fd);
	free((*file)->path);
	free((*file)->room);
	free((*file)->partial);
	free(*file);
	*file = NULL;
}

static aur_status new_file(const char *path, int writing, struct aur_h5 **file)
{
	struct aur_h5 *new = calloc(1, sizeof *new);
	if (!new)
		return aur_fail(AUR_MEMORY, "%s: no memory to open it", path);
	*new = (struct aur_h5){.id = -1, .driver_fd = -1, .fd = -1, .advice = default_advice};
	new->path = strdup(path);
	aur_status status = new->path ? AUR_OK : aur_fail(AUR_MEMORY, "%s: no memory for its name", path);
	if (status == AUR_OK && writing)
		status = aur_partial_name(path, &new->partial);
	if (status != AUR_OK) {
		free_file(&new);
		return status;
	}
	*file = new;
	return AUR_OK;
}

/* Under the lock. */
static int library_descriptor(hid_t file)
{
	void *handle = NULL;
	if (H5Fget_vfd_handle(file, H5P_DEFAULT, &handle) < 0 || !handle)
		return -1;
	return *(const int *)handle;
}

static aur_status create_locked(struct aur_h5 *file)
{
	const hid_t access = access_list();
	if (access < 0)
		return aur_h5_write_failed(file);
	/* What a killed process left under this name may be a second name of a good file: it is let go, never cut. */
	unlink(file->partial);
	file->id = H5Fcreate(file->partial, H5F_ACC_TRUNC, H5P_DEFAULT, access);
	const aur_status status = file->id < 0 ? aur_h5_write_failed(file) : AUR_OK;
	H5Pclose(access);
	AUR_TRY(status);
	file->driver_fd = library_descriptor(file->id);
	return aur_h5_descriptor(file, &file->fd);
}

aur_status aur_h5_create(const char *path, struct aur_h5 **file)
{
	*file = NULL;
	AUR_TRY(new_file(path, 1, file));
	aur_h5_lock();
	const aur_status status = create_locked(*file);
	aur_h5_unlock();
	if (status != AUR_OK)
		aur_h5_abandon(file);
	return status;
}

/* After a failed write HDF5 can neither finish nor forget a file: closing tries the same write again, fails, and leaves
 * the file open for ever, which holds the full disk's space. So its descriptor is pointed at memory first: the close
 * succeeds, and the real file is let go. What is left in memory is HDF5's cached metadata, freed by the close. */
static void divert_to_memory(struct aur_h5 *file)
{
	if (file->driver_fd < 0)
		return;
	const int memory = memfd_create("aurelius-abandoned", MFD_CLOEXEC);
	if (memory < 0)
		return;
	dup3(memory, file->driver_fd, O_CLOEXEC);
	close(memory);
}

static void drop(struct aur_h5 *file)
{
	aur_h5_lock();
	if (file->id >= 0) {
		divert_to_memory(file);
		H5Fclose(file->id);
		H5Eclear2(H5E_DEFAULT);
		file->id = -1;
	}
	aur_h5_unlock();
}

void aur_h5_abandon(struct aur_h5 **file)
{
	if (!file || !*file)
		return;
	drop(*file);
	unlink((*file)->partial);
	free_file(file);
}

static aur_status flush_locked(struct aur_h5 *file)
{
	return H5Fflush(file->id, H5F_SCOPE_LOCAL) < 0 ? aur_h5_write_failed(file) : AUR_OK;
}

/* A close that failed must not be tried again: HDF5 has freed half of the file by then. */
static aur_status close_locked(struct aur_h5 *file)
{
	const aur_status status = H5Fclose(file->id) < 0 ? aur_h5_write_failed(file) : AUR_OK;
	if (status != AUR_OK)
		divert_to_memory(file);
	file->id = -1;
	file->driver_fd = -1;
	return status;
}

static aur_status flush_and_mark(struct aur_h5 *file, int64_t complete)
{
	/* Everything reaches the file before the mark does: a file that was cut off has none. */
	aur_h5_lock();
	aur_status status = flush_locked(file);
	aur_h5_unlock();
	AUR_TRY(status);
	AUR_TRY(aur_h5_put_int(file, "/", "complete", complete));
	aur_h5_lock();
	status = flush_locked(file);
	if (status == AUR_OK)
		status = close_locked(file);
	aur_h5_unlock();
	return status;
}

aur_status aur_h5_finish(struct aur_h5 **file, int64_t complete)
{
	aur_status status = flush_and_mark(*file, complete);
	if (status == AUR_OK) {
		/* HDF5 makes no fsync. */
		status = aur_fd_sync_close((*file)->fd, (*file)->path);
		(*file)->fd = -1;
		if (status != AUR_OK)
			unlink((*file)->partial);
		free_file(file);
		return status;
	}
	aur_h5_abandon(file);
	return status;
}

static aur_status verify_partial(const char *path, const char *partial, aur_status (*verify)(const char *partial))
{
	const aur_status status = verify(partial);
	if (status == AUR_OK)
		return AUR_OK;
	return aur_add_context(status == AUR_MEMORY ? status : AUR_IO,
		"%s: what was written does not read back, the disk may be failing", path);
}

aur_status aur_h5_publish(const char *path, aur_status (*verify)(const char *partial))
{
	char *partial;
	AUR_TRY(aur_partial_name(path, &partial));
	aur_status status = verify_partial(path, partial, verify);
	if (status == AUR_OK)
		status = aur_file_publish(partial, path);
	else
		unlink(partial);
	free(partial);
	return status;
}

/* An fsync that goes on while this thread does something else. */
struct syncing {
	int fd, error, started;
	pthread_t thread;
};

static void *sync_in_thread(void *context)
{
	struct syncing *syncing = context;
	syncing->error = fsync(syncing->fd) == 0 ? 0 : errno;
	return NULL;
}

static void start_syncing(struct syncing *syncing, int fd)
{
	*syncing = (struct syncing){.fd = fd};
	syncing->started = pthread_create(&syncing->thread, NULL, sync_in_thread, syncing) == 0;
	if (!syncing->started)
		sync_in_thread(syncing);
}

static aur_status end_syncing(struct syncing *syncing, const char *path)
{
	if (syncing->started)
		pthread_join(syncing->thread, NULL);
	return syncing->error ? aur_fail(AUR_IO, "%s: cannot write: %s", path, strerror(syncing->error)) : AUR_OK;
}

aur_status aur_h5_finish_verified(struct aur_h5 **file, int64_t complete, aur_status (*verify)(const char *partial))
{
	struct syncing syncing;
	aur_status status = flush_and_mark(*file, complete);
	if (status == AUR_OK) {
		start_syncing(&syncing, (*file)->fd);
		const aur_status verified = verify_partial((*file)->path, (*file)->partial, verify);
		const aur_status synced = end_syncing(&syncing, (*file)->path);
		status = synced != AUR_OK ? synced : verified;
	}
	if (status == AUR_OK) {
		if (close((*file)->fd) != 0)
			status = aur_fail(AUR_IO, "%s: cannot write: %s", (*file)->path, strerror(errno));
		(*file)->fd = -1;
	}
	if (status != AUR_OK) {
		aur_h5_abandon(file);
		return status;
	}
	status = aur_file_publish((*file)->partial, (*file)->path);
	free_file(file);
	return status;
}

const char *aur_h5_path(const struct aur_h5 *file)
{
	return file->path;
}

int64_t aur_h5_bytes(const struct aur_h5 *file)
{
	return file->bytes;
}

aur_status aur_h5_descriptor(const struct aur_h5 *file, int *fd)
{
	*fd = file->driver_fd < 0 ? -1 : fcntl(file->driver_fd, F_DUPFD_CLOEXEC, 0);
	if (*fd < 0)
		return aur_fail(AUR_IO, "%s: no descriptor for it: %s", file->path, strerror(errno));
	return AUR_OK;
}

static aur_status open_locked(struct aur_h5 *file)
{
	const hid_t access = access_list();
	if (access < 0)
		return aur_h5_read_failed(file, "HDF5");
	file->id = H5Fopen(file->path, H5F_ACC_RDONLY, access);
	const aur_status status = file->id < 0 ? aur_h5_read_failed(file, "HDF5 header") : AUR_OK;
	H5Pclose(access);
	AUR_TRY(status);
	file->driver_fd = library_descriptor(file->id);
	return AUR_OK;
}

aur_status aur_h5_open(const char *path, struct aur_h5 **file)
{
	int64_t bytes;
	*file = NULL;
	AUR_TRY(aur_file_check_input(path, &bytes));
	AUR_TRY(aur_h5_check_signature(path));
	AUR_TRY(new_file(path, 0, file));
	(*file)->bytes = bytes;
	aur_h5_lock();
	const aur_status status = open_locked(*file);
	aur_h5_unlock();
	if (status != AUR_OK)
		aur_h5_close(file);
	return status;
}

void aur_h5_close(struct aur_h5 **file)
{
	if (!file || !*file)
		return;
	aur_h5_lock();
	if ((*file)->id >= 0)
		H5Fclose((*file)->id);
	H5Eclear2(H5E_DEFAULT);
	aur_h5_unlock();
	free_file(file);
}
