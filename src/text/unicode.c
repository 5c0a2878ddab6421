#include "unicode.h"

#include "text/tokenizer.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

struct code_range {
	uint32_t first, last;
};

static int in_ranges(uint32_t code, const struct code_range *ranges, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (code >= ranges[i].first && code <= ranges[i].last)
			return 1;
	return 0;
}

#define IN_RANGES(code, ranges) in_ranges(code, ranges, sizeof(ranges) / sizeof *(ranges))

static int is_ascii(const char *eight)
{
	uint64_t bits;
	memcpy(&bits, eight, sizeof bits);
	return (bits & 0x8080808080808080u) == 0;
}

int64_t aur_utf8_check(const char *text, size_t bytes)
{
	size_t at = 0;
	while (at < bytes) {
		while (bytes - at >= 8 && is_ascii(text + at))
			at += 8;
		if (at == bytes)
			break;
		if ((unsigned char)text[at] < 0x80) {
			at++;
			continue;
		}
		utf8proc_int32_t code;
		const utf8proc_ssize_t length =
			utf8proc_iterate((const utf8proc_uint8_t *)text + at, (utf8proc_ssize_t)(bytes - at), &code);
		if (length < 1)
			return (int64_t)at;
		at += (size_t)length;
	}
	return -1;
}

size_t aur_utf8_put(uint32_t code, char *bytes)
{
	const utf8proc_ssize_t length = utf8proc_encode_char((utf8proc_int32_t)code, (utf8proc_uint8_t *)bytes);
	return length > 0 ? (size_t)length : 0;
}

static int continues(char byte)
{
	return ((unsigned char)byte & 0xc0) == 0x80;
}

size_t aur_utf8_whole(const char *text, size_t bytes)
{
	for (size_t back = 1; back <= 3 && back <= bytes; back++) {
		const unsigned char byte = (unsigned char)text[bytes - back];
		if (continues((char)byte))
			continue;
		const size_t length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
		return length > back ? bytes - back : bytes;
	}
	return bytes;
}

/* Sums of at most 255 fit a byte, so that sixteen bytes and more are counted at once. */
enum { COUNT_RUN = 255 };

int64_t aur_utf8_count(const char *text, size_t bytes)
{
	int64_t count = 0;
	for (size_t at = 0; at < bytes; at += COUNT_RUN) {
		const size_t run = bytes - at < COUNT_RUN ? bytes - at : COUNT_RUN;
		uint8_t here = 0;
		for (size_t i = 0; i < run; i++)
			here = (uint8_t)(here + !continues(text[at + i]));
		count += here;
	}
	return count;
}

int64_t aur_byte_count(const char *text, size_t bytes, char byte)
{
	int64_t count = 0;
	for (size_t at = 0; at < bytes; at += COUNT_RUN) {
		const size_t run = bytes - at < COUNT_RUN ? bytes - at : COUNT_RUN;
		uint8_t here = 0;
		for (size_t i = 0; i < run; i++)
			here = (uint8_t)(here + (text[at + i] == byte));
		count += here;
	}
	return count;
}

size_t aur_utf8_cut(const char *text, size_t bytes, size_t limit)
{
	if (bytes <= limit)
		return bytes;
	while (limit > 0 && continues(text[limit]))
		limit--;
	return limit;
}

int aur_unicode_is_far_space(uint32_t code)
{
	static const struct code_range spaces[] = {{0x85, 0x85}, {0xa0, 0xa0}, {0x1680, 0x1680}, {0x2000, 0x200a},
		{0x2028, 0x2029}, {0x202f, 0x202f}, {0x205f, 0x205f}, {0x3000, 0x3000}};
	return IN_RANGES(code, spaces);
}

int aur_unicode_is_digit(uint32_t code)
{
	/* Numeric_Type=Digit: digits that are not part of a decimal set. */
	static const struct code_range digits[] = {{0xb2, 0xb3}, {0xb9, 0xb9}, {0x1369, 0x1371}, {0x19da, 0x19da},
		{0x2070, 0x2070}, {0x2074, 0x2079}, {0x2080, 0x2089}, {0x2460, 0x2468}, {0x2474, 0x247c}, {0x2488, 0x2490},
		{0x24ea, 0x24ea}, {0x24f5, 0x24fd}, {0x24ff, 0x24ff}, {0x2776, 0x277e}, {0x2780, 0x2788}, {0x278a, 0x2792},
		{0x10a40, 0x10a43}, {0x10e60, 0x10e68}, {0x11052, 0x1105a}, {0x1f100, 0x1f10a}};
	if (code < 0x80)
		return code >= '0' && code <= '9';
	return utf8proc_category((utf8proc_int32_t)code) == UTF8PROC_CATEGORY_ND || IN_RANGES(code, digits);
}

