#ifndef AUR_TESTS_IO_HELPERS_H
#define AUR_TESTS_IO_HELPERS_H

#include "core/vocab.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* What the tests of io/ share: a folder of their own, whole files in memory, a small vocabulary. */

struct folder {
	char path[64];
};

static inline int folder_setup(void **state)
{
	struct folder *folder = malloc(sizeof *folder);
	if (!folder)
		return -1;
	snprintf(folder->path, sizeof folder->path, "/tmp/aurelius-io-XXXXXX");
	*state = folder;
	return mkdtemp(folder->path) ? 0 : -1;
}

static inline int folder_teardown(void **state)
{
	struct folder *folder = *state;
	char command[128];
	snprintf(command, sizeof command, "rm -rf '%s'", folder->path);
	const int result = system(command);
	free(folder);
	return result;
}

/* A name in the test's folder, valid until the test calls this eight times more. */
static inline const char *in_folder(void **state, const char *name)
{
	static char paths[8][256];
	static int next;
	next = (next + 1) % 8;
	snprintf(paths[next], sizeof paths[next], "%s/%s", ((struct folder *)*state)->path, name);
	return paths[next];
}

static inline void write_file(const char *path, const void *data, size_t bytes)
{
	FILE *file = fopen(path, "wb");
	assert_non_null(file);
	assert_int_equal(fwrite(data, 1, bytes, file), bytes);
	assert_int_equal(fclose(file), 0);
}

static inline unsigned char *read_file(const char *path, size_t *bytes)
{
	FILE *file = fopen(path, "rb");
	assert_non_null(file);
	fseek(file, 0, SEEK_END);
	*bytes = (size_t)ftell(file);
	rewind(file);
	unsigned char *data = malloc(*bytes + 1);
	assert_non_null(data);
	assert_int_equal(fread(data, 1, *bytes, file), *bytes);
	fclose(file);
	return data;
}

static inline int files_in(const char *folder)
{
	DIR *stream = opendir(folder);
	assert_non_null(stream);
	int count = 0;
	for (const struct dirent *entry; (entry = readdir(stream)) != NULL;)
		count += entry->d_name[0] != '.';
	closedir(stream);
	return count;
}

static inline void assert_message_has(const char *part)
{
	if (!strstr(aur_error_message(), part))
		fail_msg("\"%s\" is not in the message \"%s\"", part, aur_error_message());
}

static inline void assert_ok(aur_status status)
{
	if (status != AUR_OK)
		fail_msg("%s: %s", aur_status_name(status), aur_error_message());
}

/* `size` tokens of one letter each, with one merge. Static: not to be cleared. */
static inline struct aur_vocab letters(int64_t size)
{
	static char bytes[70000];
	static int64_t offsets[70001], merges[2] = {0, 1};
	for (int64_t i = 0; i <= size; i++) {
		offsets[i] = i;
		bytes[i] = (char)('a' + i % 26);
	}
	return (struct aur_vocab){.kind = "char",
		.clean = "basic",
		.lowercase = 1,
		.unknown = 0,
		.size = size,
		.bytes = bytes,
		.offsets = offsets,
		.n_merges = 1,
		.merges = merges};
}

#endif
