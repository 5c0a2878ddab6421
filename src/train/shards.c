#include "shards.h"

#include "io/file.h"

#include <stdlib.h>
#include <sys/resource.h>

enum { LEAST_OPEN = 16, MOST_OPEN = 4096, MOST_OPEN_COMPRESSED = 32 };

aur_status aur_shards_create(int64_t sources, struct aur_shards *shards)
{
	*shards = (struct aur_shards){.most_kept = (sources > 0 ? sources : 1) * AUR_TOKENS_KEPT_CHUNKS};
	return aur_token_cache_create(shards->most_kept, &shards->cache);
}

static aur_status grow(struct aur_shards *shards, int64_t more)
{
	struct aur_tokens **files = realloc(shards->files, (size_t)(shards->count + more) * sizeof *files);
	if (!files)
		return aur_fail(AUR_MEMORY, "dataset: no memory for %lld files", (long long)(shards->count + more));
	shards->files = files;
	return AUR_OK;
}

aur_status aur_shards_add(struct aur_shards *shards, const char *pattern, const struct aur_shards *other)
{
	struct aur_paths paths = {0};
	aur_status status = aur_paths_expand(pattern, &paths);
	if (status == AUR_OK)
		status = aur_tokens_check_shards(pattern, &paths);
	if (status == AUR_OK)
		status = grow(shards, paths.count);
	for (int64_t i = 0; status == AUR_OK && i < paths.count; i++) {
		struct aur_tokens *tokens, *first = other->count > 0 ? other->files[0] : NULL;
		first = first || shards->count == 0 ? first : shards->files[0];
		status = aur_tokens_open_shard(paths.items[i], first, shards->cache, &tokens);
		if (status != AUR_OK)
			break;
		aur_tokens_park(tokens);
		shards->files[shards->count++] = tokens;
	}
	aur_paths_clear(&paths);
	return status;
}

/* A share of the descriptors that this process may have: the rest of the program and other datasets need some. An open
 * compressed file costs HDF5's caches too. */
static int64_t most_open(const struct aur_shards *shards)
{
	struct rlimit limit;
	int64_t most = LEAST_OPEN;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur / 4 > LEAST_OPEN)
		most = limit.rlim_cur / 4 < MOST_OPEN ? (int64_t)(limit.rlim_cur / 4) : MOST_OPEN;
	for (int64_t i = 0; i < shards->count && most > MOST_OPEN_COMPRESSED; i++)
		if (aur_tokens_info(shards->files[i])->compressed)
			most = MOST_OPEN_COMPRESSED;
	return most;
}

aur_status aur_shards_settle(struct aur_shards *shards)
{
	shards->limit = most_open(shards);
	shards->used = calloc((size_t)shards->count + 1, sizeof *shards->used);
	shards->open = calloc((size_t)shards->limit, sizeof *shards->open);
	return shards->used && shards->open
			   ? AUR_OK
			   : aur_fail(AUR_MEMORY, "dataset: no memory for %lld files", (long long)shards->count);
}

/* Takes a place among the open files. */
static void note_open(struct aur_shards *shards, int64_t file)
{
	int64_t place = shards->n_open;
	if (shards->n_open < shards->limit) {
		shards->n_open++;
	} else {
		place = 0;
		for (int64_t i = 1; i < shards->limit; i++)
			if (shards->used[shards->open[i]] < shards->used[shards->open[place]])
				place = i;
		aur_tokens_park(shards->files[shards->open[place]]);
		shards->used[shards->open[place]] = 0;
	}
	shards->open[place] = file;
}

aur_status aur_shards_read(
	struct aur_shards *shards, int64_t file, enum aur_split split, int64_t begin, int64_t count, int32_t *out)
{
	if (shards->used[file] == 0)
		note_open(shards, file);
	shards->used[file] = ++shards->clock;
	return aur_tokens_read(shards->files[file], split, begin, count, out);
}

static int64_t chunks_of(const struct aur_tokens *tokens, enum aur_split split)
{
	const struct aur_tokens_info *info = aur_tokens_info(tokens);
	const int64_t chunk = aur_tokens_chunk(tokens, split);
	const int64_t count = split == AUR_TRAIN ? info->train_tokens : info->val_tokens;
	return chunk > 0 ? (count + chunk - 1) / chunk : 0;
}

int64_t aur_shards_kept_bytes(const struct aur_shards *shards, int train, int val)
{
	int64_t chunks = 0;
	for (int64_t i = 0; i < shards->count; i++) {
		chunks += train ? chunks_of(shards->files[i], AUR_TRAIN) : 0;
		chunks += val ? chunks_of(shards->files[i], AUR_VAL) : 0;
	}
	return (chunks < shards->most_kept ? chunks : shards->most_kept) * AUR_TOKENS_CHUNK_BYTES;
}

/* The first file's vocabulary is the others': it goes last. */
void aur_shards_clear(struct aur_shards *shards)
{
	while (shards->files && shards->count > 0)
		aur_tokens_close(&shards->files[--shards->count]);
	free(shards->files);
	free(shards->used);
	free(shards->open);
	aur_token_cache_destroy(&shards->cache);
	*shards = (struct aur_shards){0};
}
