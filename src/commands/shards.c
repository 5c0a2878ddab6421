#include "shards.h"

#include "io/file.h"
#include "io/tokens.h"
#include "train/signals.h"

#include <libgen.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Counters of one token: a text repeats its tokens, and one counter would wait for its own last value. */
enum { LANES = 4 };

/* Where a unit's tokens lie among all, and what a text's first and last unit add. */
struct place {
	int64_t begin;
	int opening; /* a text's first token is the unit's first */
	int closing; /* the end of text follows */
};

struct aur_shards {
	struct aur_shards_request request;
	const struct aur_unit_record *units; /* borrowed [count] */
	int64_t count;
	struct place *places; /* owned [count + 1]; the last one's begin is the number of all tokens */
	int64_t train_tokens;
	int64_t shard_tokens, n_shards;
	int64_t *lanes;        /* owned [vocabulary, LANES] */
	int64_t mine, written; /* tokens of this rank's shards, and how many of them are done */
};

/* One shard on its way into its file. */
struct shard {
	struct aur_shards *shards;
	int64_t at;   /* the next token among all */
	int64_t unit; /* the one that holds it */
	struct aur_unit_result result;
	int lent, loaded;
	/* documents */
	int64_t part_begin[3]; /* training part, validation part, end */
	int64_t part_documents[2];
	int64_t given[2];
	int64_t document_unit, document; /* the next one to look at */
	int64_t *documents;              /* of that unit, borrowed or owned */
	int documents_lent;
};

/* ---- order ---- */

static int is_text(const struct aur_shards *shards, int64_t unit)
{
	return shards->request.sources->all[shards->units[unit].source].kind == AUR_CORPUS_TEXT;
}

static void place_units(struct aur_shards *shards)
{
	int64_t begin = 0, in_source = 0;
	for (int64_t i = 0; i < shards->count; i++) {
		const struct aur_unit_record *unit = &shards->units[i];
		const int text = is_text(shards, i);
		in_source = (unit->part > 0 ? in_source : 0) + unit->tokens;
		struct place *place = &shards->places[i];
		place->begin = begin;
		place->opening = text && unit->tokens > 0 && in_source == unit->tokens;
		place->closing = text && unit->last && in_source > 0 && shards->request.end_of_text >= 0;
		begin += unit->tokens + place->closing;
	}
	shards->places[shards->count].begin = begin;
}

static void add_up(const struct aur_shards *shards, struct aur_shards_sum *sum)
{
	int64_t lines = 0;
	int open = 0;
	for (int64_t i = 0; i < shards->count; i++) {
		const struct aur_unit_record *unit = &shards->units[i];
		lines = unit->part == 0 ? 0 : lines;
		open = unit->part == 0 ? 0 : open;
		open = unit->bytes > 0 ? unit->open_line : open;
		sum->bytes += unit->bytes;
		sum->characters += unit->characters;
		sum->lines += unit->lines + (unit->last && open);
		sum->unknown += unit->unknown;
		sum->documents += is_text(shards, i) ? shards->places[i].opening : unit->documents;
		if (sum->bad == 0 && unit->bad > 0) {
			sum->first_bad = unit->first_bad;
			sum->first_bad.line += lines;
		}
		sum->bad += unit->bad;
		lines += unit->text_lines;
	}
}

/* floor((1 - fraction) n), where a product that is whole but for the rounding of `fraction` counts as whole. */
static int64_t training_part(int64_t n, double fraction)
{
	const double exact = (1 - fraction) * (double)n;
	const double nearest = round(exact);
	const double rounding = 4e-16 * (double)n;
	return (int64_t)(fabs(exact - nearest) <= rounding ? nearest : floor(exact));
}

static aur_status split(struct aur_shards *shards, struct aur_shards_sum *sum)
{
	const int64_t tokens = shards->places[shards->count].begin, wanted = shards->request.shard_tokens;
	shards->train_tokens = training_part(tokens, shards->request.val_fraction);
	sum->train_tokens = shards->train_tokens;
	sum->val_tokens = tokens - sum->train_tokens;
	if (tokens == 0)
		return aur_fail(AUR_INPUT, "no token is left of the text: nothing to train on");
	if (sum->train_tokens == 0 || (shards->request.val_fraction > 0 && sum->val_tokens == 0))
		return aur_fail(AUR_INPUT, "%lld token%s: too short a text to split with --val-fraction %g", (long long)tokens,
			tokens == 1 ? "" : "s", shards->request.val_fraction);
	shards->shard_tokens = wanted > 0 && wanted < tokens ? wanted : tokens;
	shards->n_shards = (tokens + shards->shard_tokens - 1) / shards->shard_tokens;
	if (shards->n_shards > 99999)
		return aur_fail(AUR_USAGE, "--shard-tokens: %lld would make %lld shards of %lld tokens: at most 99999",
			(long long)wanted, (long long)shards->n_shards, (long long)tokens);
	sum->shards = wanted > 0 ? shards->n_shards : 0;
	return AUR_OK;
}

