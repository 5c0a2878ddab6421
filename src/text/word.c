#include "internal.h"
#include "unicode.h"
#include "words.h"

#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

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

static aur_status keep_words(const struct aur_word_counts *counts, int64_t min_count, struct aur_vocab *vocab)
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

static aur_status word_train(const struct aur_text *texts, int64_t n, int64_t min_count, struct aur_vocab *vocab)
{
	struct aur_word_counts counts;
	AUR_TRY(aur_words_count(texts, n, &counts));
	const aur_status status = keep_words(&counts, min_count, vocab);
	aur_words_clear(&counts);
	return status;
}

/* ---- looking up ---- */

struct word_entry {
	int32_t id;
	UT_hash_handle hh;
};

struct word_lookup {
	struct word_entry *table;
	struct word_entry *entries; /* [vocabulary]; keys are borrowed from the vocabulary */
};

static void word_close(void *lookup)
{
	struct word_lookup *words = lookup;
	if (!words)
		return;
	HASH_CLEAR(hh, words->table);
	free(words->entries);
	free(words);
}

static int32_t find_word(const struct word_lookup *words, struct aur_text word)
{
	const struct word_entry *entry;
	HASH_FIND(hh, words->table, word.bytes, word.size, entry);
	return entry ? entry->id : -1;
}

static aur_status add_word(struct word_lookup *words, struct aur_text word, int64_t id)
{
	if (word.size == 0 || aur_utf8_check(word.bytes, word.size) >= 0)
		return aur_fail(AUR_INPUT, "vocabulary: token %lld is no word", (long long)id);
	if (find_word(words, word) >= 0)
		return aur_fail(AUR_INPUT, "vocabulary: token %lld is there twice", (long long)id);
	struct word_entry *entry = &words->entries[id];
	entry->id = (int32_t)id;
	HASH_ADD_KEYPTR(hh, words->table, word.bytes, word.size, entry);
	return entry->hh.tbl ? AUR_OK : aur_fail(AUR_MEMORY, "no memory for the table of words");
}

static aur_status word_open(const struct aur_vocab *vocab, void **lookup)
{
	aur_status status = AUR_OK;
	struct word_lookup *words = calloc(1, sizeof *words);
	if (!words)
		return aur_fail(AUR_MEMORY, "no memory for the table of words");
	words->entries = calloc((size_t)vocab->size, sizeof *words->entries);
	if (!words->entries) {
		status = aur_fail(AUR_MEMORY, "no memory for the table of words");
		goto cleanup;
	}
	for (int64_t id = 0; id < vocab->size; id++)
		AUR_TRY_CLEANUP(add_word(words, aur_vocab_token(vocab, id), id));
	*lookup = words;
	return AUR_OK;
cleanup:
	word_close(words);
	return status;
}

static aur_status word_encode(
	const struct aur_vocab *vocab, const void *lookup, struct aur_text text, struct aur_ids *ids)
{
	int (*next)(const char **, const char *, struct aur_text *) =
		is_original(vocab) ? aur_words_next_spaced : aur_words_next;
	/* Every piece but the last is followed by a byte of white space. */
	AUR_TRY(aur_ids_reserve(ids, (int64_t)(text.size / 2 + 1)));
	const char *at = text.bytes, *end = at + text.size;
	struct aur_text piece;
	while (next(&at, end, &piece)) {
		const int32_t id = find_word(lookup, piece);
		if (id >= 0)
			ids->ids[ids->count++] = id;
		else
			aur_ids_add_unknown(ids, vocab, piece);
	}
	return AUR_OK;
}

const struct aur_tokenizer_ops aur_tokenizer_word = {
	.kind = "word",
	.separator = " ",
	.train = word_train,
	.open = word_open,
	.close = word_close,
	.encode = word_encode,
};
