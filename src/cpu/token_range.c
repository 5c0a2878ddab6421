#include "internal.h"

static int64_t first_outside(const int32_t *tokens, int64_t n, int64_t vocabulary)
{
	for (int64_t i = 0; i < n; i++)
		if (tokens[i] < 0 || tokens[i] >= vocabulary)
			return i;
	return -1;
}

aur_status aur_check_token_range(
	const char *operation, const char *name, const struct aur_tensor *tokens, int64_t vocabulary)
{
	const int32_t *numbers = tokens->data;
	const int64_t bad = first_outside(numbers, aur_tensor_count(tokens), vocabulary);
	if (bad < 0)
		return AUR_OK;
	return aur_fail(AUR_INPUT, "%s: %s[%lld] is %d; the vocabulary has %lld tokens", operation, name, (long long)bad,
		(int)numbers[bad], (long long)vocabulary);
}
