#ifndef AUR_TRAIN_DATASET_H
#define AUR_TRAIN_DATASET_H

#include "core/status.h"
#include "core/vocab.h"
#include "io/tokens.h"

#include <stdint.h>

/* Token files as windows of T + 1 tokens: T inputs and, one place further, T targets. A window never crosses a file. A
 * dataset is read by one thread at a time. */

struct aur_dataset;

/* Opens lists of files and globs ("a.h5,b/x-?.h5", with weights in a mixture: config/sources.h). `val` empty: the
 * validation part of the training files; otherwise all validation tokens of the files named there. All files must share
 * one vocabulary. Every file is checked but for its tokens, and closed again: few are open at a time, and what is kept
 * in memory of a file is a few hundred bytes, and nine a MiB. AUR_INPUT.
 * "synthetic" and "synthetic:N" open no file: their tokens are computed from `seed`, uniform over 50257 or N of them;
 * `val` is then empty or the same. AUR_USAGE. */
aur_status aur_dataset_open(const char *train, const char *val, uint64_t seed, struct aur_dataset **dataset);
void aur_dataset_close(struct aur_dataset **dataset);

/* Whether its tokens are computed and stand for no text; its training part has then practically no end. */
int aur_dataset_is_synthetic(const struct aur_dataset *dataset);

/* Borrowed. */
const struct aur_vocab *aur_dataset_vocab(const struct aur_dataset *dataset);

/* What a resume must find again: the vocabulary, the number and the fingerprint (aur_tokens_content) of the tokens of
 * every file, and the weights. */
uint64_t aur_dataset_hash(const struct aur_dataset *dataset);

/* What stood in its place before: of the vocabulary and the numbers alone. */
uint64_t aur_dataset_size_hash(const struct aur_dataset *dataset);

/* Where the training samples come from: the entries of a mixture, or one for all files. */
struct aur_dataset_source {
	const char *name; /* borrowed: the file or glob of a mixture, else empty */
	int64_t first_file, files;
	int64_t weight;
	int64_t chunk_tokens; /* of a chunk where files are compressed; 0: none is */
};
int aur_dataset_is_mixture(const struct aur_dataset *dataset);
int64_t aur_dataset_sources(const struct aur_dataset *dataset);
struct aur_dataset_source aur_dataset_source(const struct aur_dataset *dataset, int64_t index);

int64_t aur_dataset_tokens(const struct aur_dataset *dataset, enum aur_split split);

/* What reading it keeps at most of inflated chunks, in bytes: of the training part alone, or of both parts. 0 where no
 * file is compressed. */
int64_t aur_dataset_kept_bytes(const struct aur_dataset *dataset, int both);

/* Whole windows of `positions` tokens that do not overlap, from the start of each file. */
int64_t aur_dataset_windows(const struct aur_dataset *dataset, enum aur_split split, int64_t positions);

/* Copies fixed window `index`: tokens [positions], targets [positions]. AUR_INPUT: damaged file. */
aur_status aur_dataset_window(struct aur_dataset *dataset, enum aur_split split, int64_t positions, int64_t index,
	int32_t *tokens, int32_t *targets);

/* Files of a split and their tokens, for the order of batches. */
int64_t aur_dataset_files(const struct aur_dataset *dataset, enum aur_split split);
int64_t aur_dataset_file_tokens(const struct aur_dataset *dataset, enum aur_split split, int64_t file);

/* Copies the window that begins at token `begin` of a file. */
aur_status aur_dataset_read(struct aur_dataset *dataset, enum aur_split split, int64_t file, int64_t begin,
	int64_t positions, int32_t *tokens, int32_t *targets);

/* Of the files [first, first + files), that with entry `index` of all files, where sums[f] entries lie before file f
 * and sums[first] <= index < sums[first + files]. */
int64_t aur_dataset_file_of(const int64_t *sums, int64_t first, int64_t files, int64_t index);

#endif
