#include "pretokenize.h"

#include "pretokenize_ascii.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

struct aur_pattern {
	pcre2_code *code;
	int jit;
	/* The length of the piece at `begin` where that is easily seen, else 0. NULL: it never is. */
	size_t (*ascii)(const char *begin, const char *end);
};

struct aur_pretokenizer {
	const struct aur_pattern *pattern;
	pcre2_match_data *match;
	pcre2_match_context *context;
	pcre2_jit_stack *stack;
};

/* ---- known patterns ---- */

/* The first form is the one that is compiled and written; the others match the same. */
static const struct known {
	const char *name, *regex[3];
	size_t (*ascii)(const char *begin, const char *end);
} known[] = {
	{"gpt2",
		{"'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
			"'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
			"'(?:[sdmt]|ll|ve|re)| ?\\p{L}++| ?\\p{N}++| ?[^\\s\\p{L}\\p{N}]++|\\s++$|\\s+(?!\\S)|\\s"},
		aur_ascii_piece_gpt2},
	{"gpt4",
		{"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"
		 "|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
			"'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*"
			"|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+"},
		aur_ascii_piece_gpt4},
};

enum { KNOWN = sizeof known / sizeof *known };

const char *aur_pattern_name(const char *regex)
{
	for (int i = 0; i < KNOWN; i++)
		for (int j = 0; j < 3 && known[i].regex[j]; j++)
			if (strcmp(regex, known[i].regex[j]) == 0)
				return known[i].name;
	return regex;
}

static const struct known *known_of(const char *pattern)
{
	for (int i = 0; i < KNOWN; i++)
		if (strcmp(pattern, known[i].name) == 0)
			return &known[i];
	return NULL;
}

const char *aur_pattern_regex(const char *pattern)
{
	const struct known *found = known_of(pattern);
	return found ? found->regex[0] : pattern;
}

/* ---- compiling ---- */

/* PCRE2's own \s has U+180E, which Unicode took out of White_Space in 2013. */
#define WHITE_SPACE                                                                                                    \
	"\\x09-\\x0d\\x20\\x85\\xa0\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}"

static void append(char **out, const char *text)
{
	const size_t bytes = strlen(text);
	memcpy(*out, text, bytes);
	*out += bytes;
}

/* Writes what \s and \S stand for. `out` has room for 128 bytes for each of the pattern's. */
static void spell_white_space(const char *regex, char *out)
{
	int within = 0; /* in a class of characters */
	for (const char *at = regex; *at; at++) {
		if (*at == '\\' && at[1] == 's')
			append(&out, within ? WHITE_SPACE : "[" WHITE_SPACE "]");
		else if (*at == '\\' && at[1] == 'S' && !within)
			append(&out, "[^" WHITE_SPACE "]");
		else if (*at == '\\' && at[1])
			append(&out, (char[]){'\\', at[1], '\0'});
		else {
			within = *at == '[' || (within && *at != ']');
			*out++ = *at;
			continue;
		}
		at++;
	}
	*out = '\0';
}

static aur_status compile(const char *regex, struct aur_pattern *pattern)
{
	int error;
	PCRE2_SIZE where;
	char *spelt = malloc(128 * strlen(regex) + 1);
	if (!spelt)
		return aur_fail(AUR_MEMORY, "no memory for the pattern that splits the text");
	spell_white_space(regex, spelt);
	pattern->code = pcre2_compile((PCRE2_SPTR)spelt, PCRE2_ZERO_TERMINATED,
		PCRE2_UTF | PCRE2_UCP | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C, &error, &where, NULL);
	free(spelt);
	if (pattern->code) {
		const uint32_t modes = PCRE2_JIT_COMPLETE | (pattern->ascii ? 0 : PCRE2_JIT_PARTIAL_HARD);
		pattern->jit = pcre2_jit_compile(pattern->code, modes) == 0;
		return AUR_OK;
	}
	char text[256];
	pcre2_get_error_message(error, (PCRE2_UCHAR *)text, sizeof text);
	return aur_fail(AUR_INPUT, "the pattern that splits the text, %s: %s", regex, text);
}

aur_status aur_pattern_create(const char *pattern, struct aur_pattern **created)
{
	const struct known *found = known_of(pattern);
	struct aur_pattern *made = calloc(1, sizeof *made);
	if (!made)
		return aur_fail(AUR_MEMORY, "no memory for the pattern that splits the text");
	made->ascii = found ? found->ascii : NULL;
	const aur_status status = compile(aur_pattern_regex(pattern), made);
	if (status != AUR_OK)
		aur_pattern_destroy(&made);
	*created = made;
	return status;
}

void aur_pattern_destroy(struct aur_pattern **pattern)
{
	if (!pattern || !*pattern)
		return;
	pcre2_code_free((*pattern)->code);
	free(*pattern);
	*pattern = NULL;
}

int aur_pattern_looks_back(const struct aur_pattern *pattern)
{
	uint32_t characters = 1;
	return pcre2_pattern_info(pattern->code, PCRE2_INFO_MAXLOOKBEHIND, &characters) != 0 || characters > 0;
}

/* ---- splitting ---- */

enum { STACK_LEAST = 32 << 10, STACK_MOST = 64 << 20, MOST_STEPS = 100 << 20, MOST_HEAP_KB = 1 << 20 };

