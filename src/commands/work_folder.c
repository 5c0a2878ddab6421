#include "work_folder.h"

#include "io/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum { COMMAND_LIMIT = 1 << 30 };

struct aur_work {
	char *folder;  /* owned */
	char *command; /* owned; NULL on ranks that follow */
	int lock;      /* descriptor of the locked file `command`, or -1 */
	atomic_int exists;
	int found;
	pthread_mutex_t mutex;
};

static aur_status create(const char *out, const char *command, struct aur_work **work)
{
	const size_t bytes = strlen(out) + sizeof ".work";
	struct aur_work *created = calloc(1, sizeof *created);
	*work = created;
	if (!created)
		return aur_fail(AUR_MEMORY, "%s: no memory to prepare it", out);
	created->lock = -1;
	pthread_mutex_init(&created->mutex, NULL);
	created->folder = malloc(bytes);
	created->command = command ? strdup(command) : NULL;
	if (!created->folder || (command && !created->command)) {
		aur_work_close(work);
		return aur_fail(AUR_MEMORY, "%s: no memory to prepare it", out);
	}
	snprintf(created->folder, bytes, "%s.work", out);
	return AUR_OK;
}

void aur_work_close(struct aur_work **work)
{
	if (!work || !*work)
		return;
	if ((*work)->lock >= 0)
		close((*work)->lock);
	pthread_mutex_destroy(&(*work)->mutex);
	free((*work)->folder);
	free((*work)->command);
	free(*work);
	*work = NULL;
}

aur_status aur_work_path(const struct aur_work *work, const char *name, char path[AUR_WORK_PATH])
{
	if (snprintf(path, AUR_WORK_PATH, "%s/%s", work->folder, name) >= AUR_WORK_PATH)
		return aur_fail(AUR_USAGE, "%s: the name is too long", work->folder);
	return AUR_OK;
}

const char *aur_work_name(const struct aur_work *work)
{
	return work->folder;
}

int aur_work_exists(const struct aur_work *work)
{
	return work->exists;
}

int aur_work_found(const struct aur_work *work)
{
	return work->found;
}

/* Held until the process ends: two that write one dataset would take each other's files. */
static aur_status lock_file(struct aur_work *work, const char *path)
{
	work->lock = open(path, O_RDONLY | O_CLOEXEC);
	if (work->lock < 0)
		return aur_fail(AUR_IO, "%s: cannot open: %s", path, strerror(errno));
	if (flock(work->lock, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
		return aur_fail(
			AUR_IO, "%s: another process prepares this dataset (wait for it, or choose another --out)", work->folder);
	return AUR_OK;
}

/* The first line in which the two differ, cut for a message. */
static void first_difference(const char *old, const char *new, char was[160], char is[160])
{
	while (*old && *new) {
		const size_t a = strcspn(old, "\n"), b = strcspn(new, "\n");
		if (a != b || memcmp(old, new, a) != 0)
			break;
		old += a + (old[a] == '\n');
		new += b + (new[b] == '\n');
	}
	snprintf(was, 160, "%.*s", (int)strcspn(old, "\n"), old);
	snprintf(is, 160, "%.*s", (int)strcspn(new, "\n"), new);
}

static aur_status compare(const struct aur_work *work, const char *path)
{
	char *old;
	size_t bytes;
	AUR_TRY(aur_file_read(path, COMMAND_LIMIT, &old, &bytes));
	const int same = strcmp(old, work->command) == 0;
	char was[160], is[160];
	first_difference(old, work->command, was, is);
	free(old);
	if (same)
		return AUR_OK;
	return aur_fail(AUR_USAGE,
		"%s holds the unfinished work of another command or of other inputs: there \"%s\", now \"%s\" (give that "
		"command "
		"again, or --anew to start anew)",
		work->folder, was, is);
}

/* Only what belongs there is removed; anything else keeps the folder. */
static aur_status remove_files(const struct aur_work *work)
{
	DIR *stream = opendir(work->folder);
	if (!stream)
		return errno == ENOENT ? AUR_OK
							   : aur_fail(AUR_IO, "%s: cannot read the folder: %s", work->folder, strerror(errno));
	static const char *const ours[] = {"unit-", "shard-", "vocabulary", "figures", "command"};
	const struct dirent *entry;
	while ((entry = readdir(stream)) != NULL)
		for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
			if (strncmp(entry->d_name, ours[i], strlen(ours[i])) == 0)
				unlinkat(dirfd(stream), entry->d_name, 0);
	closedir(stream);
	if (rmdir(work->folder) != 0 && errno != ENOENT)
		return aur_fail(AUR_IO, "%s: cannot remove the folder: %s", work->folder, strerror(errno));
	return AUR_OK;
}

/* The file `command` goes first: what is left without it is not gone on with. */
aur_status aur_work_remove(struct aur_work *work)
{
	char path[AUR_WORK_PATH];
	if (!work->exists)
		return AUR_OK;
	AUR_TRY(aur_work_path(work, "command", path));
	AUR_TRY(aur_file_remove(path));
	work->exists = 0;
	return remove_files(work);
}

aur_status aur_work_need(struct aur_work *work)
{
	char path[AUR_WORK_PATH];
	aur_status status = AUR_OK;
	if (work->exists || !work->command)
		return AUR_OK;
	pthread_mutex_lock(&work->mutex);
	if (!work->exists) {
		/* What a removal that was cut off has left is of no use. */
		status = remove_files(work);
		if (status == AUR_OK)
			status = aur_folder_create(work->folder);
		if (status == AUR_OK)
			status = aur_work_path(work, "command", path);
		if (status == AUR_OK)
			status = aur_file_write_atomic(path, work->command, strlen(work->command));
		if (status == AUR_OK)
			status = lock_file(work, path);
		work->exists = status == AUR_OK;
	}
	pthread_mutex_unlock(&work->mutex);
	return status;
}

static aur_status look(struct aur_work *work, int anew)
{
	char path[AUR_WORK_PATH];
	AUR_TRY(aur_work_path(work, "command", path));
	if (!aur_file_exists(path))
		return AUR_OK;
	AUR_TRY(lock_file(work, path));
	work->exists = 1;
	if (anew) {
		close(work->lock);
		work->lock = -1;
		return aur_work_remove(work);
	}
	work->found = 1;
	return compare(work, path);
}

aur_status aur_work_open(const char *out, const char *command, int anew, struct aur_work **work)
{
	AUR_TRY(create(out, command, work));
	const aur_status status = look(*work, anew);
	if (status != AUR_OK)
		aur_work_close(work);
	return status;
}

aur_status aur_work_follow(const char *out, struct aur_work **work)
{
	AUR_TRY(create(out, NULL, work));
	(*work)->exists = 1;
	return AUR_OK;
}
