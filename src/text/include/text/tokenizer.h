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

/* What a new vocabulary is made with. */
struct aur_tokenizer_options {
	const char *kind;  /* "char" or "word" */
	const char *clean; /* "none", "basic", "original" */
	int lowercase;
	int64_t min_count; /* words seen less often become unknown; 0 and 1 keep all */
};

/* Builds the vocabulary of a text: characters in order of code point, words sorted by bytes; with an unknown token
 * first (id 0, shown as U+FFFD for characters and <unk> for words) unless clean is "original". The rules of "original"
 * are in docs/formats.md. Fails with AUR_USAGE for options that do not fit each other, AUR_INPUT for bad text or an
 * empty result. */
aur_status aur_tokenizer_train(
	const struct aur_tokenizer_options *options, const char *text, size_t bytes, struct aur_tokenizer **tokenizer);

/* The same over several texts (documents), each cleaned by itself: words do not run from one into the next. */
aur_status aur_tokenizer_train_texts(const struct aur_tokenizer_options *options, const struct aur_text *texts,
	int64_t n_texts, struct aur_tokenizer **tokenizer);

/* AUR_USAGE when the options do not fit each other or name what is not known; for checking before files are opened. */
aur_status aur_tokenizer_options_check(const struct aur_tokenizer_options *options);

/* How much of the text is whole: without a last code point of which bytes are still to come. For streaming, since a
 * token may be a part of a character. */
size_t aur_utf8_whole(const char *text, size_t bytes);

/* Position of the first byte that is not UTF-8, or -1. */
int64_t aur_utf8_check(const char *text, size_t bytes);

#endif
