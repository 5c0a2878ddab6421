#include "internal.h"

#include <stdio.h>
#include <string.h>

static void describe(char *text, size_t bytes, const struct aur_tensor *tensor)
{
	if (!tensor->data) {
		snprintf(text, bytes, "absent");
		return;
	}
	size_t used = 0;
	for (int i = 0; i < tensor->dims && used < bytes; i++)
		used += (size_t)snprintf(text + used, bytes - used, "%c%lld", i ? ',' : '[', (long long)tensor->shape[i]);
	if (used < bytes)
		snprintf(text + used, bytes - used, "] %s", aur_dtype_name(tensor->dtype));
}

aur_status aur_check_matrix(const char *operation, const char *name, const struct aur_tensor *tensor,
	enum aur_dtype dtype, int64_t rows, int64_t columns)
{
	if (aur_tensor_is(tensor, dtype, rows * columns) && (aur_columns(tensor) == columns || columns == 1))
		return AUR_OK;
	char text[128];
	describe(text, sizeof text, tensor);
	return aur_fail(AUR_SHAPE, "%s: %s is %s; it must be contiguous [%lld,%lld] %s", operation, name, text,
		(long long)rows, (long long)columns, aur_dtype_name(dtype));
}

static int64_t first_outside(const int32_t *tokens, int64_t n, int64_t vocabulary)
{
	for (int64_t i = 0; i < n; i++)
		if (tokens[i] < 0 || tokens[i] >= vocabulary)
			return i;
	return -1;
}

aur_status aur_check_tokens(
	const char *operation, const char *name, const struct aur_tensor *tokens, int64_t vocabulary)
{
	if (tokens->dims != 2)
		return aur_fail(AUR_SHAPE, "%s: %s has %d dimensions; it must be [B,T]", operation, name, tokens->dims);
	AUR_TRY(aur_check_matrix(operation, name, tokens, AUR_I32, tokens->shape[0], tokens->shape[1]));
	if (aur_tensor_count(tokens) > INT32_MAX)
		return aur_fail(AUR_SHAPE, "%s: %s has %lld tokens; a micro-batch may have %d", operation, name,
			(long long)aur_tensor_count(tokens), INT32_MAX);
	const int32_t *numbers = tokens->data;
	const int64_t bad = first_outside(numbers, aur_tensor_count(tokens), vocabulary);
	if (bad < 0)
		return AUR_OK;
	return aur_fail(AUR_INPUT, "%s: %s[%lld] is %d; the vocabulary has %lld tokens", operation, name, (long long)bad,
		(int)numbers[bad], (long long)vocabulary);
}
