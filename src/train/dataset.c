#include "train/dataset.h"

#include "config/sources.h"
#include "shards.h"
#include "synthetic.h"

#include <stdlib.h>
#include <string.h>

/* A source as it was opened: some of the training files. */
struct source {
	char *name; /* owned */
	int64_t first_file, files, weight;
};

/* Numbers of whole windows of the files before each. */
struct windows {
	int64_t positions; /* 0: not made yet */
	int64_t *sums;     /* owned [files + 1] */
};

/* Without files both parts are synthetic: as one file each that is computed. */
struct aur_dataset {
	struct aur_shards shards[2]; /* by enum aur_split; those of AUR_VAL are empty where data.val is */
	struct source *sources;      /* owned; of AUR_TRAIN */
	int64_t n_sources;
	int weighted;
	struct windows windows[2];
	int synthetic;
	struct aur_vocab vocab; /* owned; of synthetic tokens */
	uint64_t seed;          /* of synthetic tokens */
};

/* The validation tokens are in the training files unless others are named. */
static int place_of(const struct aur_dataset *dataset, enum aur_split split)
{
	return split == AUR_VAL && dataset->shards[AUR_VAL].count > 0 ? AUR_VAL : AUR_TRAIN;
}

static const struct aur_shards *shards_of(const struct aur_dataset *dataset, enum aur_split split)
{
	return &dataset->shards[place_of(dataset, split)];
}

int64_t aur_dataset_files(const struct aur_dataset *dataset, enum aur_split split)
{
	return dataset->synthetic ? 1 : shards_of(dataset, split)->count;
}

int64_t aur_dataset_file_tokens(const struct aur_dataset *dataset, enum aur_split split, int64_t file)
{
	if (dataset->synthetic)
		return aur_synthetic_tokens(split);
	const struct aur_tokens_info *info = aur_tokens_info(shards_of(dataset, split)->files[file]);
	return split == AUR_TRAIN ? info->train_tokens : info->val_tokens;
}

/* ---- opening ---- */

static aur_status add_source(struct aur_dataset *dataset, const char *name, int64_t first_file, int64_t weight)
{
	struct source *source = &dataset->sources[dataset->n_sources++];
	*source = (struct source){.name = strdup(name), .first_file = first_file, .weight = weight};
	source->files = dataset->shards[AUR_TRAIN].count - first_file;
	return source->name ? AUR_OK : aur_fail(AUR_MEMORY, "%s: no memory for its name", name);
}

/* Each entry of a mixture is a source, a list without weights is one. */
static aur_status open_train(struct aur_dataset *dataset, const struct aur_sources *list)
{
	struct aur_shards *shards = &dataset->shards[AUR_TRAIN];
	dataset->weighted = list->weighted;
	dataset->sources = calloc((size_t)list->count + 1, sizeof *dataset->sources);
	if (!dataset->sources)
		return aur_fail(AUR_MEMORY, "dataset: no memory for %lld sources", (long long)list->count);
	AUR_TRY(aur_shards_create(list->weighted ? list->count : 1, shards));
	for (int64_t i = 0; i < list->count; i++) {
		const int64_t first = shards->count;
		AUR_TRY(aur_shards_add(shards, list->items[i].path, &dataset->shards[AUR_VAL]));
		if (list->weighted)
			AUR_TRY(add_source(dataset, list->items[i].path, first, list->items[i].weight));
	}
	if (!list->weighted)
		AUR_TRY(add_source(dataset, "", 0, 1));
	return aur_shards_settle(shards);
}

static aur_status open_val(struct aur_dataset *dataset, const struct aur_sources *list)
{
	struct aur_shards *shards = &dataset->shards[AUR_VAL];
	AUR_TRY(aur_shards_create(1, shards));
	for (int64_t i = 0; i < list->count; i++)
		AUR_TRY(aur_shards_add(shards, list->items[i].path, &dataset->shards[AUR_TRAIN]));
	return aur_shards_settle(shards);
}

static aur_status open_list(struct aur_dataset *dataset, const char *text, enum aur_split split)
{
	struct aur_sources list;
	AUR_TRY(aur_sources_parse("data", text, &list));
	aur_status status = AUR_OK;
	if (list.count == 0)
		status = aur_fail(AUR_INPUT, "the list of files \"%s\" names none", text);
	else
		status = split == AUR_TRAIN ? open_train(dataset, &list) : open_val(dataset, &list);
	aur_sources_clear(&list);
	return status;
}

