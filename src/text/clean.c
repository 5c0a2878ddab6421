#include "text/clean.h"

#include "cleaning.h"

#include <stdlib.h>
#include <string.h>

static int is_blank(char byte)
{
	return byte == ' ' || byte == '\t';
}

/* Takes the blanks at the end of what has been written so far, down to `line`, where the line began. */
static size_t trim(const char *out, size_t line, size_t used)
{
	while (used > line && is_blank(out[used - 1]))
		used--;
	return used;
}

/* Where `byte` occurs next from `at` on; `bytes` where it does not. */
static size_t find(const char *text, size_t at, size_t bytes, char byte)
{
	const char *found = at < bytes ? memchr(text + at, byte, bytes - at) : NULL;
	return found ? (size_t)(found - text) : bytes;
}

static const char byte_order_mark[3] = "\xef\xbb\xbf";

static int has_mark(const char *text, size_t bytes)
{
	return bytes >= sizeof byte_order_mark && memcmp(text, byte_order_mark, sizeof byte_order_mark) == 0;
}

/* Copies line by line, each without trailing blanks, and a blank one only where the line before it was not. Each kind
 * of line end is sought again only when its last place has been passed: a text without one of them is searched for it
 * once.
 */
size_t aur_cleaning_apply(struct aur_cleaning *cleaning, const char *text, size_t bytes, char *out)
{
	size_t at = !cleaning->begun && has_mark(text, bytes) ? sizeof byte_order_mark : 0;
	size_t feed = find(text, at, bytes, '\n'), carriage = find(text, at, bytes, '\r');
	size_t used = 0;
	cleaning->begun = 1;
	while (at < bytes) {
		const size_t line = used, end = feed < carriage ? feed : carriage;
		memcpy(out + used, text + at, end - at);
		used = trim(out, line, used + (end - at));
		const int blank = used == line && !cleaning->within_line;
		cleaning->within_line = end == bytes;
		if (end == bytes)
			break;
		at = end + (end == carriage && feed == carriage + 1 ? 2 : 1);
		feed = feed < at ? find(text, at, bytes, '\n') : feed;
		carriage = carriage < at ? find(text, at, bytes, '\r') : carriage;
		if (!blank || !cleaning->after_blank)
			out[used++] = '\n';
		cleaning->after_blank = blank;
	}
	return used;
}

/* Whether any of text[0 .. bytes) begins what cleaning changes; reads two bytes more. Without a branch, so that many
 * bytes are looked at at once. */
static int has_unclean(const char *text, size_t bytes)
{
	unsigned char unclean = 0;
	for (size_t i = 0; i < bytes; i++) {
		const unsigned char feed = text[i + 1] == '\n', blank = (text[i] == ' ') | (text[i] == '\t');
		const unsigned char lines = (text[i] == '\n') & (text[i + 2] == '\n');
		unclean = (unsigned char)(unclean | (text[i] == '\r') | (feed & (blank | lines)));
	}
	return unclean;
}

enum { LOOK = 4096, EDGE = 2 };

int aur_cleaning_skip(struct aur_cleaning *cleaning, const char *text, size_t bytes)
{
	/* What could join with what went before, or end the text, is left to the thorough way. */
	if (bytes <= EDGE || (!cleaning->begun && has_mark(text, bytes)) || (!cleaning->within_line && text[0] == '\n'))
		return 0;
	const char *last = text + bytes - EDGE;
	for (size_t at = 0; at < bytes - EDGE; at += LOOK)
		if (has_unclean(text + at, bytes - EDGE - at < LOOK ? bytes - EDGE - at : LOOK))
			return 0;
	if (last[0] == '\r' || last[1] == '\r' || is_blank(last[1]) || (is_blank(last[0]) && last[1] == '\n'))
		return 0;
	cleaning->begun = 1;
	cleaning->within_line = last[1] != '\n';
	cleaning->after_blank = last[0] == '\n' && last[1] == '\n';
	return 1;
}

aur_status aur_clean(const char *kind, const char *text, size_t bytes, char **cleaned, size_t *cleaned_bytes)
{
	if (!aur_clean_known(kind))
		return aur_fail(AUR_USAGE, "cleaning '%s' is not known: none, basic or original", kind);
	char *out = malloc(bytes + 1);
	if (!out)
		return aur_fail(AUR_MEMORY, "no memory for %zu bytes of cleaned text", bytes + 1);
	size_t used = bytes;
	if (strcmp(kind, "basic") == 0)
		used = aur_cleaning_apply(&(struct aur_cleaning){0}, text, bytes, out);
	else if (bytes > 0)
		memcpy(out, text, bytes);
	out[used] = '\0';
	*cleaned = out;
	*cleaned_bytes = used;
	return AUR_OK;
}

int aur_clean_known(const char *kind)
{
	return strcmp(kind, "none") == 0 || strcmp(kind, "basic") == 0 || strcmp(kind, "original") == 0;
}
