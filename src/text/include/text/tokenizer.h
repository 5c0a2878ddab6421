#ifndef AUR_TEXT_TOKENIZER_H
#define AUR_TEXT_TOKENIZER_H

#include "core/status.h"
#include "core/vocab.h"

#include <stddef.h>
#include <stdint.h>

/* Text to token numbers and back, behind one interface: char (Unicode code points), word (white space), bpe (subwords,
 * byte-level BPE). Special tokens of subwords stand in no text: a text that spells one is split like any other. */

struct aur_tokenizer;

/* A stretch of text, borrowed; not terminated. */
struct aur_text {
	const char *bytes;
	size_t size;
};

/* Token numbers of a text. */
struct aur_ids {
	int32_t *ids; /* owned; aur_ids_clear */
	int64_t count;
	int64_t unknown;        /* how many pieces were not in the vocabulary */
	char first_unknown[64]; /* the first of them, for a message; UTF-8 */
};

void aur_ids_clear(struct aur_ids *ids);

/* Builds a tokenizer from its description; copies what it needs. Fails with AUR_INPUT (unknown kind, damaged),
 * AUR_MEMORY. */
aur_status aur_tokenizer_create(const struct aur_vocab *vocab, struct aur_tokenizer **tokenizer);
void aur_tokenizer_destroy(struct aur_tokenizer **tokenizer);

/* The description, borrowed. */
const struct aur_vocab *aur_tokenizer_vocab(const struct aur_tokenizer *tokenizer);

/* Cleans `text` as the corpus was cleaned, splits it and looks the pieces up. A piece that is not in the vocabulary
 * becomes the unknown token, or is dropped where there is none; either way it is counted. Fails with AUR_INPUT and the
 * byte's position when the text is not UTF-8, but for subwords, which take any bytes. `ids` must be zeroed; the caller
 * clears it. */
aur_status aur_tokenizer_encode(
	const struct aur_tokenizer *tokenizer, const char *text, size_t bytes, struct aur_ids *ids);

/* The text of `count` tokens as a new string, terminated, with what belongs between tokens (a space between words).
 * Fails with AUR_INPUT when a number is not in the vocabulary. The caller frees *text. */
aur_status aur_tokenizer_decode(const struct aur_tokenizer *tokenizer, const int32_t *ids, int64_t count, char **text);

/* The bytes to print for token `id` when it follows others (`first` = 0) or begins a text (1): a space before a word.
 * Borrowed from the tokenizer; *bytes is its length. NULL when id is out of range. For streaming. */
const char *aur_tokenizer_piece(const struct aur_tokenizer *tokenizer, int32_t id, int first, size_t *bytes);

/* What there is to say of the words of a text. */
struct aur_word_figures {
	int64_t distinct;         /* white-space separated words, before any is removed */
	int64_t short_words;      /* of under AUR_SHORT_WORD characters: they may mislead a model */
	int64_t digit_words;      /* that hold a digit: the original cleaning removes them */
	char short_examples[256]; /* the most frequent short ones, readable, separated by spaces */
};

enum { AUR_SHORT_WORD = 4 };

/* The figures of the texts that a tokenizer of words was trained on; all 0 for others and for one that was created from
 * a description. Borrowed. */
const struct aur_word_figures *aur_tokenizer_figures(const struct aur_tokenizer *tokenizer);

/* Gives a tokenizer that was created from a description the figures that were stored beside it. */
void aur_tokenizer_set_figures(struct aur_tokenizer *tokenizer, const struct aur_word_figures *figures);

/* What a new vocabulary is made with. */
struct aur_tokenizer_options {
	const char *kind;  /* "char", "word" or "bpe" */
	const char *clean; /* "none", "basic", "original" */
	int lowercase;
	int64_t min_count; /* words seen less often become unknown, pairs of subwords are not merged; 0 and 1 keep all */

	/* Of subwords ("bpe") alone. */
	int64_t vocab_size;   /* at most so many tokens, the 256 bytes and special ones included */
	const char *specials; /* names of special tokens, separated by commas; NULL: none */
	const char *pattern;  /* what splits the text: "gpt2" (NULL too), "gpt4" or a regular expression */
	/* Asked before every merge: 1 ends the training with AUR_STOPPED. NULL: never. */
	int (*wants_to_stop)(void);
};

