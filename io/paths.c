#include "io/file.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

aur_status aur_paths_add(struct aur_paths *paths, const char *path)
{
	/* Capacity is the next power of two of count: grown exactly when count is one. */
	if ((paths->count & (paths->count - 1)) == 0) {
		const size_t capacity = paths->count ? 2 * (size_t)paths->count : 1;
		char **items = realloc(paths->items, capacity * sizeof *items);
		if (!items)
			return aur_fail(AUR_MEMORY, "%s: no memory for a list of %zu names", path, capacity);
		paths->items = items;
	}
	char *copy = strdup(path);
	if (!copy)
		return aur_fail(AUR_MEMORY, "%s: no memory for its name", path);
	paths->items[paths->count++] = copy;
	return AUR_OK;
}

void aur_paths_clear(struct aur_paths *paths)
{
	if (!paths)
		return;
	for (int64_t i = 0; i < paths->count; i++)
		free(paths->items[i]);
	free(paths->items);
	*paths = (struct aur_paths){0};
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* By bytes, not by locale: ranks on different machines must see the same order. */
static void sort_from(struct aur_paths *paths, int64_t first)
{
	if (paths->count > first)
		qsort(paths->items + first, (size_t)(paths->count - first), sizeof *paths->items, compare_names);
}

static int ends_in(const char *name, const char *suffix)
{
	const size_t name_bytes = strlen(name), suffix_bytes = strlen(suffix);
	return name_bytes >= suffix_bytes && memcmp(name + name_bytes - suffix_bytes, suffix, suffix_bytes) == 0;
}

static aur_status list_into(const char *folder, const char *suffix, int recursive, struct aur_paths *paths);

static aur_status add_entry(
	const char *folder, const char *name, const char *suffix, int recursive, struct aur_paths *paths)
{
	char path[PATH_MAX];
	const char *gap = ends_in(folder, "/") ? "" : "/";
	if (snprintf(path, sizeof path, "%s%s%s", folder, gap, name) >= (int)sizeof path)
		return aur_fail(AUR_INPUT, "%s: a name in it is too long", folder);
	struct stat info;
	if (lstat(path, &info) != 0)
		return errno == ENOENT ? AUR_OK : aur_fail(AUR_INPUT, "%s: cannot read: %s", path, strerror(errno));
	/* Links to folders are not followed: they may form a circle. */
	if (S_ISDIR(info.st_mode))
		return recursive ? list_into(path, suffix, recursive, paths) : AUR_OK;
	if (S_ISLNK(info.st_mode) && stat(path, &info) != 0)
		return AUR_OK;
	if (!S_ISREG(info.st_mode) || (suffix && !ends_in(name, suffix)))
		return AUR_OK;
	return aur_paths_add(paths, path);
}

static aur_status list_into(const char *folder, const char *suffix, int recursive, struct aur_paths *paths)
{
	DIR *stream = opendir(folder);
	if (!stream)
		return aur_fail(AUR_INPUT, "%s: cannot read the folder: %s", folder, strerror(errno));
	aur_status status = AUR_OK;
	while (status == AUR_OK) {
		errno = 0;
		const struct dirent *entry = readdir(stream);
		if (!entry) {
			if (errno != 0)
				status = aur_fail(AUR_INPUT, "%s: cannot read the folder: %s", folder, strerror(errno));
			break;
		}
		if (entry->d_name[0] != '.')
			status = add_entry(folder, entry->d_name, suffix, recursive, paths);
	}
	closedir(stream);
	return status;
}

aur_status aur_folder_list(const char *folder, const char *suffix, int recursive, struct aur_paths *paths)
{
	const int64_t first = paths->count;
	AUR_TRY(list_into(folder, suffix, recursive, paths));
	sort_from(paths, first);
	return AUR_OK;
}

static aur_status add_glob(const char *pattern, struct aur_paths *paths)
{
	glob_t found = {0};
	const int result = glob(pattern, GLOB_NOSORT, NULL, &found);
	aur_status status = AUR_OK;
	if (result == GLOB_NOMATCH)
		status = aur_fail(AUR_INPUT, "%s: no file matches", pattern);
	else if (result != 0)
		status = aur_fail(result == GLOB_NOSPACE ? AUR_MEMORY : AUR_INPUT, "%s: cannot be searched", pattern);
	const int64_t first = paths->count;
	for (size_t i = 0; status == AUR_OK && i < found.gl_pathc; i++)
		status = aur_paths_add(paths, found.gl_pathv[i]);
	sort_from(paths, first);
	globfree(&found);
	return status;
}

aur_status aur_paths_add_pattern(struct aur_paths *paths, const char *pattern)
{
	return strpbrk(pattern, "*?[") && !aur_file_exists(pattern) ? add_glob(pattern, paths)
																: aur_paths_add(paths, pattern);
}

static char *trim(char *text)
{
	while (isspace((unsigned char)*text))
		text++;
	size_t bytes = strlen(text);
	while (bytes > 0 && isspace((unsigned char)text[bytes - 1]))
		text[--bytes] = '\0';
	return text;
}

aur_status aur_paths_expand(const char *list, struct aur_paths *paths)
{
	char *copy = strdup(list);
	if (!copy)
		return aur_fail(AUR_MEMORY, "no memory for a list of files");
	const int64_t first = paths->count;
	aur_status status = AUR_OK;
	char *rest = NULL;
	for (char *item = strtok_r(copy, ",", &rest); item && status == AUR_OK; item = strtok_r(NULL, ",", &rest)) {
		item = trim(item);
		if (*item)
			status = aur_paths_add_pattern(paths, item);
	}
	if (status == AUR_OK && paths->count == first)
		status = aur_fail(AUR_INPUT, "the list of files \"%s\" names none", list);
	free(copy);
	return status;
}