aur_status aur_pretokenizer_create(const struct aur_pattern *pattern, struct aur_pretokenizer **pretokenizer)
{
	struct aur_pretokenizer *created = calloc(1, sizeof *created);
	if (created) {
		created->pattern = pattern;
		created->match = pcre2_match_data_create(1, NULL);
		created->context = pcre2_match_context_create(NULL);
		created->stack = pattern->jit ? pcre2_jit_stack_create(STACK_LEAST, STACK_MOST, NULL) : NULL;
	}
	if (!created || !created->match || !created->context || (pattern->jit && !created->stack)) {
		aur_pretokenizer_destroy(&created);
		return aur_fail(AUR_MEMORY, "no memory to split a text with");
	}
	/* A long run of one kind of character is no runaway pattern; a stranger's may be one. */
	pcre2_set_match_limit(created->context, pattern->ascii ? UINT32_MAX : MOST_STEPS);
	pcre2_set_depth_limit(created->context, pattern->ascii ? UINT32_MAX : MOST_STEPS);
	pcre2_set_heap_limit(created->context, MOST_HEAP_KB);
	pcre2_jit_stack_assign(created->context, NULL, created->stack);
	*pretokenizer = created;
	return AUR_OK;
}

void aur_pretokenizer_destroy(struct aur_pretokenizer **pretokenizer)
{
	if (!pretokenizer || !*pretokenizer)
		return;
	struct aur_pretokenizer *old = *pretokenizer;
	pcre2_match_data_free(old->match);
	pcre2_match_context_free(old->context);
	pcre2_jit_stack_free(old->stack);
	free(old);
	*pretokenizer = NULL;
}

/* The length of the code point at `at`; 0 where the bytes are not UTF-8. */
static size_t code_point(struct aur_text text, size_t at)
{
	utf8proc_int32_t code;
	const utf8proc_ssize_t length =
		utf8proc_iterate((const utf8proc_uint8_t *)text.bytes + at, (utf8proc_ssize_t)(text.size - at), &code);
	return length > 0 ? (size_t)length : 0;
}

/* Behind the bytes at `at` that are not UTF-8. */
static size_t pass_invalid(struct aur_text text, size_t at)
{
	while (at < text.size && code_point(text, at) == 0)
		at++;
	return at;
}

/* What matched first from `at` on, [begin, end); nothing is [size, size). An empty match counts as none, and so does
 * with PCRE2_PARTIAL_HARD among the options whatever has looked for more than there is. */
static aur_status match(
	struct aur_pretokenizer *pretokenizer, struct aur_text text, size_t at, uint32_t more, size_t *begin, size_t *end)
{
	const struct aur_pattern *pattern = pretokenizer->pattern;
	const PCRE2_SPTR subject = (PCRE2_SPTR)text.bytes;
	const uint32_t options = PCRE2_NOTEMPTY | more;
	int found = pcre2_match(pattern->code, subject, text.size, at, options, pretokenizer->match, pretokenizer->context);
	if (found == PCRE2_ERROR_JIT_STACKLIMIT)
		found = pcre2_match(
			pattern->code, subject, text.size, at, options | PCRE2_NO_JIT, pretokenizer->match, pretokenizer->context);
	const PCRE2_SIZE *place = pcre2_get_ovector_pointer(pretokenizer->match);
	*begin = found >= 0 ? place[0] : text.size;
	*end = found >= 0 ? place[1] : text.size;
	if (found >= 0 || found == PCRE2_ERROR_NOMATCH || found == PCRE2_ERROR_PARTIAL)
		return AUR_OK;
	char message[256];
	pcre2_get_error_message(found, (PCRE2_UCHAR *)message, sizeof message);
	return aur_fail(AUR_INPUT, "the text cannot be split at byte %zu: %s", at, message);
}

/* A stretch that the pattern does not match ends where the next match begins, or at a byte that is not UTF-8. */
static size_t unmatched(struct aur_text text, size_t at, size_t begin)
{
	while (at < begin) {
		const size_t length = code_point(text, at);
		if (length == 0)
			break;
		at += length;
	}
	return at;
}

static aur_status split_by_pattern(
	struct aur_pretokenizer *pretokenizer, struct aur_text text, size_t at, uint32_t more, size_t *stop)
{
	size_t begin, end;
	*stop = at;
	if (code_point(text, at) > 0) {
		AUR_TRY(match(pretokenizer, text, at, more, &begin, &end));
		*stop = begin == at ? end : unmatched(text, at, begin);
	}
	return AUR_OK;
}

aur_status aur_pretokenizer_next(
	struct aur_pretokenizer *pretokenizer, struct aur_text text, size_t *at, struct aur_text *piece)
{
	const struct aur_pattern *pattern = pretokenizer->pattern;
	const char *begin = text.bytes + *at;
	*piece = (struct aur_text){begin, 0};
	if (*at == text.size)
		return AUR_OK;
	size_t stop = *at + (pattern->ascii ? pattern->ascii(begin, text.bytes + text.size) : 0);
	if (stop == *at)
		AUR_TRY(split_by_pattern(pretokenizer, text, *at, 0, &stop));
	if (stop < text.size && (unsigned char)text.bytes[stop] >= 0x80)
		stop = pass_invalid(text, stop);
	piece->size = stop - *at;
	*at = stop;
	return AUR_OK;
}

aur_status aur_pretokenizer_peek(struct aur_pretokenizer *pretokenizer, struct aur_text text, size_t at, size_t *stop)
{
	*stop = at;
	if (at == text.size)
		return AUR_OK;
	AUR_TRY(split_by_pattern(pretokenizer, text, at, PCRE2_PARTIAL_HARD, stop));
	if (*stop < text.size && (unsigned char)text.bytes[*stop] >= 0x80)
		*stop = pass_invalid(text, *stop);
	/* What would follow there may belong to it. */
	if (*stop == text.size)
		*stop = at;
	return AUR_OK;
}
