#include "internal.h"
#include "unicode.h"
#include "words.h"

#include <stdlib.h>
#include <string.h>

static const char unknown_word[] = "<unk>";

static int is_original(const struct aur_vocab *vocab)
{
	return strcmp(vocab->clean, "original") == 0;
}

/* ---- making a vocabulary ---- */

/* Whether a counted word belongs to the vocabulary. The unknown token's own name is in it anyway. */
static int is_kept(const struct aur_word *word, int64_t min_count, int original)
{
	if (original)
		return !aur_word_has_digit(word->text);
	const int is_unknown = word->text.size == sizeof unknown_word - 1 &&
						   memcmp(word->text.bytes, unknown_word, sizeof unknown_word - 1) == 0;
	return !is_unknown && word->count >= min_count;
}

static aur_status keep_words(const struct aur_words *counts, int64_t min_count, struct aur_vocab *vocab)
{
	const int original = is_original(vocab);
	int64_t n = 0;
	size_t bytes = 0;
	for (int64_t i = 0; i < counts->n; i++)
		if (is_kept(&counts->words[i], min_count, original)) {
			n++;
			bytes += counts->words[i].text.size;
		}
	if (n == 0)
		return aur_fail(
			AUR_INPUT, counts->n == 0 ? "the text has no words" : "no word of the text is left for the vocabulary");
	AUR_TRY(aur_vocab_reserve(vocab, n + 1, bytes + sizeof unknown_word));
	vocab->unknown = original ? -1 : 0;
	if (!original)
		aur_vocab_append(vocab, unknown_word, sizeof unknown_word - 1);
	for (int64_t i = 0; i < counts->n; i++)
		if (is_kept(&counts->words[i], min_count, original))
			aur_vocab_append(vocab, counts->words[i].text.bytes, counts->words[i].text.size);
	return AUR_OK;
}

static aur_status word_train_begin(const struct aur_vocab *vocab, void **seen)
{
	(void)vocab;
	*seen = calloc(1, sizeof(struct aur_words));
	return *seen ? AUR_OK : aur_fail(AUR_MEMORY, "no memory for the table of words");
}

static aur_status word_train_add(void *seen, struct aur_text slice)
{
	return aur_words_count(seen, slice);
}

static aur_status word_train_merge(void *seen, const void *other)
{
	return aur_words_merge(seen, other);
}

static aur_status word_train_pack(const void *seen, int64_t *at, struct aur_packed *packed)
{
	return aur_words_pack(seen, at, packed);
}

static aur_status word_train_unpack(void *seen, struct aur_text packed)
{
	return aur_words_unpack(seen, packed);
}

static void word_train_clear(void *seen)
{
	if (seen)
		aur_words_clear(seen);
	free(seen);
}

static aur_status word_train_end(
	void *seen, const struct aur_tokenizer_options *options, struct aur_vocab *vocab, struct aur_word_figures *figures)
{
	struct aur_words *counts = seen;
	aur_words_sort(counts);
	aur_word_figures_make(counts, figures);
	return keep_words(counts, options->min_count, vocab);
}

/* ---- looking up ---- */

static void word_close(void *lookup)
{
	struct aur_words *words = lookup;
	if (words)
		aur_words_clear(words);
	free(words);
}

/* Words are added in the order of their numbers, which so are their indices. */
static aur_status add_word(struct aur_words *words, struct aur_text word, int64_t id)
{
	if (word.size == 0 || aur_utf8_check(word.bytes, word.size) >= 0)
		return aur_fail(AUR_INPUT, "vocabulary: token %lld is no word", (long long)id);
	if (aur_words_find(words, word) >= 0)
		return aur_fail(AUR_INPUT, "vocabulary: token %lld is there twice", (long long)id);
	return aur_words_add(words, word);
}

static aur_status word_open(const struct aur_vocab *vocab, void **lookup)
{
	aur_status status = AUR_OK;
	struct aur_words *words = calloc(1, sizeof *words);
	if (!words)
		return aur_fail(AUR_MEMORY, "no memory for the table of words");
	for (int64_t id = 0; id < vocab->size; id++)
		AUR_TRY_CLEANUP(add_word(words, aur_vocab_token(vocab, id), id));
	*lookup = words;
	return AUR_OK;
cleanup:
	word_close(words);
	return status;
}

typedef int next_piece(const char **at, const char *end, struct aur_text *piece);

static next_piece *splitter(const struct aur_vocab *vocab)
{
	return is_original(vocab) ? aur_words_next_spaced : aur_words_next;
}

/* Without an unknown token pieces are dropped, and only those in the vocabulary count. */
static int64_t word_count(const struct aur_vocab *vocab, const void *lookup, struct aur_text slice)
{
	next_piece *next = splitter(vocab);
	const char *at = slice.bytes, *end = at + slice.size;
	struct aur_text piece;
	int64_t count = 0;
	while (next(&at, end, &piece))
		count += vocab->unknown >= 0 || aur_words_find(lookup, piece) >= 0;
	return count;
}

static void word_encode(
	const struct aur_vocab *vocab, const void *lookup, const char **at, const char *end, struct aur_output *output)
{
	next_piece *next = splitter(vocab);
	while (output->count < output->room) {
		struct aur_text piece;
		if (!next(at, end, &piece)) {
			*at = end;
			return;
		}
		const int64_t id = aur_words_find(lookup, piece);
		if (id >= 0)
			aur_output_put(output, id);
		else
			aur_output_unknown(output, vocab, piece);
	}
}

const struct aur_tokenizer_ops aur_tokenizer_word = {
	.kind = "word",
	.separator = " ",
	.train_begin = word_train_begin,
	.train_add = word_train_add,
	.train_merge = word_train_merge,
	.train_pack = word_train_pack,
	.train_unpack = word_train_unpack,
	.train_clear = word_train_clear,
	.train_end = word_train_end,
	.open = word_open,
	.close = word_close,
	.count = word_count,
	.encode = word_encode,
};
