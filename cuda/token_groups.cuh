#ifndef AUR_CUDA_TOKEN_GROUPS_CUH
#define AUR_CUDA_TOKEN_GROUPS_CUH

/* The positions of a micro-batch in ascending order of the token they hold, and of themselves where tokens are equal:
 * so that all contributions to a row of a table lie side by side and can be added without atomics, in one order.
 *
 *   token[i]      the i-th smallest token       [n]
 *   position[i]   where it stands               [n]
 *
 * A token outside of [0, vocabulary) is sorted as `vocabulary`, to the end, and `fault` is put into
 * cuda->fault. n is below 2^31. The result lies in `memory`, device memory of aur_cuda_token_groups_bytes(n).
 * Asynchronous on the compute stream. */

#include "internal.cuh"

struct aur_token_groups {
	const int32_t *token, *position;
	int64_t n;
};

size_t aur_cuda_token_groups_bytes(int64_t n);

aur_status aur_cuda_group_tokens(struct aur_cuda *cuda, const char *who, enum aur_cuda_fault fault,
	const int32_t *tokens, int64_t n, int64_t vocabulary, void *memory, struct aur_token_groups *groups);

/* The first i with token[i] > `token`: the end of its group. */
AUR_ON_DEVICE int64_t aur_group_end(const struct aur_token_groups &groups, int32_t token)
{
	int64_t low = 0, high = groups.n;
	while (low < high) {
		const int64_t middle = (low + high) / 2;
		if (groups.token[middle] > token)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

#endif
