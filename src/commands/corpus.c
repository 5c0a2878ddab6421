#include "corpus.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static aur_status add_argument(struct aur_corpus *corpus, const char *path)
{
	struct stat info;
	if (stat(path, &info) != 0 || !S_ISDIR(info.st_mode))
		return aur_paths_add(&corpus->paths, path);
	const int64_t before = corpus->paths.count;
	AUR_TRY(aur_folder_list(path, ".txt", 1, &corpus->paths));
	if (corpus->paths.count == before)
		return aur_fail(AUR_INPUT, "%s: no .txt files in this folder", path);
	return AUR_OK;
}

static aur_status read_one(const char *path, struct aur_text *text)
{
	char *bytes;
	AUR_TRY(aur_file_read(path, INT64_MAX, &bytes, &text->size));
	text->bytes = bytes;
	const int64_t wrong = aur_utf8_check(text->bytes, text->size);
	if (wrong >= 0)
		return aur_fail(
			AUR_INPUT, "%s: not UTF-8 at byte %lld (convert it: iconv -f latin1 -t utf-8)", path, (long long)wrong);
	return AUR_OK;
}

/* A line end in a file's name would make two of it. */
static aur_status list_names(struct aur_corpus *corpus)
{
	size_t bytes = 1;
	for (int64_t i = 0; i < corpus->paths.count; i++)
		bytes += strlen(corpus->paths.items[i]) + 1;
	corpus->names = malloc(bytes);
	if (!corpus->names)
		return aur_fail(AUR_MEMORY, "no memory for the names of %lld files", (long long)corpus->paths.count);
	char *out = corpus->names;
	for (int64_t i = 0; i < corpus->paths.count; i++) {
		for (const char *at = corpus->paths.items[i]; *at; at++)
			*out++ = *at == '\n' ? '?' : *at;
		*out++ = '\n';
	}
	*out = '\0';
	return AUR_OK;
}

aur_status aur_corpus_read(const char *const *arguments, int n, struct aur_corpus *corpus)
{
	for (int i = 0; i < n; i++)
		AUR_TRY(add_argument(corpus, arguments[i]));
	AUR_TRY(list_names(corpus));
	corpus->texts = calloc((size_t)corpus->paths.count + 1, sizeof *corpus->texts);
	if (!corpus->texts)
		return aur_fail(AUR_MEMORY, "no memory for %lld texts", (long long)corpus->paths.count);
	for (int64_t i = 0; i < corpus->paths.count; i++) {
		corpus->count = i + 1;
		AUR_TRY(read_one(corpus->paths.items[i], &corpus->texts[i]));
	}
	return AUR_OK;
}

void aur_corpus_clear(struct aur_corpus *corpus)
{
	for (int64_t i = 0; i < corpus->count; i++)
		free((char *)corpus->texts[i].bytes);
	free(corpus->texts);
	free(corpus->names);
	aur_paths_clear(&corpus->paths);
	*corpus = (struct aur_corpus){0};
}

aur_status aur_corpus_check_apart(const struct aur_corpus *corpus, const char *path)
{
	struct stat target, text;
	if (!path || stat(path, &target) != 0)
		return AUR_OK;
	for (int64_t i = 0; i < corpus->paths.count; i++)
		if (stat(corpus->paths.items[i], &text) == 0 && text.st_dev == target.st_dev && text.st_ino == target.st_ino)
			return aur_fail(AUR_USAGE, "%s: is one of the texts and would be overwritten", path);
	return AUR_OK;
}
