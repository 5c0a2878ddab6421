#include "corpus.h"

#include "io/file.h"
#include "io/foreign.h"
#include "train/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- what a file is ---- */

static int ends_in(const char *name, size_t bytes, const char *end)
{
	const size_t length = strlen(end);
	return bytes > length && memcmp(name + bytes - length, end, length) == 0;
}

static enum aur_corpus_file_kind kind_of(const char *path, int jsonl)
{
	size_t stem;
	aur_compression_of(path, &stem);
	if (ends_in(path, stem, ".jsonl"))
		return AUR_CORPUS_JSONL;
	if (ends_in(path, strlen(path), ".bin") || ends_in(path, strlen(path), ".idx"))
		return AUR_CORPUS_IDS;
	return jsonl && !ends_in(path, stem, ".txt") ? AUR_CORPUS_JSONL : AUR_CORPUS_TEXT;
}

static int belongs_in_folder(const char *path)
{
	size_t stem;
	aur_compression_of(path, &stem);
	return ends_in(path, stem, ".txt") || ends_in(path, stem, ".jsonl");
}

static aur_status count_tokens(struct aur_corpus_file *source)
{
	struct aur_foreign *foreign;
	AUR_TRY(aur_foreign_open(source->path, &foreign));
	source->tokens = aur_foreign_tokens(foreign);
	aur_foreign_close(&foreign);
	return AUR_OK;
}

/* The name of a file that holds nothing is kept for the report. */
static aur_status leave_out(struct aur_corpus *sources, struct aur_corpus_file *source)
{
	if (sources->empty++ == 0)
		sources->first_empty = source->path;
	else
		free(source->path);
	source->path = NULL;
	return AUR_OK;
}

static aur_status look_at(const struct aur_corpus_request *request, struct aur_corpus *sources,
	struct aur_corpus_file *source, int standard_input)
{
	struct stat info;
	if (request->skip_empty && stat(source->path, &info) == 0 && S_ISREG(info.st_mode) && info.st_size == 0)
		return leave_out(sources, source);
	const aur_status status = aur_file_check_input(source->path, &source->bytes);
	if (status != AUR_OK && standard_input)
		return aur_fail(AUR_INPUT, AUR_STANDARD_INPUT ": is empty");
	AUR_TRY(status);
	if (stat(source->path, &info) == 0)
		source->modified_ns = info.st_mtim.tv_sec * 1000000000 + info.st_mtim.tv_nsec;
	source->bad_byte = -1;
	source->compression = aur_compression_of(source->path, NULL);
	source->kind = kind_of(source->path, request->jsonl);
	if (standard_input) {
		source->kind = request->jsonl ? AUR_CORPUS_JSONL : AUR_CORPUS_TEXT;
		AUR_TRY(aur_compression_look(source->path, &source->compression));
	}
	if (source->kind == AUR_CORPUS_IDS)
		AUR_TRY(count_tokens(source));
	sources->count++;
	return AUR_OK;
}

/* ---- finding ---- */

static aur_status add_folder(const char *folder, struct aur_paths *paths)
{
	struct aur_paths found = {0};
	const int64_t before = paths->count;
	aur_status status = aur_folder_list(folder, NULL, 1, &found);
	for (int64_t i = 0; i < found.count && status == AUR_OK; i++)
		if (belongs_in_folder(found.items[i]))
			status = aur_paths_add(paths, found.items[i]);
	aur_paths_clear(&found);
	if (status == AUR_OK && paths->count == before)
		return aur_fail(AUR_INPUT, "%s: no .txt or .jsonl files in this folder", folder);
	return status;
}

