#ifndef AUR_BACKEND_CHECK_H
#define AUR_BACKEND_CHECK_H

/* What every backend checks before it runs an operation: the rules that backend.h states, written once. Each fails with
 * AUR_SHAPE and `operation: tensor is [3,5] fp32; it must be ...`. They read shapes, types and pointers, never what the
 * pointers point to: whether token numbers lie in the vocabulary is for the backend to see. */

#include "backend/backend.h"

/* Rows and columns of a view of any number of dimensions, the last being the columns. */
static inline int64_t aur_columns(const struct aur_tensor *tensor)
{
	return tensor->dims > 0 ? tensor->shape[tensor->dims - 1] : 1;
}

static inline int64_t aur_rows(const struct aur_tensor *tensor)
{
	int64_t rows = 1;
	for (int i = 0; i + 1 < tensor->dims; i++)
		rows *= tensor->shape[i];
	return rows;
}

/* What an operation computes in: bf16 when this activation is, otherwise fp32. */
static inline enum aur_dtype aur_compute_type(const struct aur_tensor *activation)
{
	return activation->dtype == AUR_BF16 ? AUR_BF16 : AUR_F32;
}

/* The tensor is present, contiguous, of this dtype and of rows x columns elements with `columns` in its last dimension.
 */
aur_status aur_check_matrix(const char *operation, const char *name, const struct aur_tensor *tensor,
	enum aur_dtype dtype, int64_t rows, int64_t columns);

/* The tensor is contiguous int32 [B,T] with at most INT32_MAX elements. */
aur_status aur_check_token_shape(const char *operation, const char *name, const struct aur_tensor *tokens);

/* Dropout, where there is any, has a state. */
aur_status aur_check_dropout(const char *operation, const struct aur_dropout *dropout);

aur_status aur_check_embedding_forward(const struct aur_embedding_forward *op);
aur_status aur_check_embedding_backward(const struct aur_embedding_backward *op);
aur_status aur_check_residual_norm_forward(const struct aur_residual_norm_forward *op);
aur_status aur_check_residual_norm_backward(const struct aur_residual_norm_backward *op);
aur_status aur_check_linear_forward(const struct aur_linear_forward *op);
aur_status aur_check_linear_backward(const struct aur_linear_backward *op);
aur_status aur_check_activation_forward(const struct aur_activation_forward *op);
aur_status aur_check_activation_backward(const struct aur_activation_backward *op);
aur_status aur_check_attention_forward(const struct aur_attention_forward *op);
aur_status aur_check_attention_backward(const struct aur_attention_backward *op);
aur_status aur_check_attention_cached(const struct aur_attention_cached *op);
aur_status aur_check_head_loss(const struct aur_head_loss *op);
aur_status aur_check_table_loss(const struct aur_table_loss *op);
aur_status aur_check_adamw(const struct aur_adamw *op);
aur_status aur_check_sum_of_squares(const struct aur_sum_of_squares *op);
aur_status aur_check_clip(const struct aur_clip *op);
aur_status aur_check_tree_add(const struct aur_tree_add *op);
aur_status aur_check_cast(const struct aur_cast *op);

#endif