aur_status aur_shards_plan(const struct aur_shards_request *request, const struct aur_unit_record *units, int64_t count,
	struct aur_shards **shards, struct aur_shards_sum *sum)
{
	*sum = (struct aur_shards_sum){0};
	*shards = calloc(1, sizeof **shards);
	if (!*shards)
		return aur_fail(AUR_MEMORY, "no memory for the order of the texts");
	(*shards)->request = *request;
	(*shards)->units = units;
	(*shards)->count = count;
	(*shards)->places = calloc((size_t)count + 1, sizeof *(*shards)->places);
	(*shards)->lanes = calloc((size_t)request->vocab->size, LANES * sizeof *(*shards)->lanes);
	aur_status status =
		(*shards)->places && (*shards)->lanes ? AUR_OK : aur_fail(AUR_MEMORY, "no memory for the order of the texts");
	if (status == AUR_OK) {
		place_units(*shards);
		add_up(*shards, sum);
		status = split(*shards, sum);
	}
	if (status != AUR_OK)
		aur_shards_destroy(shards);
	return status;
}

void aur_shards_destroy(struct aur_shards **shards)
{
	if (!shards || !*shards)
		return;
	free((*shards)->places);
	free((*shards)->lanes);
	free(*shards);
	*shards = NULL;
}

/* The unit that token `at` lies in. */
static int64_t unit_at(const struct aur_shards *shards, int64_t at)
{
	int64_t low = 0, high = shards->count - 1;
	while (low < high) {
		const int64_t middle = low + (high - low + 1) / 2;
		if (shards->places[middle].begin <= at)
			low = middle;
		else
			high = middle - 1;
	}
	return low;
}

/* ---- tokens ---- */

static void unload(struct shard *shard)
{
	if (shard->loaded && !shard->lent)
		aur_unit_result_clear(&shard->result);
	shard->loaded = 0;
}

static aur_status load(struct shard *shard)
{
	if (shard->loaded)
		return AUR_OK;
	AUR_TRY(aur_unit_store_get(
		shard->shards->request.store, &shard->shards->units[shard->unit], &shard->result, &shard->lent));
	shard->loaded = 1;
	return AUR_OK;
}

static void tally(int64_t *lanes, const void *tokens, int64_t count, int token_bytes)
{
	const uint16_t *narrow = tokens;
	const uint32_t *wide = tokens;
	if (token_bytes == 2)
		for (int64_t i = 0; i < count; i++)
			lanes[narrow[i] * LANES + i % LANES]++;
	else
		for (int64_t i = 0; i < count; i++)
			lanes[(int64_t)wide[i] * LANES + i % LANES]++;
}

static void put_token(void *out, int token_bytes, int64_t token)
{
	const uint16_t narrow = (uint16_t)token;
	const uint32_t wide = (uint32_t)token;
	memcpy(out, token_bytes == 2 ? (const void *)&narrow : &wide, (size_t)token_bytes);
}

static void to_next_unit(struct shard *shard)
{
	while (shard->at >= shard->shards->places[shard->unit + 1].begin) {
		unload(shard);
		shard->unit++;
	}
}

/* Tokens from `at` on, as far as the unit has any; a text's end behind them. */
static aur_status copy_some(struct shard *shard, int token_bytes, int64_t room, char *out, int64_t *copied)
{
	to_next_unit(shard);
	const int64_t within = shard->at - shard->shards->places[shard->unit].begin;
	const int64_t left = shard->shards->units[shard->unit].tokens - within;
	*copied = 1;
	if (left == 0) {
		put_token(out, token_bytes, shard->shards->request.end_of_text);
		return AUR_OK;
	}
	AUR_TRY(load(shard));
	*copied = left < room ? left : room;
	memcpy(out, (const char *)shard->result.tokens + within * token_bytes, (size_t)(*copied * token_bytes));
	return AUR_OK;
}

static aur_status next_tokens(void *context, int token_bytes, int64_t count, void *tokens)
{
	struct shard *shard = context;
	struct aur_shards *shards = shard->shards;
	char *out = tokens;
	if (aur_signals_pending(NULL))
		return AUR_STOPPED;
	for (int64_t done = 0, copied; done < count; done += copied) {
		AUR_TRY(copy_some(shard, token_bytes, count - done, out + done * token_bytes, &copied));
		shard->at += copied;
	}
	tally(shards->lanes, tokens, count, token_bytes);
	shards->written += count;
	aur_progress_show(
		shards->request.line, "writing", (double)(shards->written * token_bytes), (double)(shards->mine * token_bytes));
	return AUR_OK;
}

/* ---- documents ---- */

static aur_status load_documents(struct shard *shard, int64_t unit)
{
	if (!shard->documents_lent)
		free(shard->documents);
	shard->documents = NULL;
	shard->document_unit = unit;
	shard->document = 0;
	if (is_text(shard->shards, unit))
		return AUR_OK;
	return aur_unit_store_documents(
		shard->shards->request.store, &shard->shards->units[unit], &shard->documents, &shard->documents_lent);
}

static int64_t documents_of(const struct shard *shard, int64_t unit)
{
	const struct aur_shards *shards = shard->shards;
	return is_text(shards, unit) ? shards->places[unit].opening : shards->units[unit].documents;
}

