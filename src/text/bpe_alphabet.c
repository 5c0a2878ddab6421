#include "bpe_alphabet.h"

#include "unicode.h"

/* Bytes that do not stand for themselves: 0 to 32, 127 to 160, 173. */
enum { LOW = 33, HIGH = 34, FIRST = 256, ALPHABET = FIRST + LOW + HIGH + 1 };

static uint32_t character_of(unsigned char byte)
{
	if (byte < LOW)
		return FIRST + byte;
	if (byte >= 127 && byte <= 160)
		return (uint32_t)(FIRST + LOW + byte - 127);
	return byte == 173 ? ALPHABET - 1 : byte;
}

static int byte_of(uint32_t character)
{
	if (character >= FIRST && character < FIRST + LOW)
		return (int)character - FIRST;
	if (character >= FIRST + LOW && character < ALPHABET - 1)
		return (int)character - FIRST - LOW + 127;
	if (character == ALPHABET - 1)
		return 173;
	return character < FIRST && character_of((unsigned char)character) == character ? (int)character : -1;
}

ptrdiff_t aur_alphabet_bytes(const char *text, size_t size, char *bytes)
{
	const char *at = text, *end = text + size;
	ptrdiff_t n = 0;
	while (at < end) {
		const int byte = byte_of(aur_utf8_next(&at));
		if (byte < 0)
			return -1;
		bytes[n++] = (char)byte;
	}
	return n;
}

size_t aur_alphabet_text(const char *bytes, size_t size, char *text)
{
	size_t n = 0;
	for (size_t i = 0; i < size; i++)
		n += aur_utf8_put(character_of((unsigned char)bytes[i]), text + n);
	return n;
}
