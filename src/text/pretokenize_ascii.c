#include "pretokenize_ascii.h"

/* What the patterns tell apart. FAR: not ASCII. */
enum { FAR, LETTER, DIGIT, SPACE, OTHER };

#define SAME_8(class) class, class, class, class, class, class, class, class
#define SAME_26(class) SAME_8(class), SAME_8(class), SAME_8(class), class, class

static const unsigned char classes[256] = {
	SAME_8(OTHER),                                                        /* 0x00 */
	OTHER, SPACE, SPACE, SPACE, SPACE, SPACE, OTHER, OTHER,               /* tab to carriage return */
	SAME_8(OTHER), SAME_8(OTHER), SPACE,                                  /* up to the space */
	SAME_8(OTHER), OTHER, OTHER, OTHER, OTHER, OTHER, OTHER, OTHER,       /* ! to / */
	DIGIT, DIGIT, DIGIT, DIGIT, DIGIT, DIGIT, DIGIT, DIGIT, DIGIT, DIGIT, /* 0 to 9 */
	OTHER, OTHER, OTHER, OTHER, OTHER, OTHER, OTHER, SAME_26(LETTER),     /* : to Z */
	OTHER, OTHER, OTHER, OTHER, OTHER, OTHER, SAME_26(LETTER), OTHER, OTHER, OTHER, OTHER, OTHER, /* [ to 0x7f */
};

static int class_at(const char *at, const char *end)
{
	return at < end ? classes[(unsigned char)*at] : SPACE;
}

/* Behind the run of one class that `at` is in. */
static const char *run_of(int class, const char *at, const char *end)
{
	while (at < end && classes[(unsigned char)*at] == class)
		at++;
	return at;
}

static int is_far(const char *at, const char *end)
{
	return at < end && (unsigned char)*at >= 0x80;
}

/* The length of 's, 't, 're, 've, 'm, 'll or 'd at an apostrophe, 0 when it is none. `fold` is 0x20 where capitals
 * count too. */
static size_t contraction(const char *at, const char *end, int fold)
{
	if (end - at < 2)
		return 0;
	const int first = at[1] | fold;
	if (first == 's' || first == 't' || first == 'm' || first == 'd')
		return 2;
	if (end - at < 3)
		return 0;
	const int second = at[2] | fold;
	const int is_long = (second == 'e' && (first == 'r' || first == 'v')) || (first == 'l' && second == 'l');
	return is_long ? 3 : 0;
}

/* White space up to a word leaves its last character to the word. */
static size_t blank_piece(const char *begin, const char *stop, const char *end)
{
	return (size_t)(stop - begin) - (stop < end && stop - begin > 1);
}

/*  's|'t|'re|'ve|'m|'ll|'d  |  ?letters  |  ?numbers  |  ?others  |  white space (but for its last)  */
size_t aur_ascii_piece_gpt2(const char *begin, const char *end)
{
	const size_t short_form = *begin == '\'' ? contraction(begin, end, 0) : 0;
	if (short_form > 0)
		return short_form;
	const char *at = begin + (*begin == ' ');
	int class = class_at(at, end);
	if (class == SPACE)
		at = begin;
	const char *stop = run_of(class, at, end);
	if (class == FAR || is_far(stop, end))
		return 0;
	return class == SPACE ? blank_piece(begin, stop, end) : (size_t)(stop - begin);
}

/* White space up to its last line end, if it has one. */
static size_t blank_piece_gpt4(const char *begin, const char *end)
{
	const char *stop = run_of(SPACE, begin, end);
	if (is_far(stop, end))
		return 0;
	for (const char *line_end = stop; line_end > begin; line_end--)
		if (line_end[-1] == '\n' || line_end[-1] == '\r')
			return (size_t)(line_end - begin);
	return blank_piece(begin, stop, end);
}

static size_t numbers_gpt4(const char *begin, const char *end)
{
	const char *most = end - begin > 3 ? begin + 3 : end;
	const char *stop = run_of(DIGIT, begin, most);
	return stop < most && is_far(stop, end) ? 0 : (size_t)(stop - begin);
}

static size_t others_gpt4(const char *begin, const char *at, const char *end)
{
	const char *stop = run_of(OTHER, at, end);
	if (is_far(stop, end))
		return 0;
	while (stop < end && (*stop == '\n' || *stop == '\r'))
		stop++;
	return (size_t)(stop - begin);
}

/* contractions, capitals too  |  one that is no line end, letter or number, and letters  |  one to three numbers
 * |  ?others and line ends  |  white space up to its last line end  |  white space (but for its last)  */
size_t aur_ascii_piece_gpt4(const char *begin, const char *end)
{
	if (*begin == '\'') {
		/* By case folding the long s, which is not ASCII, is an s. */
		if (is_far(begin + 1, end))
			return 0;
		const size_t short_form = contraction(begin, end, 0x20);
		if (short_form > 0)
			return short_form;
	}
	const int class = classes[(unsigned char)*begin];
	if (class == FAR)
		return 0;
	if (class == DIGIT)
		return numbers_gpt4(begin, end);
	const int leads = class != LETTER && *begin != '\n' && *begin != '\r';
	if (leads && is_far(begin + 1, end))
		return 0;
	const char *at = begin + leads;
	if (class_at(at, end) == LETTER) {
		const char *stop = run_of(LETTER, at, end);
		return is_far(stop, end) ? 0 : (size_t)(stop - begin);
	}
	if (class == OTHER)
		return others_gpt4(begin, begin, end);
	if (*begin == ' ' && class_at(begin + 1, end) == OTHER)
		return others_gpt4(begin, begin + 1, end);
	return blank_piece_gpt4(begin, end);
}
