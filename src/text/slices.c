#include "slices.h"

#include "internal.h"
#include "unicode.h"

#include <stdlib.h>
#include <string.h>

/* How a vocabulary of subwords has its texts cut (slices.h). Cleaning could make an added token of what stands on both
 * sides of a cut. */
static int cut_subwords(const struct aur_vocab *vocab)
{
	const int known = strcmp(vocab->pattern, "gpt2") == 0 || strcmp(vocab->pattern, "gpt4") == 0;
	const int changed = vocab->lowercase || strcmp(vocab->clean, "none") != 0;
	return known && !(changed && vocab->n_added > 0) ? 1 : 2;
}

void aur_slices_begin(struct aur_slices *slices, const struct aur_vocab *vocab, struct aur_text text)
{
	const int words = strcmp(vocab->kind, "word") == 0;
	slices->rest = text;
	slices->basic = strcmp(vocab->clean, "basic") == 0;
	slices->lowercase = vocab->lowercase;
	slices->vocab = vocab;
	slices->subwords = strcmp(vocab->kind, "bpe") == 0 ? cut_subwords(vocab) : 0;
	slices->gpt4 = slices->subwords && strcmp(vocab->pattern, "gpt4") == 0;
	slices->anywhere = !words && !vocab->lowercase && !slices->subwords;
	slices->spaces_only = words && strcmp(vocab->clean, "original") == 0;
	slices->cleaning = (struct aur_cleaning){0};
}

void aur_slices_clear(struct aur_slices *slices)
{
	free(slices->cleaned);
	free(slices->lower);
	*slices = (struct aur_slices){0};
}

/* Whether an added token lies across the place. */
static int is_spanned(const struct aur_slices *slices, const char *at)
{
	const struct aur_vocab *vocab = slices->vocab;
	const char *begin = slices->rest.bytes, *end = begin + slices->rest.size;
	for (int64_t i = 0; i < vocab->n_added; i++) {
		const struct aur_text token = aur_vocab_token(vocab, vocab->added[2 * i]);
		for (size_t before = 1; before < token.size && before <= (size_t)(at - begin); before++)
			if (token.size - before <= (size_t)(end - at) && memcmp(at - before, token.bytes, token.size) == 0)
				return 1;
	}
	return 0;
}

/* One character that is no white space. What is not UTF-8 clings to what stands before it, and is none. */
static int is_ink(const char *bytes, size_t size)
{
	return aur_utf8_check(bytes, size) < 0 && !aur_unicode_is_space(aur_utf8_next(&bytes));
}

static int ink_ends(const struct aur_slices *slices, const char *at)
{
	const char *last = at - 1;
	while (last > slices->rest.bytes && at - last < 4 && ((unsigned char)*last & 0xc0) == 0x80)
		last--;
	return is_ink(last, (size_t)(at - last));
}

static int ink_begins(const struct aur_slices *slices, const char *at)
{
	const char *next = at + 1, *end = slices->rest.bytes + slices->rest.size;
	while (next < end && next - at < 4 && ((unsigned char)*next & 0xc0) == 0x80)
		next++;
	return is_ink(at, (size_t)(next - at));
}

static int is_word(char last)
{
	return (last >= 'a' && last <= 'z') || (last >= 'A' && last <= 'Z') || (last >= '0' && last <= '9');
}

/* GPT-2's pattern begins a piece with all white space behind other characters. GPT-4's leaves line ends to what is no
 * letter or digit before them, but lets no line end begin a piece with characters behind it; blanks between the two may
 * go by cleaning. */
static int may_cut_subwords(const struct aur_slices *slices, const char *at)
{
	const int blank = *at == ' ' || *at == '\n';
	int place = blank && (is_word(at[-1]) || ink_ends(slices, at));
	if (slices->gpt4 && blank)
		place = is_word(at[-1]) || (*at == ' ' && !slices->basic && ink_ends(slices, at));
	if (slices->gpt4 && !slices->basic && at[-1] == '\n')
		place = ink_begins(slices, at);
	return slices->subwords == 1 && place && !is_spanned(slices, at);
}

