#include "text/report.h"
#include "unicode.h"
#include "words.h"

#include <stdio.h>

enum { EXAMPLES = 10 };

static int is_short(struct aur_text word)
{
	return aur_utf8_count(word.bytes, word.size) < AUR_SHORT_WORD;
}

/* The most frequent short word that comes after `last` in the order of falling counts, then of the vocabulary. */
static const struct aur_word *next_short(const struct aur_words *counts, const struct aur_word *last)
{
	const struct aur_word *best = NULL;
	for (int64_t i = 0; i < counts->n; i++) {
		const struct aur_word *word = &counts->words[i];
		const int after = !last || word->count < last->count || (word->count == last->count && word > last);
		if (after && (!best || word->count > best->count) && is_short(word->text))
			best = word;
	}
	return best;
}

static void give_examples(const struct aur_words *counts, struct aur_word_figures *figures)
{
	char *shown = figures->short_examples;
	size_t used = 0;
	const struct aur_word *word = NULL;
	for (int i = 0; i < EXAMPLES; i++) {
		char one[24];
		word = next_short(counts, word);
		if (!word)
			return;
		aur_text_readable(word->text.bytes, word->text.size, one, sizeof one);
		const size_t room = sizeof figures->short_examples - used;
		used += (size_t)snprintf(shown + used, room, "%s%s", i > 0 ? " " : "", one);
	}
}

void aur_word_figures_make(const struct aur_words *counts, struct aur_word_figures *figures)
{
	*figures = (struct aur_word_figures){.distinct = counts->n};
	for (int64_t i = 0; i < counts->n; i++) {
		figures->short_words += is_short(counts->words[i].text);
		figures->digit_words += aur_word_has_digit(counts->words[i].text);
	}
	give_examples(counts, figures);
}
