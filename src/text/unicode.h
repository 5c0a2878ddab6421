#ifndef AUR_TEXT_UNICODE_H
#define AUR_TEXT_UNICODE_H

#include <stddef.h>
#include <stdint.h>

/* Code points of text that aur_utf8_check has passed, and their properties. */

/* The code point at *at; moves *at behind it. The text must be UTF-8. */
static inline uint32_t aur_utf8_next(const char **at)
{
	const unsigned char *byte = (const unsigned char *)*at;
	if (byte[0] < 0x80) {
		*at += 1;
		return byte[0];
	}
	if (byte[0] < 0xe0) {
		*at += 2;
		return (uint32_t)(byte[0] & 0x1f) << 6 | (uint32_t)(byte[1] & 0x3f);
	}
	if (byte[0] < 0xf0) {
		*at += 3;
		return (uint32_t)(byte[0] & 0x0f) << 12 | (uint32_t)(byte[1] & 0x3f) << 6 | (uint32_t)(byte[2] & 0x3f);
	}
	*at += 4;
	return (uint32_t)(byte[0] & 0x07) << 18 | (uint32_t)(byte[1] & 0x3f) << 12 | (uint32_t)(byte[2] & 0x3f) << 6 |
		   (uint32_t)(byte[3] & 0x3f);
}

/* Writes the code point's one to four bytes and returns how many. */
size_t aur_utf8_put(uint32_t code, char *bytes);

/* How many code points the text has. */
int64_t aur_utf8_count(const char *text, size_t bytes);

/* How often the byte occurs in the text. */
int64_t aur_byte_count(const char *text, size_t bytes, char byte);

/* The length of the longest beginning of at most `limit` bytes that ends between code points. */
size_t aur_utf8_cut(const char *text, size_t bytes, size_t limit);

/* White space where words end: Unicode's, and the separators U+001C to U+001F, as Python's str.split has it. */
int aur_unicode_is_far_space(uint32_t code); /* that is not ASCII */

static inline int aur_unicode_is_space(uint32_t code)
{
	if (code < 0x80)
		return code == ' ' || (code >= 0x09 && code <= 0x0d) || (code >= 0x1c && code <= 0x1f);
	return aur_unicode_is_far_space(code);
}

/* A decimal digit of any script, or a digit with a shape of its own (superscript, circled), as Python's str.isdigit. */
int aur_unicode_is_digit(uint32_t code);

/* The text in lower case by Unicode's full mapping: capital sigma at the end of a word becomes the final one, capital I
 * with a dot two code points. Writes to `lower`, which has room for aur_unicode_lower_room(bytes), and returns how many
 * bytes. */
size_t aur_unicode_lower(const char *text, size_t bytes, char *lower);
size_t aur_unicode_lower_room(size_t bytes);

#endif
