#ifndef AUR_CORE_VOCAB_H
#define AUR_CORE_VOCAB_H

#include "core/status.h"

#include <stddef.h>
#include <stdint.h>

/* Bytes of the longest regular expression that splits a text, its end included. */
enum { AUR_VOCAB_PATTERN = 2048 };

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

	/* Of byte-level BPE alone; 0 and empty otherwise. */
	char pattern[AUR_VOCAB_PATTERN]; /* what splits the text: "gpt2", "gpt4", a regular expression */
	int ignore_merges;               /* 1: a piece that is a token is that token, whatever the merges say */
	int64_t n_added;                 /* tokens beside the merges */
	int64_t *added; /* owned [2 * n_added]: id; 1: special, which stands in no text, 0: found in texts */
};

/* The id of the special token that ends a text, by its usual names ("<|endoftext|>" first); -1: there is none. */
int64_t aur_vocab_end_of_text(const struct aur_vocab *vocab);

/* Copies what is behind the pointers. `copy` must be zeroed or destroyed. Fails with AUR_MEMORY. */
aur_status aur_vocab_copy(const struct aur_vocab *vocab, struct aur_vocab *copy);

/* Frees what it owns and zeroes it; accepts NULL. */
void aur_vocab_clear(struct aur_vocab *vocab);

/* 64-bit FNV-1a over everything above, what is of byte-level BPE alone only for it: datasets and checkpoints are
 * compared by it. */
uint64_t aur_vocab_hash(const struct aur_vocab *vocab);

/* Checks that offsets ascend within `bytes` of `total` bytes and that unknown, merges and added tokens lie in range.
 * AUR_INPUT. */
aur_status aur_vocab_check(const struct aur_vocab *vocab, size_t total);

#endif