/* The start, among all tokens, of the next document at or after the cursor; INT64_MAX: there is none. */
static aur_status next_document(struct shard *shard, int64_t *start)
{
	const struct aur_shards *shards = shard->shards;
	while (shard->document_unit < shards->count && shard->document == documents_of(shard, shard->document_unit)) {
		if (shard->document_unit + 1 == shards->count) {
			*start = INT64_MAX;
			return AUR_OK;
		}
		AUR_TRY(load_documents(shard, shard->document_unit + 1));
	}
	*start = shards->places[shard->document_unit].begin + (shard->documents ? shard->documents[shard->document] : 0);
	return AUR_OK;
}

/* Puts the cursor on the first document that starts at `at` or later. */
static aur_status seek_document(struct shard *shard, int64_t at)
{
	int64_t start;
	AUR_TRY(load_documents(shard, unit_at(shard->shards, at)));
	AUR_TRY(next_document(shard, &start));
	while (start < at) {
		shard->document++;
		AUR_TRY(next_document(shard, &start));
	}
	return AUR_OK;
}

/* How many documents start in tokens [begin, end): whole units are not looked into. */
static aur_status count_documents(struct shard *shard, int64_t begin, int64_t end, int64_t *documents)
{
	const struct aur_shards *shards = shard->shards;
	int64_t start;
	*documents = 0;
	if (begin == end)
		return AUR_OK;
	AUR_TRY(seek_document(shard, begin));
	for (;;) {
		const int64_t unit = shard->document_unit;
		if (shard->document == 0 && shards->places[unit + 1].begin <= end) {
			*documents += documents_of(shard, unit);
			shard->document = documents_of(shard, unit);
		}
		AUR_TRY(next_document(shard, &start));
		if (start >= end)
			return AUR_OK;
		if (shard->document_unit == unit) {
			++*documents;
			shard->document++;
		}
	}
}

static aur_status next_documents(void *context, int64_t count, uint64_t *starts)
{
	struct shard *shard = context;
	const int part = shard->given[0] < shard->part_documents[0] ? 0 : 1;
	if (shard->given[part] == 0)
		AUR_TRY(seek_document(shard, shard->part_begin[part]));
	for (int64_t i = 0; i < count; i++) {
		int64_t start;
		AUR_TRY(next_document(shard, &start));
		starts[i] = (uint64_t)(start - shard->part_begin[part]);
		shard->document++;
	}
	shard->given[part] += count;
	return AUR_OK;
}

/* ---- shards ---- */

aur_status aur_shards_name(const char *out, int64_t index, int64_t count, char path[AUR_WORK_PATH])
{
	const size_t bytes = strlen(out);
	const int ends = bytes > 3 && strcmp(out + bytes - 3, ".h5") == 0;
	const int length = count == 0 ? snprintf(path, AUR_WORK_PATH, "%s", out)
								  : snprintf(path, AUR_WORK_PATH, "%.*s-%05lld-of-%05lld.h5",
										(int)(ends ? bytes - 3 : bytes), out, (long long)index, (long long)count);
	return length < AUR_WORK_PATH ? AUR_OK : aur_fail(AUR_USAGE, "--out: the name is too long");
}

static aur_status write_shard(struct shard *shard, const char *path)
{
	const struct aur_shards_request *request = &shard->shards->request;
	for (int part = 0; part < 2; part++)
		AUR_TRY(
			count_documents(shard, shard->part_begin[part], shard->part_begin[part + 1], &shard->part_documents[part]));
	const struct aur_tokens_create create = {
		.path = path,
		.vocab = request->vocab,
		.sources = request->sources->names,
		.compress = request->compress,
		.next = next_tokens,
		.next_documents = next_documents,
		.context = shard,
		.train_tokens = shard->part_begin[1] - shard->part_begin[0],
		.val_tokens = shard->part_begin[2] - shard->part_begin[1],
		.part_documents = {shard->part_documents[0], shard->part_documents[1]},
	};
	return aur_tokens_write(&create);
}

/* A shard that an earlier start has written is only counted. */
static aur_status count_shard(struct shard *shard)
{
	enum { BLOCK = 256 << 10 };
	const int token_bytes = shard->shards->request.vocab->size <= UINT16_MAX + 1 ? 2 : 4;
	void *block = malloc((size_t)BLOCK * (size_t)token_bytes);
	aur_status status = block ? AUR_OK : aur_fail(AUR_MEMORY, "no memory for a block of tokens");
	while (shard->at < shard->part_begin[2] && status == AUR_OK) {
		const int64_t left = shard->part_begin[2] - shard->at;
		status = next_tokens(shard, token_bytes, left < BLOCK ? left : BLOCK, block);
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

static aur_status make_shard(struct shard *shard, int64_t index)
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
	struct shard shard = {.shards = shards, .at = begin, .unit = unit_at(shards, begin)};
	shard.part_begin[0] = begin;
	shard.part_begin[1] = clamp(shards->train_tokens, begin, end);
	shard.part_begin[2] = end;
	const aur_status status = make_shard(&shard, index);
	unload(&shard);
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
			const int64_t *lanes = shards->lanes + (at + i) * LANES;
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
