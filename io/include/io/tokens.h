#ifndef AUR_IO_TOKENS_H
#define AUR_IO_TOKENS_H

#include "core/status.h"
#include "core/vocab.h"

#include <stddef.h>
#include <stdint.h>

/* Token datasets: one HDF5 file, laid out as docs/formats.md says. */

enum aur_split { AUR_TRAIN, AUR_VAL };

/* Compressed tokens are inflated a chunk of so many bytes at a time, and a reader keeps so many neighbouring chunks: a
 * batch order that stays within a group of them inflates each once. */
enum { AUR_TOKENS_CHUNK_BYTES = 128 << 10, AUR_TOKENS_KEPT_CHUNKS = 64 };

/* What a file says of itself. */
struct aur_tokens_info {
	int64_t version;
	int64_t train_tokens, val_tokens;
	int token_bytes; /* 2 or 4 */
	int compressed;
	char created[32];
	char program[64]; /* the program version that wrote it */
	char *sources;    /* owned: names of the source files, one a line */
};

/* ---- writing ---- */

struct aur_tokens_create {
	const char *path;
	const struct aur_vocab *vocab;
	const char *sources; /* one a line */
	int compress;
	const int32_t *ids; /* all tokens; the training part first. NULL: they come from `next` */
	/* Writes the next `count` tokens to `tokens`, as uint16_t or uint32_t (token_bytes 2 or 4). Called in order until
	 * all are there. A failure ends the writing and is what aur_tokens_write returns. */
	aur_status (*next)(void *context, int token_bytes, int64_t count, void *tokens);
	void *context; /* handed to `next` */
	int64_t train_tokens, val_tokens;
	const int64_t *documents; /* start offsets of documents among all tokens, ascending; NULL: none stored */
	int64_t n_documents;
	/* Instead of `documents`: writes the next `count` starts of a part, counted from the part's first token. Called in
	 * order, for the training part after all its tokens, then for the validation part after its own. */
	aur_status (*next_documents)(void *context, int64_t count, uint64_t *starts);
	int64_t part_documents[2]; /* how many of them each part has */
};

/* Writes the whole dataset: to `path`.partial, then fsync, verification, rename, folder fsync. uint16 where the
 * vocabulary fits, else uint32. On failure the partial file is removed and an old `path` is untouched. AUR_IO. */
aur_status aur_tokens_write(const struct aur_tokens_create *create);

/* ---- reading ---- */

struct aur_tokens;

/* Opens and checks format, version, layout, types and sizes against the file's length (hard links only, no external or
 * virtual storage, known filters). Contiguous tokens are mapped. AUR_INPUT with the dataset's name and what is wrong.
 */
aur_status aur_tokens_open(const char *path, struct aur_tokens **tokens);
void aur_tokens_close(struct aur_tokens **tokens);

const struct aur_tokens_info *aur_tokens_info(const struct aur_tokens *tokens);
const struct aur_vocab *aur_tokens_vocab(const struct aur_tokens *tokens);
const char *aur_tokens_path(const struct aur_tokens *tokens);

/* Copies tokens [begin, begin + count) of a split to `out`. Each MiB is verified against its checksum when first
 * touched, and every token checked to be below the vocabulary's size. Never allocates after the first call on
 * uncompressed files. Thread-safe for distinct `tokens`. AUR_INPUT: damaged. AUR_SHAPE: out of range. */
aur_status aur_tokens_read(struct aur_tokens *tokens, enum aur_split split, int64_t begin, int64_t count, int32_t *out);

/* Verifies everything now. */
aur_status aur_tokens_verify(struct aur_tokens *tokens);

#endif
