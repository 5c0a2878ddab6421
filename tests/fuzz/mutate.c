#include "mutate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INPUT_MAX = 1 << 20 }; /* changes that would make an input longer are left out */

uint64_t fuzz_random(uint64_t *random)
{
	uint64_t mixed = *random += 0x9e3779b97f4a7c15u;
	mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9u;
	mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebu;
	return mixed ^ mixed >> 31;
}

/* A number of [0, limit); 0 where limit is 0. */
static size_t below(uint64_t *random, size_t limit)
{
	return limit > 0 ? (size_t)(fuzz_random(random) % limit) : 0;
}

static void reserve(struct fuzz_bytes *input, size_t room)
{
	if (room <= input->room)
		return;
	input->bytes = realloc(input->bytes, 2 * room);
	if (!input->bytes) {
		fprintf(stderr, "no memory for the input\n");
		exit(1);
	}
	input->room = 2 * room;
}

void fuzz_set(struct fuzz_bytes *input, const void *bytes, size_t count)
{
	reserve(input, count + 1);
	if (count > 0)
		memcpy(input->bytes, bytes, count);
	input->size = count;
}

/* Puts `count` bytes, which must not be the input's own, in place of `gone` bytes at `at`. */
static void replace(struct fuzz_bytes *input, size_t at, size_t gone, const void *bytes, size_t count)
{
	if (input->size - gone + count > INPUT_MAX)
		return;
	reserve(input, input->size - gone + count + 1);
	memmove(input->bytes + at + count, input->bytes + at + gone, input->size - at - gone);
	if (count > 0)
		memcpy(input->bytes + at, bytes, count);
	input->size += count - gone;
}

/* ---- the changes ---- */

static void flip_bit(struct fuzz_bytes *input, uint64_t *random)
{
	if (input->size > 0)
		input->bytes[below(random, input->size)] ^= (unsigned char)(1u << below(random, 8));
}

static void set_byte(struct fuzz_bytes *input, uint64_t *random)
{
	static const unsigned char telling[] = {0, 1, 0x7f, 0x80, 0xc0, 0xff, '\n', '\r', '\t', ' ', '"', '\\', '{', '}',
		'[', ']', ',', ':', '-', '.', '\'', '#', '&', '*', '!', '%'};
	if (input->size > 0)
		input->bytes[below(random, input->size)] = telling[below(random, sizeof telling)];
}

/* Numbers of 1, 2, 4 or 8 bytes that a size or an offset should not be. */
static void set_number(struct fuzz_bytes *input, uint64_t *random)
{
	const size_t width = (size_t)1 << below(random, 4);
	const uint64_t numbers[] = {0, 1, 2, input->size, input->size - 1, input->size + 1, 0x7f, 0x80, 0xff, 0x7fff,
		0x8000, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff, 0x100000000, INT64_MAX, UINT64_MAX, UINT64_MAX - 1,
		(uint64_t)1 << 40, UINT64_MAX / 8, UINT64_MAX / 2 + 2};
	uint64_t number = numbers[below(random, sizeof numbers / sizeof numbers[0])];
	if (input->size < width)
		return;
	size_t at = below(random, input->size - width + 1);
	if (below(random, 2))
		at -= at % width;
	for (size_t i = 0; i < width; i++, number >>= 8)
		input->bytes[at + i] = (unsigned char)number;
}

static void cut_end(struct fuzz_bytes *input, uint64_t *random)
{
	input->size = below(random, input->size + 1);
}

static void cut_out(struct fuzz_bytes *input, uint64_t *random)
{
	if (input->size == 0)
		return;
	const size_t at = below(random, input->size), rest = input->size - at;
	const size_t most = below(random, 4) > 0 && rest > 16 ? 16 : rest;
	replace(input, at, 1 + below(random, most), NULL, 0);
}

