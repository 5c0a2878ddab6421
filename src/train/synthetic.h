#ifndef AUR_TRAIN_SYNTHETIC_H
#define AUR_TRAIN_SYNTHETIC_H

#include "core/status.h"
#include "core/vocab.h"
#include "io/tokens.h"

#include <stdint.h>

/* Tokens without a file, for measuring: token i of a split is uniform over the vocabulary and a function of
 * (seed, split, i) alone, so any rank computes any of them. Nothing can be learned from them: the loss stays near
 * log(vocabulary). */

enum { AUR_SYNTHETIC_VOCAB = 50257 /* GPT-2's */, AUR_SYNTHETIC_VOCAB_MAX = 1 << 24 };

/* Whether a data key asks for them: "synthetic", or "synthetic:N" for a vocabulary of N. */
int aur_synthetic_is(const char *value);

/* A vocabulary of the kind "synthetic", whose tokens stand for no text. AUR_USAGE names the sizes that work. */
aur_status aur_synthetic_vocab(const char *value, struct aur_vocab *vocab);

/* Tokens of a split: 2^40 to train on, more than any run reads, and 2^16 to validate on. */
int64_t aur_synthetic_tokens(enum aur_split split);

/* Writes tokens [begin, begin + count) of a split. */
void aur_synthetic_read(
	uint64_t seed, int64_t vocab_size, enum aur_split split, int64_t begin, int64_t count, int32_t *out);

#endif