/* Blanks before the cut might have to go, and a carriage return may be half a line end. The lower case of a letter
 * depends on its neighbours, but not beyond white space. */
static int may_cut(const struct aur_slices *slices, const char *at)
{
	if (slices->basic && (at[-1] == ' ' || at[-1] == '\t' || at[-1] == '\r'))
		return 0;
	if (slices->subwords)
		return may_cut_subwords(slices, at);
	if (slices->anywhere)
		return ((unsigned char)*at & 0xc0) != 0x80;
	return *at == ' ' || (*at == '\n' && !slices->spaces_only);
}

/* What stands before the place is kept, and within its line: all that cleaning has to know of what went before. */
void aur_slices_continue(struct aur_slices *slices)
{
	slices->cleaning = (struct aur_cleaning){.begun = 1, .within_line = 1};
}

/* Cleaning takes a line end and a byte-order mark away, by what went before: a text cannot go on from there as from
 * within a line. */
static int is_kept_by_cleaning(struct aur_text text, size_t at)
{
	const int mark = at >= 3 && memcmp(text.bytes + at - 3, "\xef\xbb\xbf", 3) == 0;
	return text.bytes[at - 1] != '\n' && !mark;
}

size_t aur_slices_find_place(const struct aur_vocab *vocab, struct aur_text text, size_t from)
{
	struct aur_slices slices = {0};
	aur_slices_begin(&slices, vocab, text);
	for (size_t at = from; at < text.size; at++)
		if (may_cut(&slices, text.bytes + at) && (!slices.basic || is_kept_by_cleaning(text, at)))
			return at;
	return 0;
}

static struct aur_text cut(struct aur_slices *slices)
{
	struct aur_text slice = slices->rest;
	size_t size = slice.size < AUR_SLICE_BYTES ? slice.size : AUR_SLICE_BYTES;
	if (slices->subwords == 2)
		size = slice.size;
	while (size < slice.size && !may_cut(slices, slice.bytes + size))
		size++;
	slice.size = size;
	slices->rest.bytes += size;
	slices->rest.size -= size;
	return slice;
}

static aur_status reserve(char **buffer, size_t *room, size_t bytes)
{
	if (*room >= bytes)
		return AUR_OK;
	free(*buffer);
	*room = 0;
	*buffer = malloc(bytes);
	if (!*buffer)
		return aur_fail(AUR_MEMORY, "no memory for %zu bytes of text", bytes);
	*room = bytes;
	return AUR_OK;
}

static aur_status normalise(struct aur_slices *slices, struct aur_text *slice)
{
	if (slices->basic && !aur_cleaning_skip(&slices->cleaning, slice->bytes, slice->size)) {
		AUR_TRY(reserve(&slices->cleaned, &slices->cleaned_room, slice->size));
		slice->size = aur_cleaning_apply(&slices->cleaning, slice->bytes, slice->size, slices->cleaned);
		slice->bytes = slices->cleaned;
	}
	if (slices->lowercase && slice->size > 0) {
		AUR_TRY(reserve(&slices->lower, &slices->lower_room, aur_unicode_lower_room(slice->size)));
		slice->size = aur_unicode_lower(slice->bytes, slice->size, slices->lower);
		slice->bytes = slices->lower;
	}
	return AUR_OK;
}

aur_status aur_slices_next(struct aur_slices *slices, struct aur_text *slice)
{
	*slice = (struct aur_text){slices->rest.bytes, 0};
	/* Cleaning may leave nothing of a slice. */
	while (slice->size == 0 && slices->rest.size > 0) {
		*slice = cut(slices);
		AUR_TRY(normalise(slices, slice));
	}
	return AUR_OK;
}