static void insert_bytes(struct fuzz_bytes *input, uint64_t *random)
{
	unsigned char bytes[64];
	const size_t count = 1 + below(random, below(random, 4) ? 4 : sizeof bytes);
	const int same = below(random, 2) == 0;
	for (size_t i = 0; i < count; i++)
		bytes[i] = same && i > 0 ? bytes[0] : (unsigned char)fuzz_random(random);
	replace(input, below(random, input->size + 1), 0, bytes, count);
}

/* A piece of the input once more, at another place or up to a thousand times in a row: deep nesting, long lists. */
static void repeat_piece(struct fuzz_bytes *input, uint64_t *random)
{
	enum { PIECE = 256, TIMES = 1000 };
	static unsigned char pieces[PIECE * TIMES];
	const size_t from = below(random, input->size), rest = input->size - from;
	const size_t limit = below(random, 2) ? PIECE : 4;
	const size_t count = below(random, (rest < limit ? rest : limit) + 1);
	const size_t times = below(random, 8) > 0 ? 1 : 1 + below(random, TIMES);
	for (size_t i = 0; i < times && count > 0; i++)
		memcpy(pieces + i * count, input->bytes + from, count);
	replace(input, times > 1 ? from : below(random, input->size + 1), 0, pieces, times * count);
}

static void splice(struct fuzz_bytes *input, const struct fuzz_bytes *other, uint64_t *random)
{
	const size_t from = below(random, other->size + 1);
	const size_t rest = other->size - from, count = below(random, 2) ? rest : below(random, rest + 1);
	const size_t at = below(random, input->size + 1);
	const size_t gone = below(random, 2) ? input->size - at : below(random, input->size - at + 1);
	replace(input, at, gone, other->bytes + from, count);
}

static int is_digit(unsigned char byte)
{
	return byte >= '0' && byte <= '9';
}

/* A number that is written in digits becomes one that nobody expects there. */
static void edit_digits(struct fuzz_bytes *input, uint64_t *random)
{
	static const char *const numbers[] = {"0", "-1", "1", "-0", "00", "2147483647", "2147483648", "-2147483649",
		"4294967296", "9223372036854775807", "9223372036854775808", "18446744073709551616",
		"123456789012345678901234567890", "1e999", "-1e999", "1e-999", "0x10", "1.5", "NaN", "Infinity", "null",
		"\"1\"", "", "1e18", "50257", "65536", "255", "256"};
	const char *number = numbers[below(random, sizeof numbers / sizeof numbers[0])];
	size_t at = below(random, input->size), end;
	while (at < input->size && !is_digit(input->bytes[at]))
		at++;
	for (end = at; end < input->size && is_digit(input->bytes[end]);)
		end++;
	if (end > at)
		replace(input, at, end - at, number, strlen(number));
}

static void insert_word(struct fuzz_bytes *input, const char *const *words, uint64_t *random)
{
	size_t n = 0;
	while (words[n])
		n++;
	const char *word = words[below(random, n)];
	const size_t at = below(random, input->size + 1), length = strlen(word);
	const size_t rest = input->size - at;
	replace(input, at, below(random, 2) ? 0 : (rest < length ? rest : length), word, length);
}

void fuzz_mutate(struct fuzz_bytes *input, const struct fuzz_bytes *other, const char *const *words, uint64_t *random)
{
	switch (below(random, words ? 14 : 11)) {
	case 0:
	case 1:
		flip_bit(input, random);
		break;
	case 2:
		set_byte(input, random);
		break;
	case 3:
		set_number(input, random);
		break;
	case 4:
		cut_end(input, random);
		break;
	case 5:
		cut_out(input, random);
		break;
	case 6:
		insert_bytes(input, random);
		break;
	case 7:
		repeat_piece(input, random);
		break;
	case 8:
		splice(input, other, random);
		break;
	case 9:
	case 10:
		edit_digits(input, random);
		break;
	default:
		insert_word(input, words, random);
	}
}
