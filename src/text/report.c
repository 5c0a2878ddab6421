#include "text/report.h"

#include "internal.h"
#include "unicode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

/* ---- readable tokens ---- */

static int shows(uint32_t code)
{
	switch (utf8proc_category((utf8proc_int32_t)code)) {
	case UTF8PROC_CATEGORY_CC:
	case UTF8PROC_CATEGORY_CF:
	case UTF8PROC_CATEGORY_CN:
	case UTF8PROC_CATEGORY_CO:
	case UTF8PROC_CATEGORY_ZL:
	case UTF8PROC_CATEGORY_ZP:
	case UTF8PROC_CATEGORY_MN:
	case UTF8PROC_CATEGORY_ME:
		return 0;
	case UTF8PROC_CATEGORY_ZS:
		return code == ' ';
	default:
		return 1;
	}
}

/* One character at *at, readable, in `shown`; returns its length and moves *at. */
static size_t show_one(const char **at, const char *end, char shown[16])
{
	utf8proc_int32_t code;
	const utf8proc_ssize_t length = utf8proc_iterate((const utf8proc_uint8_t *)*at, end - *at, &code);
	const char *begin = *at;
	*at += length > 0 ? length : 1;
	if (length < 1)
		return (size_t)snprintf(shown, 16, "\\x%02X", (unsigned)(unsigned char)*begin);
	static const char escaped[] = "\n\t\r\v\f", letters[] = "ntrvf";
	const char *found = code > 0 && code < 0x80 ? strchr(escaped, code) : NULL;
	if (found)
		return (size_t)snprintf(shown, 16, "\\%c", letters[found - escaped]);
	if (!shows((uint32_t)code))
		return (size_t)snprintf(shown, 16, "U+%04X", (unsigned)code);
	memcpy(shown, begin, (size_t)length);
	return (size_t)length;
}

char *aur_text_readable(const char *text, size_t bytes, char *shown, size_t room)
{
	static const char cut[] = "...";
	const char *end = text + bytes;
	size_t used = 0, safe = 0; /* safe: where the cut mark still fits */
	if (room < sizeof cut) {
		if (room > 0)
			shown[0] = '\0';
		return shown;
	}
	for (const char *at = text; at < end;) {
		char one[16];
		const size_t length = show_one(&at, end, one);
		if (used + length >= room) {
			used = safe;
			memcpy(shown + used, cut, sizeof cut - 1);
			used += sizeof cut - 1;
			break;
		}
		memcpy(shown + used, one, length);
		used += length;
		if (used + sizeof cut <= room)
			safe = used;
	}
	shown[used] = '\0';
	return shown;
}

/* ---- tokens ---- */

static int by_falling_count(const void *left, const void *right)
{
	const struct aur_token_count *a = left, *b = right;
	if (a->count != b->count)
		return a->count < b->count ? 1 : -1;
	return (a->id > b->id) - (a->id < b->id);
}

static int by_rising_count(const void *left, const void *right)
{
	const struct aur_token_count *a = left, *b = right;
	if (a->count != b->count)
		return a->count > b->count ? 1 : -1;
	return (a->id > b->id) - (a->id < b->id);
}

static int take_first(const struct aur_token_count *counts, int64_t n, struct aur_token_count *first)
{
	const int taken = n < AUR_REPORT_TOKENS ? (int)n : AUR_REPORT_TOKENS;
	memcpy(first, counts, (size_t)taken * sizeof *first);
	return taken;
}

static aur_status report_tokens(const struct aur_vocab *vocab, const int64_t *tokens, struct aur_text_report *report)
{
	struct aur_token_count *counts = calloc((size_t)vocab->size, sizeof *counts);
	if (!counts)
		return aur_fail(AUR_MEMORY, "no memory for the counts of %lld tokens", (long long)vocab->size);
	for (int64_t id = 0; id < vocab->size; id++) {
		counts[id] = (struct aur_token_count){(int32_t)id, tokens[id]};
		report->tokens += tokens[id];
	}
	int64_t n = vocab->size;
	if (vocab->unknown >= 0 && counts[vocab->unknown].count == 0)
		counts[vocab->unknown] = counts[--n];
	qsort(counts, (size_t)n, sizeof *counts, by_falling_count);
	report->n_most = take_first(counts, n, report->most);
	qsort(counts, (size_t)n, sizeof *counts, by_rising_count);
	report->n_least = take_first(counts, n, report->least);
	report->vocab_size = vocab->size;
	free(counts);
	return AUR_OK;
}

/* ---- the report ---- */

struct aur_text_size aur_text_measure(struct aur_text text)
{
	return (struct aur_text_size){aur_utf8_count(text.bytes, text.size), aur_byte_count(text.bytes, text.size, '\n')};
}

aur_status aur_text_report_fill(const struct aur_tokenizer *tokenizer, int64_t bytes, int64_t characters, int64_t lines,
	const int64_t *tokens, struct aur_text_report *report)
{
	*report = (struct aur_text_report){.bytes = bytes, .characters = characters, .lines = lines};
	report->words = *aur_tokenizer_figures(tokenizer);
	return report_tokens(aur_tokenizer_vocab(tokenizer), tokens, report);
}

aur_status aur_text_report_make(const struct aur_tokenizer *tokenizer, const struct aur_text *texts, int64_t n_texts,
	const int64_t *tokens, struct aur_text_report *report)
{
	int64_t bytes = 0, characters = 0, lines = 0;
	for (int64_t i = 0; i < n_texts; i++) {
		const struct aur_text_size size = aur_text_measure(texts[i]);
		bytes += (int64_t)texts[i].size;
		characters += size.characters;
		lines += size.line_ends + (texts[i].size > 0 && texts[i].bytes[texts[i].size - 1] != '\n');
	}
	return aur_text_report_fill(tokenizer, bytes, characters, lines, tokens, report);
}
