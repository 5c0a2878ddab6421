#include "token_groups.h"

#include <string.h>

static int64_t most_groups(int64_t n, int64_t vocabulary)
{
	return n < vocabulary ? n : vocabulary;
}

size_t aur_group_tokens_bytes(int64_t n, int64_t vocabulary)
{
	return (size_t)(vocabulary + 2 * most_groups(n, vocabulary) + 1 + n) * sizeof(int32_t);
}

/* Turns counts into where each token's positions begin, and lists the tokens that occur. */
static int64_t list_groups(int32_t *count, int64_t vocabulary, int32_t *token, int32_t *begin)
{
	int64_t groups = 0;
	int32_t next = 0;
	for (int64_t v = 0; v < vocabulary; v++) {
		if (count[v] == 0)
			continue;
		token[groups] = (int32_t)v;
		begin[groups++] = next;
		next += count[v];
		count[v] = begin[groups - 1];
	}
	begin[groups] = next;
	return groups;
}

struct aur_token_groups aur_group_tokens(const int32_t *tokens, int64_t n, int64_t vocabulary, void *memory)
{
	int32_t *next = memory;
	int32_t *token = next + vocabulary;
	int32_t *begin = token + most_groups(n, vocabulary);
	int32_t *positions = begin + most_groups(n, vocabulary) + 1;
	memset(next, 0, (size_t)vocabulary * sizeof *next);
	for (int64_t i = 0; i < n; i++)
		next[tokens[i]]++;
	const int64_t groups = list_groups(next, vocabulary, token, begin);
	for (int64_t i = 0; i < n; i++)
		positions[next[tokens[i]]++] = (int32_t)i;
	return (struct aur_token_groups){.n = groups, .token = token, .begin = begin, .positions = positions};
}
