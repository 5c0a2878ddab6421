#include "shard.h"

#include "io/file.h"
#include "io/tokens.h"
#include "train/signals.h"

#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

aur_status aur_shards_name(const char *out, int64_t index, int64_t count, char path[AUR_WORK_PATH])
{
	const size_t bytes = strlen(out);
	const int ends = bytes > 3 && strcmp(out + bytes - 3, ".h5") == 0;
	const int length = count == 0 ? snprintf(path, AUR_WORK_PATH, "%s", out)
								  : snprintf(path, AUR_WORK_PATH, "%.*s-%05lld-of-%05lld.h5",
										(int)(ends ? bytes - 3 : bytes), out, (long long)index, (long long)count);
	return length < AUR_WORK_PATH ? AUR_OK : aur_fail(AUR_USAGE, "--out: the name is too long");
}

static aur_status write_shard(struct aur_shard *shard, const char *path)
{
	const struct aur_shards_request *request = &shard->shards->request;
	for (int part = 0; part < 2; part++)
		AUR_TRY(aur_shard_count_documents(
			shard, shard->part_begin[part], shard->part_begin[part + 1], &shard->part_documents[part]));
	const struct aur_tokens_create create = {
		.path = path,
		.vocab = request->vocab,
		.sources = request->sources->names,
		.compress = request->compress,
		.next = aur_shard_tokens,
		.next_documents = aur_shard_documents,
		.context = shard,
		.train_tokens = shard->part_begin[1] - shard->part_begin[0],
		.val_tokens = shard->part_begin[2] - shard->part_begin[1],
		.part_documents = {shard->part_documents[0], shard->part_documents[1]},
	};
	return aur_tokens_write(&create);
}

/* A shard that an earlier start has written is only counted. */
static aur_status count_shard(struct aur_shard *shard)
{
	enum { BLOCK = 256 << 10 };
	const int token_bytes = shard->shards->request.vocab->size <= UINT16_MAX + 1 ? 2 : 4;
	void *block = malloc((size_t)BLOCK * (size_t)token_bytes);
	aur_status status = block ? AUR_OK : aur_fail(AUR_MEMORY, "no memory for a block of tokens");
	while (shard->at < shard->part_begin[2] && status == AUR_OK) {
		const int64_t left = shard->part_begin[2] - shard->at;
		status = aur_shard_tokens(shard, token_bytes, left < BLOCK ? left : BLOCK, block);
	}
	free(block);
	return status;
}

static int64_t clamp(int64_t value, int64_t low, int64_t high)
{
	return value < low ? low : value > high ? high : value;
}

/* What a finished shard's note in the work folder says: that it was made with the same settings. */
static void describe(const struct aur_shards *shards, char text[256])
{
	snprintf(text, 256, "%lld tokens, %lld for training, %lld a shard, compress %d\n",
		(long long)shards->places[shards->count].begin, (long long)shards->train_tokens,
		(long long)shards->shard_tokens, shards->request.compress);
}

static int is_noted(const struct aur_shards *shards, const char *note, const char *path)
{
	char expected[256], *text;
	size_t bytes;
	if (!aur_work_exists(shards->request.work) || !aur_file_exists(note) || !aur_file_exists(path))
		return 0;
	if (aur_file_read(note, sizeof expected, &text, &bytes) != AUR_OK) {
		aur_error_clear();
		return 0;
	}
	describe(shards, expected);
	const int same = strcmp(text, expected) == 0;
	free(text);
	return same;
}

static aur_status make_shard(struct aur_shard *shard, int64_t index)
{
	struct aur_shards *shards = shard->shards;
	char path[AUR_WORK_PATH], note[AUR_WORK_PATH], name[64], text[256];
	AUR_TRY(aur_shards_name(shards->request.out, index, shards->request.shard_tokens > 0 ? shards->n_shards : 0, path));
	snprintf(name, sizeof name, "shard-%05lld", (long long)index);
	AUR_TRY(aur_work_path(shards->request.work, name, note));
	if (is_noted(shards, note, path))
		return count_shard(shard);
	/* A note of other settings would be taken for this shard's, should a start after them end before this one's. */
	AUR_TRY(aur_file_remove(note));
	AUR_TRY(write_shard(shard, path));
	describe(shards, text);
	return aur_work_exists(shards->request.work) && shards->n_shards > 1
			   ? aur_file_write_atomic(note, text, strlen(text))
			   : AUR_OK;
}

