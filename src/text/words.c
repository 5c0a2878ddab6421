#include "words.h"

#include "unicode.h"

#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

int aur_words_next(const char **at, const char *end, struct aur_text *word)
{
	const char *next = *at;
	const char *begin = next;
	while (next < end && aur_unicode_is_space(aur_utf8_next(&next)))
		begin = next;
	if (begin == end)
		return 0;
	const char *stop = next;
	while (next < end && !aur_unicode_is_space(aur_utf8_next(&next)))
		stop = next;
	*word = (struct aur_text){begin, (size_t)(stop - begin)};
	*at = next;
	return 1;
}

int aur_words_next_spaced(const char **at, const char *end, struct aur_text *piece)
{
	const char *begin = *at;
	while (begin < end && *begin == ' ')
		begin++;
	if (begin == end)
		return 0;
	const char *stop = memchr(begin, ' ', (size_t)(end - begin));
	if (!stop)
		stop = end;
	*piece = (struct aur_text){begin, (size_t)(stop - begin)};
	*at = stop;
	return 1;
}

int aur_word_has_digit(struct aur_text word)
{
	const char *at = word.bytes, *end = at + word.size;
	while (at < end)
		if (aur_unicode_is_digit(aur_utf8_next(&at)))
			return 1;
	return 0;
}

/* ---- counting ---- */

struct entry {
	struct aur_word word;
	UT_hash_handle hh;
};

static void free_table(struct entry *table)
{
	struct entry *entry, *next;
	HASH_ITER(hh, table, entry, next)
	{
		HASH_DEL(table, entry);
		free(entry);
	}
}

static aur_status count_word(struct entry **table, struct aur_text word)
{
	struct entry *entry;
	HASH_FIND(hh, *table, word.bytes, word.size, entry);
	if (entry) {
		entry->word.count++;
		return AUR_OK;
	}
	entry = calloc(1, sizeof *entry);
	if (!entry)
		return aur_fail(AUR_MEMORY, "no memory for the words of the text");
	entry->word = (struct aur_word){word, 1};
	HASH_ADD_KEYPTR(hh, *table, entry->word.text.bytes, entry->word.text.size, entry);
	if (entry->hh.tbl)
		return AUR_OK;
	free(entry);
	return aur_fail(AUR_MEMORY, "no memory for the words of the text");
}

static int compare_words(const void *left, const void *right)
{
	const struct aur_text a = ((const struct aur_word *)left)->text, b = ((const struct aur_word *)right)->text;
	const int order = memcmp(a.bytes, b.bytes, a.size < b.size ? a.size : b.size);
	return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

static aur_status sorted_words(struct entry *table, struct aur_word_counts *counts)
{
	const size_t n = HASH_COUNT(table);
	counts->words = calloc(n > 0 ? n : 1, sizeof *counts->words);
	if (!counts->words)
		return aur_fail(AUR_MEMORY, "no memory for %zu words", n);
	struct entry *entry, *next;
	HASH_ITER(hh, table, entry, next)
	counts->words[counts->n++] = entry->word;
	qsort(counts->words, n, sizeof *counts->words, compare_words);
	return AUR_OK;
}

aur_status aur_words_count(const struct aur_text *texts, int64_t n, struct aur_word_counts *counts)
{
	struct entry *table = NULL;
	aur_status status = AUR_OK;
	*counts = (struct aur_word_counts){0};
	for (int64_t i = 0; i < n; i++) {
		const char *at = texts[i].bytes, *end = at + texts[i].size;
		struct aur_text word;
		while (aur_words_next(&at, end, &word))
			AUR_TRY_CLEANUP(count_word(&table, word));
	}
	status = sorted_words(table, counts);
cleanup:
	free_table(table);
	return status;
}

void aur_words_clear(struct aur_word_counts *counts)
{
	free(counts->words);
	*counts = (struct aur_word_counts){0};
}
