#include "core/suggest.h"

#include <string.h>

/* Longer words are no typing slips of an option or a key. */
enum { WORD_LIMIT = 63 };

static int smaller(int a, int b)
{
	return a < b ? a : b;
}

/* One row of the table of distances between beginnings, from the two rows before it. */
static void next_row(const char *a, int i, const char *b, int length, const int *before, const int *above, int *row)
{
	row[0] = i;
	for (int j = 1; j <= length; j++) {
		const int replaced = above[j - 1] + (a[i - 1] != b[j - 1]);
		row[j] = smaller(replaced, smaller(above[j], row[j - 1]) + 1);
		if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
			row[j] = smaller(row[j], before[j - 2] + 1);
	}
}

static int distance(const char *a, int a_length, const char *b, int b_length)
{
	int rows[3][WORD_LIMIT + 1] = {{0}};
	for (int j = 0; j <= b_length; j++)
		rows[0][j] = j;
	for (int i = 1; i <= a_length; i++)
		next_row(a, i, b, b_length, rows[(i + 1) % 3], rows[(i + 2) % 3], rows[i % 3]);
	return rows[a_length % 3][b_length];
}

/* Whether three letters or more, not counting the dashes of an option, begin the candidate. */
static int begins(const char *word, const char *candidate)
{
	const size_t dashes = strspn(word, "-");
	return strlen(word) - dashes >= 3 && strncmp(word, candidate, strlen(word)) == 0;
}

const char *aur_suggest(const char *word, const char *const *candidates, int64_t n)
{
	const size_t length = strlen(word);
	if (length == 0 || length > WORD_LIMIT)
		return NULL;
	const char *best = NULL;
	int best_distance = WORD_LIMIT + 1;
	for (int64_t i = 0; i < n; i++) {
		const size_t other = strlen(candidates[i]);
		if (other > WORD_LIMIT)
			continue;
		int d = distance(word, (int)length, candidates[i], (int)other);
		if (begins(word, candidates[i]))
			d = smaller(d, 1);
		const int longer = (int)(length > other ? length : other);
		if (d < best_distance && d <= (longer < 6 ? 1 : longer / 3)) {
			best_distance = d;
			best = candidates[i];
		}
	}
	return best;
}
