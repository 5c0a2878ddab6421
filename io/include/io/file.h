#ifndef AUR_IO_FILE_H
#define AUR_IO_FILE_H

#include "core/status.h"

#include <stddef.h>
#include <stdint.h>

/* Files and folders whose every return is checked. All paths are borrowed. Errors name the path. */

/* Creates the folder and its parents; an existing folder is fine. AUR_IO. */
aur_status aur_folder_create(const char *path);

/* fsync of a file by name, and of the folder that holds `path`. AUR_IO. */
aur_status aur_file_sync(const char *path);
aur_status aur_folder_sync_of(const char *path);

aur_status aur_file_rename(const char *from, const char *to);

/* Gives a complete and synced file its final name: renames it and fsyncs the folder. A partial file that could not be
 * renamed is removed. AUR_IO. */
aur_status aur_file_publish(const char *partial, const char *path);

/* Removes a file; a missing one is fine. */
aur_status aur_file_remove(const char *path);

int aur_file_exists(const char *path);

/* AUR_INPUT, with the reason, unless `path` is an existing, readable, regular file that is not empty. */
aur_status aur_file_check_input(const char *path, int64_t *bytes);

/* The whole file as a new terminated buffer, which the caller frees. AUR_INPUT as above; a file of more than `limit`
 * bytes is refused. */
aur_status aur_file_read(const char *path, int64_t limit, char **text, size_t *bytes);

/* Writes `path`.partial, fsyncs, renames it to `path`, fsyncs the folder: either the old or the new content is there.
 */
aur_status aur_file_write_atomic(const char *path, const void *data, size_t bytes);

/* A list of owned strings. */
struct aur_paths {
	char **items;
	int64_t count;
};

aur_status aur_paths_add(struct aur_paths *paths, const char *path);
void aur_paths_clear(struct aur_paths *paths);

/* Writes all bytes to an open file; a short write goes on. `path` names it in messages. AUR_IO. */
aur_status aur_fd_write(int fd, const char *path, const void *data, size_t bytes);

/* Files in a folder (recursive when asked) whose name ends in `suffix` (NULL: any), sorted by bytes; hidden ones left
 * out. AUR_INPUT when it cannot be read. */
aur_status aur_folder_list(const char *folder, const char *suffix, int recursive, struct aur_paths *paths);

/* Adds a file, or those that a glob "b/x-?.h5" matches, sorted; a file whose name has a star in it is that file.
 * AUR_INPUT when a glob matches nothing. */
aur_status aur_paths_expand(const char *pattern, struct aur_paths *paths);

#endif
