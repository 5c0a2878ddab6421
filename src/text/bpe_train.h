#ifndef AUR_TEXT_BPE_TRAIN_H
#define AUR_TEXT_BPE_TRAIN_H

#include "text/tokenizer.h"
#include "words.h"

/* Training of a byte-level BPE vocabulary: the texts are split into pieces, each piece into its bytes, and the most
 * frequent pair of neighbouring symbols within pieces becomes a token of its own, again and again. Among pairs of equal
 * count the one of the smallest left id is next, then of the smallest right id. Special tokens are not looked for in
 * texts.
 *
 * Sennrich, Haddow, Birch 2016, arXiv:1508.07909; over bytes: Radford et al. 2019 (GPT-2). */

enum { AUR_BPE_BYTES = 256, AUR_BPE_SPECIALS = 64 };

/* AUR_USAGE when options of the kind "bpe" do not fit each other: a vocabulary that cannot hold the bytes and special
 * tokens; a special token of one byte, not UTF-8, or given twice. */
aur_status aur_bpe_options_check(const struct aur_tokenizer_options *options);

/* What training has seen: the distinct pieces with their counts (struct aur_tokenizer_ops). Memory: about 50 bytes and
 * its length for each distinct piece, of which natural text has some million in 10 GB. */
aur_status aur_bpe_train_begin(const struct aur_vocab *vocab, void **seen);
aur_status aur_bpe_train_add(void *seen, struct aur_text slice);
aur_status aur_bpe_train_merge(void *seen, const void *other);
aur_status aur_bpe_train_pack(const void *seen, int64_t *at, struct aur_packed *packed);
aur_status aur_bpe_train_unpack(void *seen, struct aur_text packed);
void aur_bpe_train_clear(void *seen);
aur_status aur_bpe_train_end(
	void *seen, const struct aur_tokenizer_options *options, struct aur_vocab *vocab, struct aur_word_figures *figures);

/* Merges pieces of these counts, which are freed on the way, and fills the tokens of the vocabulary. It has fewer than
 * asked for when no pair is left. Memory: four times the length of each distinct piece, and about 60 bytes a distinct
 * pair. AUR_INPUT when there is no piece, AUR_MEMORY. */
aur_status aur_bpe_train(
	const struct aur_tokenizer_options *options, struct aur_words *counts, struct aur_vocab *vocab);

#endif
