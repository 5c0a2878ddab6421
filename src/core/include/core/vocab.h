#ifndef AUR_CORE_VOCAB_H
#define AUR_CORE_VOCAB_H

#include "core/status.h"

#include <stddef.h>
#include <stdint.h>

/* A tokenizer as data: what a dataset, a checkpoint and an exported model store, and what text/ builds a tokenizer
 * from. Knows nothing of files or of splitting. */
struct aur_vocab {
	char kind[16];    /* "char", "word", "bpe"; "synthetic": numbers without a text */
	char clean[16];   /* "none", "basic", "original": applied to prompts as it was to the corpus */
	int lowercase;    /* 1: text is lower-cased before it is split */
	int64_t unknown;  /* id of the token for text met later; -1: none, such text is dropped */
	int64_t size;     /* tokens */
	char *bytes;      /* owned: the tokens' bytes one after another, UTF-8, not terminated */
	int64_t *offsets; /* owned [size + 1]: token i is bytes[offsets[i] .. offsets[i+1]) */
	int64_t n_merges; /* byte-level BPE: pairs of ids in order of rank; 0 otherwise */
	int64_t *merges;  /* owned [2 * n_merges] */
};

/* Copies what is behind the pointers. `copy` must be zeroed or destroyed. Fails with AUR_MEMORY. */
aur_status aur_vocab_copy(const struct aur_vocab *vocab, struct aur_vocab *copy);

/* Frees what it owns and zeroes it; accepts NULL. */
void aur_vocab_clear(struct aur_vocab *vocab);

/* 64-bit FNV-1a over everything above: datasets and checkpoints are compared by it. */
uint64_t aur_vocab_hash(const struct aur_vocab *vocab);

/* Checks that offsets ascend within `bytes` of `total` bytes and that unknown and merges lie in range. AUR_INPUT. */
aur_status aur_vocab_check(const struct aur_vocab *vocab, size_t total);

#endif