/* Builds the vocabulary of a text: characters in order of code point, words sorted by bytes; with an unknown token
 * first (id 0, shown as U+FFFD for characters and <unk> for words) unless clean is "original". Subwords: the special
 * tokens, the 256 bytes in GPT-2's order (33 to 126, 161 to 172, 174 to 255, then the others), then what is merged, in
 * order; ids and merges are those of Hugging Face's BpeTrainer (tokenizers 0.23) with the same pattern, vocab_size,
 * min_frequency and special_tokens, and initial_alphabet = ByteLevel.alphabet(). The rules of "original"
 * are in docs/formats.md. Fails with AUR_USAGE for options that do not fit each other, AUR_INPUT for bad text or an
 * empty result. */
aur_status aur_tokenizer_train(
	const struct aur_tokenizer_options *options, const char *text, size_t bytes, struct aur_tokenizer **tokenizer);

/* The same over several texts (documents), each cleaned by itself: words do not run from one into the next. */
aur_status aur_tokenizer_train_texts(const struct aur_tokenizer_options *options, const struct aur_text *texts,
	int64_t n_texts, struct aur_tokenizer **tokenizer);

/* A vocabulary in the making, from texts that come in pieces: memory does not grow with the texts. */
struct aur_vocab_trainer;

/* Borrows the options' strings only while it is called. AUR_USAGE, AUR_MEMORY. */
aur_status aur_vocab_trainer_create(const struct aur_tokenizer_options *options, struct aur_vocab_trainer **trainer);
void aur_vocab_trainer_destroy(struct aur_vocab_trainer **trainer);

/* Takes in a piece, which must be UTF-8 (aur_utf8_check) unless it is for subwords, and is not kept. `continued`: 1
 * when the piece goes on where the text was cut at a place of aur_text_place; the pieces may come in any order.
 * AUR_MEMORY. */
aur_status aur_vocab_trainer_add(struct aur_vocab_trainer *trainer, struct aur_text piece, int continued);

/* Takes in all that `other`, of the same options, has seen. Several trainers may so share the work; the vocabulary does
 * not depend on how. AUR_MEMORY. */
aur_status aur_vocab_trainer_merge(struct aur_vocab_trainer *trainer, const struct aur_vocab_trainer *other);

/* The same between processes of one machine's kind: packs a part of what has been seen from *at on, first 0, and moves
 * *at; a part of no bytes is the end. It is the trainer's until the next call. AUR_MEMORY. */
aur_status aur_vocab_trainer_pack(struct aur_vocab_trainer *trainer, int64_t *at, struct aur_text *part);

/* Takes in such a part of a trainer of the same options. AUR_MEMORY, AUR_INTERNAL when it is none. */
aur_status aur_vocab_trainer_unpack(struct aur_vocab_trainer *trainer, struct aur_text part);

/* The tokenizer of what has been seen. Nothing more may be added. AUR_INPUT for an empty result. */
aur_status aur_vocab_trainer_finish(struct aur_vocab_trainer *trainer, struct aur_tokenizer **tokenizer);

/* What the vocabulary will say of its options: kind, clean, lowercase; for aur_text_place. Borrowed. */
const struct aur_vocab *aur_vocab_trainer_vocab(const struct aur_vocab_trainer *trainer);

/* The first place from `from` (at least 1) on where a tokenizer with this vocabulary may have a text cut in two pieces
 * without a difference to its tokens. 0 where there is none before the end. Looks at no more than AUR_PLACE_EDGE bytes
 * on either side of a place. */
size_t aur_text_place(const struct aur_vocab *vocab, struct aur_text text, size_t from);

enum { AUR_PLACE_EDGE = 256 };

/* AUR_USAGE when the options do not fit each other or name what is not known; for checking before files are opened. */
aur_status aur_tokenizer_options_check(const struct aur_tokenizer_options *options);

/* How much of the text is whole: without a last code point of which bytes are still to come. For streaming, since a
 * token may be a part of a character. */
size_t aur_utf8_whole(const char *text, size_t bytes);

/* Position of the first byte that is not UTF-8, or -1. */
int64_t aur_utf8_check(const char *text, size_t bytes);

#endif