static aur_status open_synthetic(const char *train, const char *val, struct aur_dataset *dataset)
{
	if (!aur_synthetic_is(train) || (val[0] && strcmp(train, val) != 0))
		return aur_fail(AUR_USAGE,
			"data.val: is %s where data.train is %s: synthetic tokens have their own validation part, leave data.val "
			"empty",
			val, train);
	dataset->synthetic = 1;
	dataset->sources = calloc(1, sizeof *dataset->sources);
	if (!dataset->sources)
		return aur_fail(AUR_MEMORY, "dataset: no memory");
	AUR_TRY(add_source(dataset, "", 0, 1));
	dataset->sources[0].files = 1;
	return aur_synthetic_vocab(train, &dataset->vocab);
}

static aur_status open_files(const char *train, const char *val, struct aur_dataset *dataset)
{
	AUR_TRY(open_list(dataset, train, AUR_TRAIN));
	return val[0] ? open_list(dataset, val, AUR_VAL) : AUR_OK;
}

aur_status aur_dataset_open(const char *train, const char *val, uint64_t seed, struct aur_dataset **dataset)
{
	*dataset = calloc(1, sizeof **dataset);
	if (!*dataset)
		return aur_fail(AUR_MEMORY, "dataset: no memory");
	(*dataset)->seed = seed;
	const int synthetic = aur_synthetic_is(train) || aur_synthetic_is(val);
	const aur_status status = synthetic ? open_synthetic(train, val, *dataset) : open_files(train, val, *dataset);
	if (status != AUR_OK)
		aur_dataset_close(dataset);
	return status;
}

void aur_dataset_close(struct aur_dataset **dataset)
{
	if (!dataset || !*dataset)
		return;
	/* The validation files borrow the vocabulary of the training files. */
	aur_shards_clear(&(*dataset)->shards[AUR_VAL]);
	aur_shards_clear(&(*dataset)->shards[AUR_TRAIN]);
	for (int64_t i = 0; i < (*dataset)->n_sources; i++)
		free((*dataset)->sources[i].name);
	free((*dataset)->sources);
	free((*dataset)->windows[AUR_TRAIN].sums);
	free((*dataset)->windows[AUR_VAL].sums);
	aur_vocab_clear(&(*dataset)->vocab);
	free(*dataset);
	*dataset = NULL;
}

/* ---- what there is ---- */

const struct aur_vocab *aur_dataset_vocab(const struct aur_dataset *dataset)
{
	return dataset->synthetic ? &dataset->vocab : aur_tokens_vocab(dataset->shards[AUR_TRAIN].files[0]);
}

int aur_dataset_is_synthetic(const struct aur_dataset *dataset)
{
	return dataset->synthetic;
}

int aur_dataset_is_mixture(const struct aur_dataset *dataset)
{
	return dataset->weighted;
}

int64_t aur_dataset_sources(const struct aur_dataset *dataset)
{
	return dataset->n_sources;
}

struct aur_dataset_source aur_dataset_source(const struct aur_dataset *dataset, int64_t index)
{
	const struct source *source = &dataset->sources[index];
	struct aur_dataset_source described = {
		.name = source->name, .first_file = source->first_file, .files = source->files, .weight = source->weight};
	for (int64_t i = 0; !dataset->synthetic && i < source->files; i++) {
		const int64_t chunk = aur_tokens_chunk(dataset->shards[AUR_TRAIN].files[source->first_file + i], AUR_TRAIN);
		described.chunk_tokens = chunk > described.chunk_tokens ? chunk : described.chunk_tokens;
	}
	return described;
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
	for (int i = 0; i < 8; i++)
		hash = (hash ^ (value >> (8 * i) & 0xff)) * 0x100000001b3u;
	return hash;
}

uint64_t aur_dataset_size_hash(const struct aur_dataset *dataset)
{
	uint64_t hash = mix(0xcbf29ce484222325u, aur_vocab_hash(aur_dataset_vocab(dataset)));
	for (int split = AUR_TRAIN; split <= AUR_VAL; split++)
		for (int64_t i = 0; i < aur_dataset_files(dataset, (enum aur_split)split); i++)
			hash = mix(hash, (uint64_t)aur_dataset_file_tokens(dataset, (enum aur_split)split, i));
	if (dataset->synthetic)
		hash = mix(hash, dataset->seed);
	return hash;
}

