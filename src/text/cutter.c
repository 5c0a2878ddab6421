#include "text/cutter.h"

#include "pretokenize.h"
#include "regex.h"

#include <stdlib.h>
#include <string.h>

/* A place is sought among so many ends of pieces, and so many bytes are split once more for them, before it is sought
 * further on: what a piece is may hang on something far ahead, and until that is passed no end is a place. */
enum { MOST_TRIED = 1024, MOST_COMPARED = 256 << 20, MOST_ENDS = 4 << 20 };

struct aur_cutter {
	struct aur_pattern *pattern;
	struct aur_pretokenizer *pretokenizer;
	/* Ends of pieces; what comes before `settled` is split as it is whatever follows behind the last place tried, or
	 * nothing, and ends[first] is the next end. */
	size_t *ends, settled; /* owned [room] */
	int64_t first, n, room;
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
	free((*cutter)->ends);
	free(*cutter);
	*cutter = NULL;
}

/* Up to where pieces are what they are without a look at `text.size`: whatever follows there, or nothing. */
static aur_status pass_decided(struct aur_cutter *cutter, struct aur_text text, size_t *at)
{
	size_t stop = *at;
	do {
		*at = stop;
		AUR_TRY(aur_pretokenizer_peek(cutter->pretokenizer, text, *at, &stop));
	} while (stop > *at);
	return AUR_OK;
}

/* Passes the ends that are settled now that `text` ends at the last of them: no later place compares them again. */
static aur_status settle(struct aur_cutter *cutter, struct aur_text text)
{
	AUR_TRY(pass_decided(cutter, text, &cutter->settled));
	while (cutter->first < cutter->n && cutter->ends[cutter->first] <= cutter->settled)
		cutter->first++;
	return AUR_OK;
}

/* Whether the pieces that are not settled, in a text that ends at the last of the ends, are those that were found. */
static aur_status ends_there_alone(struct aur_cutter *cutter, struct aur_text text, int *same)
{
	struct aur_text piece;
	size_t at = cutter->settled;
	*same = 1;
	for (int64_t i = cutter->first; i < cutter->n && *same; i++) {
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

static aur_status note_end(struct aur_cutter *cutter, size_t stop)
{
	if (cutter->n == cutter->room) {
		const int64_t room = 2 * cutter->room + MOST_TRIED;
		size_t *grown = realloc(cutter->ends, (size_t)room * sizeof *grown);
		if (!grown)
			return aur_fail(AUR_MEMORY, "no memory to cut a text");
		cutter->ends = grown;
		cutter->room = room;
	}
	cutter->ends[cutter->n++] = stop;
	return AUR_OK;
}

/* Whether the text may be cut at the last end. */
static aur_status try_end(struct aur_cutter *cutter, struct aur_text alone, size_t *compared, int *same)
{
	AUR_TRY(settle(cutter, alone));
	AUR_TRY(ends_there_alone(cutter, alone, same));
	*compared += alone.size - cutter->settled;
	return AUR_OK;
}

/* The first place from `from` on; *enough: 1 when none was found though enough of the text is there to see that. */
static aur_status seek(
	struct aur_cutter *cutter, struct aur_text text, size_t from, int at_end, size_t *place, int *enough)
{
	const struct aur_text front = {text.bytes, aur_utf8_whole(text.bytes, from)};
	size_t compared = 0;
	int known = 1, same = 0, tried = 0;
	cutter->settled = 0;
	cutter->first = cutter->n = 0;
	AUR_TRY(pass_decided(cutter, front, &cutter->settled));
	for (size_t at = cutter->settled, stop; !same && tried < MOST_TRIED; at = stop) {
		AUR_TRY(next_end(cutter, text, at, at_end, &stop, &known));
		if (!known || compared > MOST_COMPARED || cutter->n == MOST_ENDS)
			break;
		AUR_TRY(note_end(cutter, stop));
		if (stop < from)
			continue;
		AUR_TRY(try_end(cutter, (struct aur_text){text.bytes, stop}, &compared, &same));
		*place = same ? stop : 0;
		tried++;
	}
	*enough = known && !same;
	return AUR_OK;
}

/* The first place from `from` on that no character lies across. A run of bytes that none is long enough for is no
 * character. */
static size_t between_characters(struct aur_text text, size_t from)
{
	enum { MOST_BEHIND = 3 };
	for (size_t at = from; at < text.size && at <= from + MOST_BEHIND; at++)
		if (((unsigned char)text.bytes[at] & 0xc0) != 0x80)
			return at;
	return from;
}

aur_status aur_cutter_place(struct aur_cutter *cutter, struct aur_text text, size_t from, int at_end, size_t *place)
{
	*place = 0;
	if (!at_end)
		text.size = aur_utf8_whole(text.bytes, text.size);
	if (from >= text.size)
		return AUR_OK;
	if (aur_utf8_check(text.bytes, text.size) >= 0) {
		*place = between_characters(text, from);
		return AUR_OK;
	}
	for (int enough = 1; enough && from < text.size; from *= 2)
		AUR_TRY(seek(cutter, text, from, at_end, place, &enough));
	return AUR_OK;
}
