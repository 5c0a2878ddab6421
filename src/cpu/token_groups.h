#ifndef AUR_CPU_TOKEN_GROUPS_H
#define AUR_CPU_TOKEN_GROUPS_H

#include "variant.h"

#include <stddef.h>
#include <stdint.h>

/* The positions of a batch, grouped by the token they hold: so that all contributions to one row of a table are added
 * by one thread, in ascending order of position. Group i: token[i] at positions[begin[i]] to positions[begin[i + 1]].
 */
struct aur_token_groups {
	int64_t n;
	const int32_t *token;
	const int32_t *begin; /* n + 1 */
	const int32_t *positions;
};

/* Bytes of memory that grouping n tokens of a vocabulary takes. */
size_t aur_group_tokens_bytes(int64_t n, int64_t vocabulary);

/* A counting sort. tokens [n], each in [0, vocabulary), n below 2^31. The result lies in `memory`. */
struct aur_token_groups aur_group_tokens(const int32_t *tokens, int64_t n, int64_t vocabulary, void *memory);

#endif