static int is_folder(const char *path)
{
	struct stat info;
	return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* A glob may match folders too. */
static aur_status add_argument(const char *argument, struct aur_paths *paths)
{
	struct aur_paths found = {0};
	aur_status status = aur_paths_expand(argument, &found);
	for (int64_t i = 0; i < found.count && status == AUR_OK; i++)
		status = is_folder(found.items[i]) ? add_folder(found.items[i], paths) : aur_paths_add(paths, found.items[i]);
	aur_paths_clear(&found);
	return status;
}

/* NAME.bin and NAME.idx together, as a glob gives them with others between, are one source. */
static int is_second_of_pair(const struct aur_corpus *sources, const char *path)
{
	const size_t bytes = strlen(path);
	const char *other = ends_in(path, bytes, ".idx") ? ".bin" : ".idx";
	if (!ends_in(path, bytes, ".idx") && !ends_in(path, bytes, ".bin"))
		return 0;
	for (int64_t i = 0; i < sources->count; i++) {
		const char *first = sources->all[i].path;
		if (strncmp(first, path, bytes - 4) == 0 && strcmp(first + bytes - 4, other) == 0)
			return 1;
	}
	return 0;
}

static aur_status add_paths(
	const struct aur_corpus_request *request, const struct aur_paths *paths, struct aur_corpus *sources)
{
	for (int64_t i = 0; i < paths->count; i++) {
		struct aur_corpus_file *source = &sources->all[sources->count];
		const int standard_input = strcmp(paths->items[i], "-") == 0;
		if (is_second_of_pair(sources, paths->items[i]))
			continue;
		*source = (struct aur_corpus_file){.path = strdup(standard_input ? request->standard_input : paths->items[i])};
		if (!source->path)
			return aur_fail(AUR_MEMORY, "%s: no memory for its name", paths->items[i]);
		const aur_status status = look_at(request, sources, source, standard_input);
		if (status != AUR_OK) {
			free(source->path);
			return status;
		}
	}
	return AUR_OK;
}

/* A line end in a file's name would make two of it. */
static aur_status list_names(const struct aur_corpus_request *request, struct aur_corpus *sources)
{
	size_t bytes = 1;
	for (int64_t i = 0; i < sources->count; i++)
		bytes += strlen(aur_corpus_file_name(sources, i, request->standard_input)) + 1;
	sources->names = malloc(bytes);
	if (!sources->names)
		return aur_fail(AUR_MEMORY, "no memory for the names of %lld files", (long long)sources->count);
	char *out = sources->names;
	for (int64_t i = 0; i < sources->count; i++) {
		for (const char *at = aur_corpus_file_name(sources, i, request->standard_input); *at; at++)
			*out++ = *at == '\n' ? '?' : *at;
		*out++ = '\n';
	}
	*out = '\0';
	return AUR_OK;
}

static aur_status find_paths(
	const struct aur_corpus_request *request, struct aur_paths *paths, struct aur_corpus *sources)
{
	for (int i = 0; i < request->n_arguments; i++)
		AUR_TRY(add_argument(request->arguments[i], paths));
	sources->all = calloc((size_t)paths->count + 1, sizeof *sources->all);
	if (!sources->all)
		return aur_fail(AUR_MEMORY, "no memory for %lld files", (long long)paths->count);
	AUR_TRY(add_paths(request, paths, sources));
	if (sources->count == 0)
		return aur_fail(AUR_INPUT, "%s: is empty, and there is no other text", sources->first_empty);
	return list_names(request, sources);
}

aur_status aur_corpus_find(const struct aur_corpus_request *request, struct aur_corpus *sources)
{
	struct aur_paths paths = {0};
	const aur_status status = find_paths(request, &paths, sources);
	aur_paths_clear(&paths);
	return status;
}

void aur_corpus_clear(struct aur_corpus *sources)
{
	for (int64_t i = 0; i < sources->count; i++)
		free(sources->all[i].path);
	free(sources->all);
	free(sources->names);
	free(sources->first_empty);
	*sources = (struct aur_corpus){0};
}

const char *aur_corpus_file_name(const struct aur_corpus *sources, int64_t source, const char *standard_input)
{
	const char *path = sources->all[source].path;
	return standard_input && strcmp(path, standard_input) == 0 ? AUR_STANDARD_INPUT : path;
}

aur_status aur_corpus_check_apart(const struct aur_corpus *sources, const char *path)
{
	struct stat target, text;
	if (!path || stat(path, &target) != 0)
		return AUR_OK;
	for (int64_t i = 0; i < sources->count; i++)
		if (stat(sources->all[i].path, &text) == 0 && text.st_dev == target.st_dev && text.st_ino == target.st_ino)
			return aur_fail(AUR_USAGE, "%s: is one of the texts and would be overwritten", path);
	return AUR_OK;
}

/* ---- standard input ---- */

/* A read is begun anew after a signal, which so would wait for a slow writer: a poll is not. */
static aur_status read_input(char *block, size_t bytes, ssize_t *got)
{
	struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
	while (!aur_signals_pending(NULL)) {
		*got = poll(&input, 1, -1) > 0 ? read(STDIN_FILENO, block, bytes) : -1;
		if (*got >= 0)
			return AUR_OK;
		if (errno != EINTR)
			return aur_fail(AUR_INPUT, AUR_STANDARD_INPUT ": cannot read: %s", strerror(errno));
	}
	return AUR_STOPPED;
}

static aur_status write_block(int to, const char *path, const char *block, ssize_t bytes)
{
	while (bytes > 0) {
		const ssize_t written = write(to, block, (size_t)bytes);
		if (written < 0 && errno != EINTR)
			return aur_fail(AUR_IO, "%s: cannot write: %s", path, strerror(errno));
		block += written > 0 ? written : 0;
		bytes -= written > 0 ? written : 0;
	}
	return AUR_OK;
}

static aur_status copy_input(int to, const char *path)
{
	enum { BLOCK = 1 << 20 };
	char *block = malloc(BLOCK);
	aur_status status = block ? AUR_OK : aur_fail(AUR_MEMORY, "no memory to read " AUR_STANDARD_INPUT);
	for (ssize_t got = 1; status == AUR_OK && got > 0;) {
		status = read_input(block, BLOCK, &got);
		if (status == AUR_OK)
			status = write_block(to, path, block, got);
	}
	free(block);
	return status;
}

/* Locks the file that is open; 0 when another process has it, or had and removed it meanwhile. A file system without
 * locks does without, as the work folder does. */
static aur_status lock_spool(int file, const char *path, int *locked)
{
	struct stat opened, named;
	*locked = 0;
	if (flock(file, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
		return aur_fail(AUR_IO, "%s: another process reads standard input into it (choose another --out)", path);
	*locked = fstat(file, &opened) == 0 && stat(path, &named) == 0 && opened.st_ino == named.st_ino &&
			  opened.st_dev == named.st_dev;
	return AUR_OK;
}

/* The lock comes before the first byte goes: what stands there may be another's. */
static aur_status open_spool(const char *path, int *spool)
{
	int locked = 0;
	while (!locked) {
		*spool = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666);
		if (*spool < 0)
			return aur_fail(AUR_IO, "%s: cannot create: %s", path, strerror(errno));
		const aur_status status = lock_spool(*spool, path, &locked);
		if (!locked)
			close(*spool);
		AUR_TRY(status);
	}
	return AUR_OK;
}

aur_status aur_corpus_spool(const char *path, int *spool)
{
	*spool = -1;
	int opened = -1;
	AUR_TRY(open_spool(path, &opened));
	*spool = opened;
	if (ftruncate(opened, 0) != 0)
		return aur_fail(AUR_IO, "%s: cannot write: %s", path, strerror(errno));
	return copy_input(opened, path);
}

void aur_corpus_unspool(const char *path, int *spool)
{
	if (*spool < 0)
		return;
	unlink(path);
	close(*spool);
	*spool = -1;
}