uint64_t aur_dataset_hash(const struct aur_dataset *dataset)
{
	uint64_t hash = aur_dataset_size_hash(dataset);
	for (int split = AUR_TRAIN; split <= AUR_VAL; split++)
		for (int64_t i = 0; i < dataset->shards[split].count; i++)
			hash = mix(hash, aur_tokens_content(dataset->shards[split].files[i]));
	for (int64_t i = 0; dataset->weighted && i < dataset->n_sources; i++)
		hash = mix(mix(hash, (uint64_t)dataset->sources[i].files), (uint64_t)dataset->sources[i].weight);
	return hash;
}

int64_t aur_dataset_tokens(const struct aur_dataset *dataset, enum aur_split split)
{
	int64_t tokens = 0;
	for (int64_t i = 0; i < aur_dataset_files(dataset, split); i++)
		tokens += aur_dataset_file_tokens(dataset, split, i);
	return tokens;
}

int64_t aur_dataset_kept_bytes(const struct aur_dataset *dataset, int both)
{
	const int apart = place_of(dataset, AUR_VAL) == AUR_VAL;
	const int64_t bytes = aur_shards_kept_bytes(&dataset->shards[AUR_TRAIN], 1, both && !apart);
	return bytes + (both && apart ? aur_shards_kept_bytes(&dataset->shards[AUR_VAL], 0, 1) : 0);
}

/* ---- windows ---- */

static int64_t whole_windows(int64_t tokens, int64_t positions)
{
	return tokens > positions ? (tokens - 1) / positions : 0;
}

int64_t aur_dataset_windows(const struct aur_dataset *dataset, enum aur_split split, int64_t positions)
{
	int64_t windows = 0;
	for (int64_t i = 0; i < aur_dataset_files(dataset, split); i++)
		windows += whole_windows(aur_dataset_file_tokens(dataset, split, i), positions);
	return windows;
}

static aur_status sum_windows(struct aur_dataset *dataset, enum aur_split split, int64_t positions)
{
	struct windows *windows = &dataset->windows[split];
	const int64_t files = aur_dataset_files(dataset, split);
	if (windows->positions == positions)
		return AUR_OK;
	if (!windows->sums && !(windows->sums = calloc((size_t)files + 1, sizeof *windows->sums)))
		return aur_fail(AUR_MEMORY, "dataset: no memory for %lld files", (long long)files);
	for (int64_t i = 0; i < files; i++)
		windows->sums[i + 1] = windows->sums[i] + whole_windows(aur_dataset_file_tokens(dataset, split, i), positions);
	windows->positions = positions;
	return AUR_OK;
}

int64_t aur_dataset_file_of(const int64_t *sums, int64_t first, int64_t files, int64_t index)
{
	int64_t low = first, high = first + files;
	while (high - low > 1) {
		const int64_t middle = low + (high - low) / 2;
		if (sums[middle] <= index)
			low = middle;
		else
			high = middle;
	}
	return low;
}

aur_status aur_dataset_window(struct aur_dataset *dataset, enum aur_split split, int64_t positions, int64_t index,
	int32_t *tokens, int32_t *targets)
{
	AUR_TRY(sum_windows(dataset, split, positions));
	const int64_t *sums = dataset->windows[split].sums;
	const int64_t files = aur_dataset_files(dataset, split);
	if (index >= sums[files])
		return aur_fail(AUR_SHAPE, "dataset: a window past the end was asked for");
	const int64_t file = aur_dataset_file_of(sums, 0, files, index);
	return aur_dataset_read(dataset, split, file, (index - sums[file]) * positions, positions, tokens, targets);
}

static aur_status read_tokens(
	struct aur_dataset *dataset, enum aur_split split, int64_t file, int64_t begin, int64_t count, int32_t *out)
{
	if (!dataset->synthetic)
		return aur_shards_read(&dataset->shards[place_of(dataset, split)], file, split, begin, count, out);
	aur_synthetic_read(dataset->seed, dataset->vocab.size, split, begin, count, out);
	return AUR_OK;
}

aur_status aur_dataset_read(struct aur_dataset *dataset, enum aur_split split, int64_t file, int64_t begin,
	int64_t positions, int32_t *tokens, int32_t *targets)
{
	AUR_TRY(read_tokens(dataset, split, file, begin, positions, tokens));
	/* The targets are the inputs one place further: only the last one is not yet there. */
	memcpy(targets, tokens + 1, (size_t)(positions - 1) * sizeof *targets);
	return read_tokens(dataset, split, file, begin + positions, 1, targets + positions - 1);
}
