#ifndef AUR_IO_TOKENS_H
#define AUR_IO_TOKENS_H

#include "core/status.h"
#include "core/vocab.h"
#include "io/file.h"

#include <stddef.h>
#include <stdint.h>

/* Token datasets: one HDF5 file, laid out as docs/formats.md says. */

enum aur_split { AUR_TRAIN, AUR_VAL };

/* Compressed tokens are inflated a chunk of so many bytes at a time, and a reader keeps so many of them: a batch order
 * that stays within a group of chunks inflates each once. There is room for two groups, of 64 chunks and those that the
 * ends of runs share, so that one can be inflated while windows of the other are still asked for. */
enum { AUR_TOKENS_CHUNK_BYTES = 128 << 10, AUR_TOKENS_KEPT_CHUNKS = 144 };

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

/* What reading takes memory for, shared by the files that were opened with it: inflated chunks of compressed tokens, of
 * which the one not used for longest makes room for another. Takes memory as chunks come, AUR_TOKENS_CHUNK_BYTES each,
 * at most `chunks` of them. AUR_MEMORY. */
struct aur_token_cache;
aur_status aur_token_cache_create(int64_t chunks, struct aur_token_cache **cache);
void aur_token_cache_destroy(struct aur_token_cache **cache);

/* Opens and checks format, version, layout, types and sizes against the file's length (hard links only, no external or
 * virtual storage, known filters). The tokens themselves are not read. AUR_INPUT with the dataset's name and what is
 * wrong. */
aur_status aur_tokens_open(const char *path, struct aur_tokens **tokens);

/* The same of one file of many. `first`: one opened before, whose vocabulary this one must share; it is compared by its
 * hash and borrowed (NULL: this is the first). `cache`: borrowed; NULL: it takes one of AUR_TOKENS_KEPT_CHUNKS of its
 * own. info.sources stays NULL where `first` is given. AUR_INPUT too for another vocabulary. */
aur_status aur_tokens_open_shard(
	const char *path, const struct aur_tokens *first, struct aur_token_cache *cache, struct aur_tokens **tokens);
void aur_tokens_close(struct aur_tokens **tokens);

/* Of files that a glob matched, sorted: fails where shards name-00003-of-00016.h5 that the glob would match are missing
 * beside others of their corpus, or lie beside shards of the same name cut into another number. AUR_INPUT names the
 * first. */
aur_status aur_tokens_check_shards(const char *pattern, const struct aur_paths *paths);

/* Gives back the descriptor and what HDF5 holds of the file. What remains is a few hundred bytes and nine for each MiB
 * of contiguous tokens; the next read opens it again. */
void aur_tokens_park(struct aur_tokens *tokens);
int aur_tokens_is_parked(const struct aur_tokens *tokens);

/* What was found at the opening: these may be asked for while another thread reads. */
const struct aur_tokens_info *aur_tokens_info(const struct aur_tokens *tokens);
const struct aur_vocab *aur_tokens_vocab(const struct aur_tokens *tokens);
const char *aur_tokens_path(const struct aur_tokens *tokens);

/* Tokens in a chunk of a split; 0 where they are contiguous. */
int64_t aur_tokens_chunk(const struct aur_tokens *tokens, enum aur_split split);

/* A fingerprint of the tokens that costs no look at them: of the stored checksums where tokens are contiguous, of the
 * bytes they take where they are compressed. */
uint64_t aur_tokens_content(const struct aur_tokens *tokens);

/* Copies tokens [begin, begin + count) of a split to `out`. Each MiB is verified against its checksum when first
 * touched, each chunk whenever it is inflated, and every token checked to be below the vocabulary's size. A parked file
 * is opened again; one that was changed meanwhile is verified anew, and refused when it has another size. Never
 * allocates on uncompressed files. Thread-safe for distinct `tokens` with distinct caches. AUR_INPUT: damaged, cut or
 * gone. AUR_SHAPE: out of range. AUR_IO. */
aur_status aur_tokens_read(struct aur_tokens *tokens, enum aur_split split, int64_t begin, int64_t count, int32_t *out);

/* Verifies everything now. */
aur_status aur_tokens_verify(struct aur_tokens *tokens);

#endif
