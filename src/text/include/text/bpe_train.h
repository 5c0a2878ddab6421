#ifndef AUR_TEXT_BPE_TRAIN_H
#define AUR_TEXT_BPE_TRAIN_H

#include "core/status.h"
#include "core/vocab.h"
#include "text/tokenizer.h"

#include <stdint.h>

/* Training of a byte-level BPE vocabulary: the texts are split into pieces, each piece into its bytes, and the most
 * frequent pair of neighbouring symbols within pieces becomes a token of its own, again and again.
 *
 * Ids: the special tokens, the 256 bytes in GPT-2's order (33 to 126, 161 to 172, 174 to 255, then the others), the
 * merges in order. Merges and ids equal those of Hugging Face's BpeTrainer (tokenizers 0.23) with the same pattern,
 * vocab_size, min_frequency, special_tokens and initial_alphabet = ByteLevel.alphabet(). Among pairs of equal count
 * the one of the smallest left id is next, then of the smallest right id. Special tokens are not looked for in texts.
 *
 * Sennrich, Haddow, Birch 2016, arXiv:1508.07909; over bytes: Radford et al. 2019 (GPT-2).
 */

/* Where the texts come from. */
struct aur_bpe_source {
	/* Gives thread `thread` its next stretch, which stays as it is until the same thread asks again; one of no bytes
	 * ends the texts. Stretches are split one by one: they must end where a piece ends in any case, as at the end of a
	 * document. Never called by two threads at once. A failure ends the training and is what it returns. */
	aur_status (*next)(void *context, int thread, struct aur_text *stretch);
	void *context;
};

enum aur_bpe_phase { AUR_BPE_COUNTING, AUR_BPE_MERGING };

struct aur_bpe_settings {
	const char *pattern;         /* "gpt2", "gpt4" or a regular expression */
	int64_t vocab_size;          /* at most; special tokens and bytes included */
	int64_t min_count;           /* pairs seen less often are not merged; 0 and 1: all that occur */
	const char *const *specials; /* [n_specials] */
	int64_t n_specials;
	int threads; /* that count pieces; 0: as many as loops of the calling thread get. The result is the same for any. */
	/* Told now and then: bytes counted (`of` is 0), or merges done of those wanted. NULL: nobody. */
	void (*progress)(void *context, enum aur_bpe_phase phase, int64_t done, int64_t of);
	void *progress_context;
};

enum { AUR_BPE_BYTES = 256 };

/* AUR_USAGE when a vocabulary of that size cannot hold bytes and special tokens, or is larger than 2^31 - 1, when a
 * special token is empty, one byte long, not UTF-8 or given twice. For checking before files are opened. */
aur_status aur_bpe_settings_check(const struct aur_bpe_settings *settings);

/* Makes the vocabulary (kind "bpe", clean "none", no unknown token), which must be zeroed; the caller clears it. It has
 * fewer tokens than asked for when no pair is left.
 * Memory: the distinct pieces, about 40 bytes and their length each and four times their length while they are merged,
 * and what the threads count at the same time; not the texts. Natural text has some million distinct pieces in 10 GB.
 * AUR_USAGE as above, AUR_INPUT for texts without a byte or a pattern that is none, AUR_MEMORY. */
aur_status aur_bpe_train(
	const struct aur_bpe_settings *settings, const struct aur_bpe_source *source, struct aur_vocab *vocab);

#endif
