#ifndef AUR_IO_FILE_POSIX_H
#define AUR_IO_FILE_POSIX_H

#include "core/status.h"
#include "io/file.h"

#include <stddef.h>
#include <stdint.h>

/* Descriptors whose every return is checked; shared by the files of this box. */

/* "PATH.partial" as a new string, which the caller frees. AUR_MEMORY. */
aur_status aur_partial_name(const char *path, char **partial);

/* Reads up to `bytes` at `offset`; *got is less only at the file's end. AUR_IO. */
aur_status aur_fd_read_at(int fd, const char *path, void *data, size_t bytes, int64_t offset, size_t *got);

/* fsync and close; the descriptor is closed whatever happens. AUR_IO. */
aur_status aur_fd_sync_close(int fd, const char *path);

#endif