/* ---- lower case ---- */

/* Unicode's Case_Ignorable: what does not interrupt a word when looking for its end. */
static int case_ignorable(uint32_t code)
{
	static const struct code_range marks[] = {{0x27, 0x27}, {0x2e, 0x2e}, {0x3a, 0x3a}, {0xb7, 0xb7}, {0x387, 0x387},
		{0x55f, 0x55f}, {0x5f4, 0x5f4}, {0x2018, 0x2019}, {0x2024, 0x2024}, {0x2027, 0x2027}, {0xfe13, 0xfe13},
		{0xfe52, 0xfe52}, {0xfe55, 0xfe55}, {0xff07, 0xff07}, {0xff0e, 0xff0e}, {0xff1a, 0xff1a}};
	switch (utf8proc_category((utf8proc_int32_t)code)) {
	case UTF8PROC_CATEGORY_MN:
	case UTF8PROC_CATEGORY_ME:
	case UTF8PROC_CATEGORY_CF:
	case UTF8PROC_CATEGORY_LM:
	case UTF8PROC_CATEGORY_SK:
		return 1;
	default:
		return IN_RANGES(code, marks);
	}
}

static int cased(uint32_t code)
{
	static const struct code_range others[] = {{0xaa, 0xaa}, {0xba, 0xba}, {0x2160, 0x217f}, {0x24b6, 0x24e9},
		{0x1f130, 0x1f149}, {0x1f150, 0x1f169}, {0x1f170, 0x1f189}};
	switch (utf8proc_category((utf8proc_int32_t)code)) {
	case UTF8PROC_CATEGORY_LU:
	case UTF8PROC_CATEGORY_LL:
	case UTF8PROC_CATEGORY_LT:
		return 1;
	default:
		return IN_RANGES(code, others);
	}
}

static int cased_before(const char *text, const char *at)
{
	while (at > text) {
		do
			at--;
		while (continues(*at));
		const char *next = at;
		const uint32_t code = aur_utf8_next(&next);
		if (!case_ignorable(code))
			return cased(code);
	}
	return 0;
}

static int cased_after(const char *at, const char *end)
{
	while (at < end) {
		const uint32_t code = aur_utf8_next(&at);
		if (!case_ignorable(code))
			return cased(code);
	}
	return 0;
}

enum { CAPITAL_I_DOT = 0x130, DOT_ABOVE = 0x307, CAPITAL_SIGMA = 0x3a3, FINAL_SIGMA = 0x3c2, SIGMA = 0x3c3 };

/* Lower case of the code point that stands from `at` to `next`. */
static size_t put_lower(const char *text, const char *at, const char *next, const char *end, char *out)
{
	const char *read = at;
	const uint32_t code = aur_utf8_next(&read);
	if (code == CAPITAL_I_DOT) {
		out[0] = 'i';
		return 1 + aur_utf8_put(DOT_ABOVE, out + 1);
	}
	if (code == CAPITAL_SIGMA)
		return aur_utf8_put(cased_before(text, at) && !cased_after(next, end) ? FINAL_SIGMA : SIGMA, out);
	return aur_utf8_put((uint32_t)utf8proc_tolower((utf8proc_int32_t)code), out);
}

static char lower_of(char byte)
{
	return (char)(byte + (byte >= 'A' && byte <= 'Z' ? 'a' - 'A' : 0));
}

/* Lower case up to the first byte that is not ASCII, eight bytes at a time where there are so many. */
static size_t lower_ascii(const char *at, const char *end, char *out)
{
	const size_t bytes = (size_t)(end - at);
	size_t i = 0;
	for (; bytes - i >= 8 && is_ascii(at + i); i += 8)
		for (size_t j = i; j < i + 8; j++)
			out[j] = lower_of(at[j]);
	for (; i < bytes && (unsigned char)at[i] < 0x80; i++)
		out[i] = lower_of(at[i]);
	return i;
}

size_t aur_unicode_lower_room(size_t bytes)
{
	/* No code point of n bytes has a lower case of more than 3/2 n: the longest growth is from two bytes to three. */
	return bytes + bytes / 2;
}

size_t aur_unicode_lower(const char *text, size_t bytes, char *lower)
{
	const char *end = text + bytes;
	size_t used = 0;
	for (const char *at = text; at < end;) {
		const size_t ascii = lower_ascii(at, end, lower + used);
		at += ascii;
		used += ascii;
		if (at == end)
			break;
		const char *next = at;
		aur_utf8_next(&next);
		used += put_lower(text, at, next, end, lower + used);
		at = next;
	}
	return used;
}
