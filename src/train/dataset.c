#include "train/dataset.h"

#include "io/file.h"
#include "synthetic.h"

#include <stdlib.h>
#include <string.h>

/* The files of one split; `split` says which part of them is read. */
struct part {
	struct aur_tokens **files; /* owned */
	int64_t n_files;
	enum aur_split split;
};

/* Without files both parts are synthetic: as one file each that is computed. */
struct aur_dataset {
	struct part parts[2]; /* by enum aur_split */
	int synthetic;
	struct aur_vocab vocab; /* owned; of synthetic tokens */
	uint64_t seed;          /* of synthetic tokens */
};

static int64_t file_tokens(const struct aur_dataset *dataset, enum aur_split split, int64_t file)
{
	if (dataset->synthetic)
		return aur_synthetic_tokens(split);
	const struct part *part = &dataset->parts[split];
	const struct aur_tokens_info *info = aur_tokens_info(part->files[file]);
	return part->split == AUR_TRAIN ? info->train_tokens : info->val_tokens;
}

static aur_status check_vocabulary(const struct part *part, const struct part *other)
{
	const struct aur_tokens *first = other->n_files > 0 ? other->files[0] : part->files[0];
	const struct aur_tokens *last = part->files[part->n_files - 1];
	if (aur_vocab_hash(aur_tokens_vocab(first)) == aur_vocab_hash(aur_tokens_vocab(last)))
		return AUR_OK;
	return aur_fail(AUR_INPUT, "%s: its vocabulary differs from that of %s (prepare them with one tokenizer)",
		aur_tokens_path(last), aur_tokens_path(first));
}

static aur_status open_files(const char *list, struct part *part, const struct part *other)
{
	struct aur_paths paths = {0};
	aur_status status = AUR_OK;
	AUR_TRY_CLEANUP(aur_paths_expand(list, &paths));
	part->files = calloc((size_t)paths.count + 1, sizeof *part->files);
	if (!part->files) {
		status = aur_fail(AUR_MEMORY, "dataset: no memory for %lld files", (long long)paths.count);
		goto cleanup;
	}
	for (int64_t i = 0; i < paths.count; i++) {
		AUR_TRY_CLEANUP(aur_tokens_open(paths.items[i], &part->files[i]));
		part->n_files++;
		AUR_TRY_CLEANUP(check_vocabulary(part, other));
	}
cleanup:
	aur_paths_clear(&paths);
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
	dataset->parts[AUR_TRAIN].n_files = dataset->parts[AUR_VAL].n_files = 1;
	return aur_synthetic_vocab(train, &dataset->vocab);
}

static aur_status open_parts(const char *train, const char *val, struct part *parts)
{
	parts[AUR_TRAIN].split = AUR_TRAIN;
	parts[AUR_VAL].split = AUR_VAL;
	AUR_TRY(open_files(train, &parts[AUR_TRAIN], &parts[AUR_VAL]));
	return open_files(val[0] ? val : train, &parts[AUR_VAL], &parts[AUR_TRAIN]);
}

aur_status aur_dataset_open(const char *train, const char *val, uint64_t seed, struct aur_dataset **dataset)
{
	*dataset = calloc(1, sizeof **dataset);
	if (!*dataset)
		return aur_fail(AUR_MEMORY, "dataset: no memory");
	(*dataset)->seed = seed;
	const int synthetic = aur_synthetic_is(train) || aur_synthetic_is(val);
	const aur_status status =
		synthetic ? open_synthetic(train, val, *dataset) : open_parts(train, val, (*dataset)->parts);
	if (status != AUR_OK)
		aur_dataset_close(dataset);
	return status;
}

void aur_dataset_close(struct aur_dataset **dataset)
{
	if (!dataset || !*dataset)
		return;
	for (int p = 0; p < 2; p++) {
		struct part *part = &(*dataset)->parts[p];
		for (int64_t i = 0; part->files && i < part->n_files; i++)
			aur_tokens_close(&part->files[i]);
		free(part->files);
	}
	aur_vocab_clear(&(*dataset)->vocab);
	free(*dataset);
	*dataset = NULL;
}

const struct aur_vocab *aur_dataset_vocab(const struct aur_dataset *dataset)
{
	return dataset->synthetic ? &dataset->vocab : aur_tokens_vocab(dataset->parts[AUR_TRAIN].files[0]);
}

int aur_dataset_is_synthetic(const struct aur_dataset *dataset)
{
	return dataset->synthetic;
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
	for (int i = 0; i < 8; i++)
		hash = (hash ^ (value >> (8 * i) & 0xff)) * 0x100000001b3u;
	return hash;
}

uint64_t aur_dataset_hash(const struct aur_dataset *dataset)
{
	uint64_t hash = mix(0xcbf29ce484222325u, aur_vocab_hash(aur_dataset_vocab(dataset)));
	for (int p = 0; p < 2; p++)
		for (int64_t i = 0; i < dataset->parts[p].n_files; i++)
			hash = mix(hash, (uint64_t)file_tokens(dataset, (enum aur_split)p, i));
	if (dataset->synthetic)
		hash = mix(hash, dataset->seed);
	return hash;
}

int64_t aur_dataset_tokens(const struct aur_dataset *dataset, enum aur_split split)
{
	int64_t tokens = 0;
	for (int64_t i = 0; i < dataset->parts[split].n_files; i++)
		tokens += file_tokens(dataset, split, i);
	return tokens;
}

static int64_t whole_windows(int64_t tokens, int64_t positions)
{
	return tokens > positions ? (tokens - 1) / positions : 0;
}

int64_t aur_dataset_windows(const struct aur_dataset *dataset, enum aur_split split, int64_t positions)
{
	int64_t windows = 0;
	for (int64_t i = 0; i < dataset->parts[split].n_files; i++)
		windows += whole_windows(file_tokens(dataset, split, i), positions);
	return windows;
}

aur_status aur_dataset_window(struct aur_dataset *dataset, enum aur_split split, int64_t positions, int64_t index,
	int32_t *tokens, int32_t *targets)
{
	const struct part *part = &dataset->parts[split];
	for (int64_t i = 0; i < part->n_files; i++) {
		const int64_t here = whole_windows(file_tokens(dataset, split, i), positions);
		if (index < here)
			return aur_dataset_read(dataset, split, i, index * positions, positions, tokens, targets);
		index -= here;
	}
	return aur_fail(AUR_SHAPE, "dataset: a window past the end was asked for");
}

int64_t aur_dataset_files(const struct aur_dataset *dataset, enum aur_split split)
{
	return dataset->parts[split].n_files;
}

int64_t aur_dataset_file_tokens(const struct aur_dataset *dataset, enum aur_split split, int64_t file)
{
	return file_tokens(dataset, split, file);
}

static aur_status read_tokens(
	struct aur_dataset *dataset, enum aur_split split, int64_t file, int64_t begin, int64_t count, int32_t *out)
{
	const struct part *part = &dataset->parts[split];
	if (!dataset->synthetic)
		return aur_tokens_read(part->files[file], part->split, begin, count, out);
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
