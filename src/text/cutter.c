#include "text/cutter.h"

#include "pretokenize.h"
#include "regex.h"

#include <stdlib.h>
#include <string.h>

/* A place is sought among so many ends of pieces, and as many pieces are compared for each: an expression that never
 * ends a piece without a look far ahead has none. */
enum { MOST_TRIED = 1024, MOST_BACK = 1 << 20 };

struct aur_cutter {
	struct aur_pattern *pattern;
	struct aur_pretokenizer *pretokenizer;
	size_t ends[MOST_TRIED]; /* of pieces that were decided with a look behind the first place allowed */
	int n;
};

static int finds_tokens(const struct aur_vocab *vocab)
{
	for (int64_t i = 0; i < vocab->n_added; i++)
		if (vocab->added[2 * i + 1] == 0)
			return 1;
	return 0;
}

static int looks_back(const struct aur_vocab *vocab)
{
	struct aur_pattern *pattern = NULL;
	const aur_status status = aur_pattern_create(vocab->pattern, &pattern);
	const int does = status != AUR_OK || aur_pattern_looks_back(pattern);
	if (status != AUR_OK)
		aur_error_clear();
	aur_pattern_destroy(&pattern);
	return does;
}

int aur_cutter_fits(const struct aur_vocab *vocab)
{
	const int foreign = strcmp(vocab->kind, "bpe") == 0 && aur_pattern_regex(vocab->pattern) == vocab->pattern;
	if (!foreign || vocab->lowercase || strcmp(vocab->clean, "none") != 0 || finds_tokens(vocab))
		return 0;
	if (aur_regex_check(vocab->pattern) != AUR_OK) {
		aur_error_clear();
		return 0;
	}
	return !looks_back(vocab);
}

aur_status aur_cutter_create(const struct aur_vocab *vocab, struct aur_cutter **cutter)
{
	*cutter = calloc(1, sizeof **cutter);
	if (!*cutter)
		return aur_fail(AUR_MEMORY, "no memory to cut a text");
	aur_status status = aur_pattern_create(vocab->pattern, &(*cutter)->pattern);
	if (status == AUR_OK)
		status = aur_pretokenizer_create((*cutter)->pattern, &(*cutter)->pretokenizer);
	if (status != AUR_OK)
		aur_cutter_destroy(cutter);
	return status;
}

void aur_cutter_destroy(struct aur_cutter **cutter)
{
	if (!cutter || !*cutter)
		return;
	aur_pretokenizer_destroy(&(*cutter)->pretokenizer);
	aur_pattern_destroy(&(*cutter)->pattern);
	free(*cutter);
	*cutter = NULL;
}

/* Up to where pieces are what they are without a look at `text.size`: whatever follows there, or nothing. */
static aur_status pass_decided(struct aur_cutter *cutter, struct aur_text text, size_t *at)
{
	size_t stop = 0;
	do {
		*at = stop;
		AUR_TRY(aur_pretokenizer_peek(cutter->pretokenizer, text, *at, &stop));
	} while (stop > *at);
	return AUR_OK;
}

/* Whether the pieces from `at` on, in a text that ends at the last of the ends, are those that were found. */
static aur_status ends_there_alone(struct aur_cutter *cutter, const char *bytes, size_t at, int *same)
{
	const struct aur_text text = {bytes, cutter->ends[cutter->n - 1]};
	struct aur_text piece;
	*same = 1;
	for (int i = 0; i < cutter->n && *same; i++) {
		AUR_TRY(aur_pretokenizer_next(cutter->pretokenizer, text, &at, &piece));
		*same = at == cutter->ends[i];
	}
	return AUR_OK;
}

static aur_status next_end(
	struct aur_cutter *cutter, struct aur_text text, size_t at, int at_end, size_t *stop, int *known)
{
	struct aur_text piece;
	AUR_TRY(aur_pretokenizer_peek(cutter->pretokenizer, text, at, stop));
	*known = *stop > at;
	if (*known || !at_end)
		return AUR_OK;
	*stop = at;
	AUR_TRY(aur_pretokenizer_next(cutter->pretokenizer, text, stop, &piece));
	*known = *stop > at && *stop < text.size;
	return AUR_OK;
}

aur_status aur_cutter_place(struct aur_cutter *cutter, struct aur_text text, size_t from, int at_end, size_t *place)
{
	*place = 0;
	if (!at_end)
		text.size = aur_utf8_whole(text.bytes, text.size);
	if (from >= text.size)
		return AUR_OK;
	if (aur_utf8_check(text.bytes, text.size) >= 0) {
		*place = from;
		return AUR_OK;
	}
	size_t decided = 0;
	const struct aur_text front = {text.bytes, aur_utf8_whole(text.bytes, from)};
	AUR_TRY(pass_decided(cutter, front, &decided));
	cutter->n = 0;
	int known = 1;
	for (size_t at = decided, stop; from - decided <= MOST_BACK && cutter->n < MOST_TRIED; at = stop) {
		AUR_TRY(next_end(cutter, text, at, at_end, &stop, &known));
		if (!known)
			break;
		cutter->ends[cutter->n++] = stop;
		int same = 0;
		if (stop >= from)
			AUR_TRY(ends_there_alone(cutter, text.bytes, decided, &same));
		if (same) {
			*place = stop;
			break;
		}
	}
	return AUR_OK;
}
