#include "bench.h"

#include "core/rng.h"
#include "io/file.h"
#include "io/tokens.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { VOCABULARY = 50257 };

struct stream {
	uint64_t file, at;
};

/* Rank r of Zipf's law by its inverse: the logarithm of the rank is uniform. */
static aur_status next_tokens(void *context, int token_bytes, int64_t count, void *tokens)
{
	struct stream *stream = context;
	uint16_t *out = tokens;
	if (token_bytes != 2)
		return aur_fail(AUR_INTERNAL, "two bytes a token were expected");
	for (int64_t i = 0; i < count; i++) {
		const struct aur_random4 random = aur_philox(stream->file, 0, 0, stream->at++);
		const double rank = exp(aur_uniform(random.v[0], random.v[1]) * log(VOCABULARY));
		out[i] = (uint16_t)(rank < VOCABULARY ? rank : VOCABULARY - 1);
	}
	return AUR_OK;
}

static aur_status write_file(const struct bench_settings *settings, int64_t file, const char *path)
{
	static char bytes[VOCABULARY];
	static int64_t offsets[VOCABULARY + 1];
	int64_t merges[1];
	for (int64_t i = 0; i <= VOCABULARY; i++)
		offsets[i] = i;
	for (int64_t i = 0; i < VOCABULARY; i++)
		bytes[i] = 'a';
	const struct aur_vocab vocab = {.kind = "char",
		.clean = "none",
		.unknown = -1,
		.size = VOCABULARY,
		.bytes = bytes,
		.offsets = offsets,
		.merges = merges};
	struct stream stream = {.file = (uint64_t)file};
	const struct aur_tokens_create create = {.path = path,
		.vocab = &vocab,
		.sources = "Zipf",
		.compress = settings->compress,
		.next = next_tokens,
		.context = &stream,
		.train_tokens = settings->tokens / settings->files};
	return aur_tokens_write(&create);
}

aur_status bench_make_corpus(const struct bench_settings *settings, char *glob, size_t bytes)
{
	const char *kind = settings->compress ? "deflate" : "plain";
	const long long tokens = settings->tokens, files = settings->files;
	AUR_TRY(aur_folder_create(settings->folder));
	snprintf(glob, bytes, "%s/%s-%lld-*-of-%05lld.h5", settings->folder, kind, tokens, files);
	for (int64_t file = 0; file < settings->files; file++) {
		char path[1024];
		snprintf(path, sizeof path, "%s/%s-%lld-%05lld-of-%05lld.h5", settings->folder, kind, tokens, (long long)file,
			files);
		if (!aur_file_exists(path))
			AUR_TRY(write_file(settings, file, path));
	}
	return AUR_OK;
}
