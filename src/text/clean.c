#include "text/clean.h"

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

/* Copies line by line, each without trailing blanks, and a blank one only where the line before it was not. */
static size_t clean_basic(const char *text, size_t bytes, char *out)
{
	size_t at = bytes >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
	size_t used = 0;
	int after_blank = 0;
	while (at < bytes) {
		const size_t line = used;
		while (at < bytes && text[at] != '\n' && text[at] != '\r')
			out[used++] = text[at++];
		used = trim(out, line, used);
		if (at == bytes)
			break;
		at += text[at] == '\r' && at + 1 < bytes && text[at + 1] == '\n' ? 2 : 1;
		const int blank = used == line;
		if (!blank || !after_blank)
			out[used++] = '\n';
		after_blank = blank;
	}
	return used;
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
		used = clean_basic(text, bytes, out);
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