static aur_status do_shard(struct aur_shards *shards, int64_t index)
{
	const int64_t all = shards->places[shards->count].begin;
	const int64_t begin = index * shards->shard_tokens, end = clamp(begin + shards->shard_tokens, 0, all);
	struct aur_shard shard = {.shards = shards, .at = begin, .unit = aur_shards_unit_at(shards, begin)};
	shard.part_begin[0] = begin;
	shard.part_begin[1] = clamp(shards->train_tokens, begin, end);
	shard.part_begin[2] = end;
	const aur_status status = make_shard(&shard, index);
	aur_shard_unload(&shard);
	if (!shard.documents_lent)
		free(shard.documents);
	return status;
}

static void count_mine(struct aur_shards *shards)
{
	const struct aur_comm *world = shards->request.world;
	for (int64_t index = world->rank; index < shards->n_shards; index += world->size)
		shards->mine +=
			clamp(shards->places[shards->count].begin - index * shards->shard_tokens, 0, shards->shard_tokens);
}

/* Rank by rank a shard, then all agree. */
static aur_status write_all(struct aur_shards *shards)
{
	struct aur_comm *world = shards->request.world;
	for (int64_t first = 0; first < shards->n_shards; first += world->size) {
		const int64_t index = first + world->rank;
		struct aur_agreement agreement = {.status = AUR_OK};
		if (index < shards->n_shards)
			agreement.status = do_shard(shards, index);
		agreement.stop = aur_signals_pending(NULL);
		if (agreement.status == AUR_STOPPED)
			agreement.status = AUR_OK;
		AUR_TRY(world->ops->agree(world, &agreement));
		if (agreement.stop)
			return AUR_STOPPED;
	}
	return AUR_OK;
}

/* Numbers below 2^53 pass through doubles unharmed. */
static aur_status sum_counts(struct aur_shards *shards, int64_t *counts)
{
	enum { BLOCK = 512 };
	struct aur_comm *world = shards->request.world;
	const int64_t size = shards->request.vocab->size;
	double sums[BLOCK];
	for (int64_t at = 0; at < size; at += BLOCK) {
		const int n = size - at < BLOCK ? (int)(size - at) : BLOCK;
		for (int i = 0; i < n; i++) {
			const int64_t *lanes = shards->lanes + (at + i) * AUR_SHARD_LANES;
			sums[i] = (double)(lanes[0] + lanes[1] + lanes[2] + lanes[3]);
		}
		AUR_TRY(world->ops->all_reduce(world, sums, n, AUR_COMM_SUM));
		for (int i = 0; i < n; i++)
			counts[at + i] = (int64_t)sums[i];
	}
	return AUR_OK;
}

/* NAME-00000-of-00004.h5 beside NAME-00000-of-00002.h5 would be read as one dataset by NAME-*.h5. */
static aur_status remove_older(const struct aur_shards *shards)
{
	struct aur_paths found = {0};
	char first[AUR_WORK_PATH], folder[AUR_WORK_PATH];
	AUR_TRY(aur_shards_name(shards->request.out, 0, shards->n_shards, first));
	snprintf(folder, sizeof folder, "%s", first);
	const size_t stem = strlen(first) - strlen("-00000-of-00000.h5");
	aur_status status = aur_folder_list(dirname(folder), ".h5", 0, &found);
	char name[AUR_WORK_PATH];
	snprintf(name, sizeof name, "%s", first);
	const char *base = basename(name);
	const size_t base_stem = stem - (strlen(first) - strlen(base));
	for (int64_t i = 0; i < found.count && status == AUR_OK; i++) {
		const char *slash = strrchr(found.items[i], '/');
		const char *file = slash ? slash + 1 : found.items[i];
		int index, count, end = 0;
		if (strncmp(file, base, base_stem) == 0 &&
			sscanf(file + base_stem, "-%5d-of-%5d.h5%n", &index, &count, &end) == 2 && end == 18 &&
			file[base_stem + 18] == '\0' && count != shards->n_shards)
			status = aur_file_remove(found.items[i]);
	}
	aur_paths_clear(&found);
	return status;
}

aur_status aur_shards_write(struct aur_shards *shards, int64_t *counts)
{
	aur_status status = AUR_OK;
	count_mine(shards);
	aur_progress_begin(shards->request.line);
	status = write_all(shards);
	aur_progress_end(shards->request.line);
	AUR_TRY(status);
	if (shards->request.world->rank == 0 && shards->request.shard_tokens > 0)
		status = remove_older(shards);
	AUR_TRY(aur_comm_agree(shards->request.world, status));
	return sum_counts(shards, counts);
}
