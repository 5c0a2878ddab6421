#include "backend/check.h"

#include <stdio.h>

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

aur_status aur_check_token_shape(const char *operation, const char *name, const struct aur_tensor *tokens)
{
	if (tokens->dims != 2)
		return aur_fail(AUR_SHAPE, "%s: %s has %d dimensions; it must be [B,T]", operation, name, tokens->dims);
	AUR_TRY(aur_check_matrix(operation, name, tokens, AUR_I32, tokens->shape[0], tokens->shape[1]));
	if (aur_tensor_count(tokens) > INT32_MAX)
		return aur_fail(AUR_SHAPE, "%s: %s has %lld tokens; a micro-batch may have %d", operation, name,
			(long long)aur_tensor_count(tokens), INT32_MAX);
	return AUR_OK;
}

aur_status aur_check_dropout(const char *operation, const struct aur_dropout *dropout)
{
	if (dropout->p > 0.0f && !dropout->state)
		return aur_fail(AUR_SHAPE, "%s: dropout needs a state", operation);
	return AUR_OK;
}
