#include "io/file.h"

#include "file_posix.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

aur_status aur_partial_name(const char *path, char **partial)
{
	const size_t bytes = strlen(path) + sizeof ".partial";
	*partial = malloc(bytes);
	if (!*partial)
		return aur_fail(AUR_MEMORY, "%s: no memory for its name", path);
	snprintf(*partial, bytes, "%s.partial", path);
	return AUR_OK;
}

aur_status aur_fd_write(int fd, const char *path, const void *data, size_t bytes)
{
	const char *next = data;
	while (bytes > 0) {
		const ssize_t written = write(fd, next, bytes);
		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return aur_fail(AUR_IO, "%s: cannot write: %s", path, strerror(written < 0 ? errno : ENOSPC));
		next += written;
		bytes -= (size_t)written;
	}
	return AUR_OK;
}

aur_status aur_fd_read_at(int fd, const char *path, void *data, size_t bytes, int64_t offset, size_t *got)
{
	*got = 0;
	while (*got < bytes) {
		const ssize_t count = pread(fd, (char *)data + *got, bytes - *got, (off_t)(offset + (int64_t)*got));
		if (count < 0 && errno == EINTR)
			continue;
		if (count < 0)
			return aur_fail(AUR_IO, "%s: cannot read: %s", path, strerror(errno));
		if (count == 0)
			break;
		*got += (size_t)count;
	}
	return AUR_OK;
}

aur_status aur_fd_sync_close(int fd, const char *path)
{
	const int sync_error = fsync(fd) == 0 ? 0 : errno;
	const int close_error = close(fd) == 0 ? 0 : errno;
	if (sync_error || close_error)
		return aur_fail(AUR_IO, "%s: cannot write: %s", path, strerror(sync_error ? sync_error : close_error));
	return AUR_OK;
}

static aur_status create_one_folder(const char *path)
{
	if (mkdir(path, 0777) == 0)
		return AUR_OK;
	const int error = errno;
	struct stat info;
	if (stat(path, &info) == 0 && S_ISDIR(info.st_mode))
		return AUR_OK;
	return aur_fail(AUR_IO, "%s: cannot create the folder: %s", path, strerror(error == EEXIST ? ENOTDIR : error));
}

aur_status aur_folder_create(const char *path)
{
	char *part = strdup(path);
	if (!part)
		return aur_fail(AUR_MEMORY, "%s: no memory for its name", path);
	aur_status status = AUR_OK;
	for (char *slash = part; status == AUR_OK && *slash && (slash = strchr(slash + 1, '/')) != NULL;) {
		*slash = '\0';
		status = create_one_folder(part);
		*slash = '/';
	}
	if (status == AUR_OK)
		status = create_one_folder(part);
	free(part);
	return status;
}

aur_status aur_file_sync(const char *path)
{
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return aur_fail(AUR_IO, "%s: cannot open: %s", path, strerror(errno));
	return aur_fd_sync_close(fd, path);
}

aur_status aur_folder_sync_of(const char *path)
{
	char *copy = strdup(path);
	if (!copy)
		return aur_fail(AUR_MEMORY, "%s: no memory for its name", path);
	const char *folder = dirname(copy);
	aur_status status = AUR_OK;
	const int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		status = aur_fail(AUR_IO, "%s: cannot open the folder: %s", folder, strerror(errno));
	/* Some network file systems have no fsync of a folder and say EINVAL: their renames are durable by themselves. */
	else if (fsync(fd) != 0 && errno != EINVAL && errno != ENOTSUP)
		status = aur_fail(AUR_IO, "%s: cannot write the folder: %s", folder, strerror(errno));
	if (fd >= 0 && close(fd) != 0 && status == AUR_OK)
		status = aur_fail(AUR_IO, "%s: cannot write the folder: %s", folder, strerror(errno));
	free(copy);
	return status;
}

aur_status aur_file_rename(const char *from, const char *to)
{
	if (rename(from, to) != 0)
		return aur_fail(AUR_IO, "%s: cannot rename to %s: %s", from, to, strerror(errno));
	return AUR_OK;
}

aur_status aur_file_remove(const char *path)
{
	if (unlink(path) != 0 && errno != ENOENT)
		return aur_fail(AUR_IO, "%s: cannot remove: %s", path, strerror(errno));
	return AUR_OK;
}

int aur_file_exists(const char *path)
{
	return access(path, F_OK) == 0;
}

/* What a path is when it should be a file to read; NULL when it is one. */
static const char *objection_to(const struct stat *info)
{
	if (S_ISDIR(info->st_mode))
		return "is a folder, a file is needed";
	if (!S_ISREG(info->st_mode))
		return "is not a regular file";
	if (info->st_size == 0)
		return "is empty";
	return NULL;
}

/* Opens without waiting on a pipe that has no writer, then looks at what was opened. */
static aur_status open_input(const char *path, int *fd, int64_t *bytes)
{
	*fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (*fd < 0)
		return aur_fail(AUR_INPUT, "%s: cannot open: %s", path, strerror(errno));
	struct stat info;
	const char *objection = fstat(*fd, &info) != 0 ? strerror(errno) : objection_to(&info);
	if (objection) {
		close(*fd);
		return aur_fail(AUR_INPUT, "%s: %s", path, objection);
	}
	*bytes = (int64_t)info.st_size;
	return AUR_OK;
}

aur_status aur_file_check_input(const char *path, int64_t *bytes)
{
	int fd;
	int64_t size = 0;
	AUR_TRY(open_input(path, &fd, &size));
	close(fd);
	if (bytes)
		*bytes = size;
	return AUR_OK;
}

aur_status aur_file_read(const char *path, int64_t limit, char **text, size_t *bytes)
{
	int fd;
	int64_t size = 0;
	*text = NULL;
	*bytes = 0;
	AUR_TRY(open_input(path, &fd, &size));
	aur_status status = AUR_OK;
	char *buffer = NULL;
	if (size > limit)
		status =
			aur_fail(AUR_INPUT, "%s: has %lld bytes, at most %lld are read", path, (long long)size, (long long)limit);
	else if (!(buffer = malloc((size_t)size + 1)))
		status = aur_fail(AUR_MEMORY, "%s: no memory for its %lld bytes", path, (long long)size);
	else
		status = aur_fd_read_at(fd, path, buffer, (size_t)size, 0, bytes);
	close(fd);
	if (status == AUR_OK) {
		buffer[*bytes] = '\0';
		*text = buffer;
		return AUR_OK;
	}
	free(buffer);
	*bytes = 0;
	return status;
}

static aur_status write_new_file(const char *path, const void *data, size_t bytes)
{
	const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd < 0)
		return aur_fail(AUR_IO, "%s: cannot create: %s", path, strerror(errno));
	const aur_status status = aur_fd_write(fd, path, data, bytes);
	if (status != AUR_OK) {
		close(fd);
		return status;
	}
	return aur_fd_sync_close(fd, path);
}

aur_status aur_file_publish(const char *partial, const char *path)
{
	const aur_status status = aur_file_rename(partial, path);
	if (status == AUR_OK)
		return aur_folder_sync_of(path);
	unlink(partial);
	return status;
}

aur_status aur_file_write_atomic(const char *path, const void *data, size_t bytes)
{
	char *partial;
	AUR_TRY(aur_partial_name(path, &partial));
	aur_status status = write_new_file(partial, data, bytes);
	if (status == AUR_OK)
		status = aur_file_publish(partial, path);
	else
		unlink(partial);
	free(partial);
	return status;
}
