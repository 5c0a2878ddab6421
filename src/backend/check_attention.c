#include "backend/check.h"

/* What the three operations have in common. */
struct sizes {
	int64_t batch, positions, heads, width;
	int64_t rows; /* B*T */
};

static struct sizes sizes_of(const struct aur_tensor *out, int64_t batch, int64_t positions, int64_t heads)
{
	const int64_t rows = batch * positions;
	const int64_t width = rows > 0 ? aur_tensor_count(out) / rows : 0;
	return (struct sizes){batch, positions, heads, width, rows};
}

static aur_status check_sizes(const char *who, const struct sizes *sizes, int64_t n_kv_head)
{
	if (sizes->batch <= 0 || sizes->positions <= 0 || sizes->heads <= 0 ||
		(n_kv_head != 0 && n_kv_head != sizes->heads))
		return aur_fail(AUR_SHAPE, "%s: batch, positions and heads must be positive, and n_kv_head 0 or n_head", who);
	if (sizes->width <= 0 || sizes->width % sizes->heads != 0)
		return aur_fail(AUR_SHAPE, "%s: %lld heads do not divide the width of out", who, (long long)sizes->heads);
	return AUR_OK;
}

aur_status aur_check_attention_forward(const struct aur_attention_forward *op)
{
	static const char name[] = "attention_forward";
	const struct sizes sizes = sizes_of(&op->out, op->batch, op->positions, op->n_head);
	const int64_t count = sizes.rows * sizes.width;
	const enum aur_dtype type = aur_compute_type(&op->qkv);
	AUR_TRY(check_sizes(name, &sizes, op->n_kv_head));
	AUR_TRY(aur_check_dropout(name, &op->dropout));
	if (!aur_tensor_is(&op->qkv, type, 3 * count) || !aur_tensor_is(&op->out, type, count) ||
		!aur_tensor_is(&op->lse, AUR_F32, sizes.rows * sizes.heads))
		return aur_fail(AUR_SHAPE, "%s: qkv, out or lse do not fit %s [%lld, %lld, %lld]", name, aur_dtype_name(type),
			(long long)sizes.batch, (long long)sizes.positions, (long long)sizes.width);
	return AUR_OK;
}

aur_status aur_check_attention_backward(const struct aur_attention_backward *op)
{
	static const char name[] = "attention_backward";
	const struct sizes sizes = sizes_of(&op->out, op->batch, op->positions, op->n_head);
	const int64_t count = sizes.rows * sizes.width;
	const enum aur_dtype type = aur_compute_type(&op->qkv);
	AUR_TRY(check_sizes(name, &sizes, op->n_kv_head));
	AUR_TRY(aur_check_dropout(name, &op->dropout));
	if (!aur_tensor_is(&op->qkv, type, 3 * count) || !aur_tensor_is(&op->d_qkv, type, 3 * count) ||
		!aur_tensor_is(&op->out, type, count) || !aur_tensor_is(&op->d_out, type, count) ||
		!aur_tensor_is(&op->lse, AUR_F32, sizes.rows * sizes.heads))
		return aur_fail(AUR_SHAPE, "%s: qkv, out, lse, d_out or d_qkv do not fit %s [%lld, %lld, %lld]", name,
			aur_dtype_name(type), (long long)sizes.batch, (long long)sizes.positions, (long long)sizes.width);
	return AUR_OK;
}

aur_status aur_check_attention_cached(const struct aur_attention_cached *op)
{
	static const char name[] = "attention_cached";
	const struct sizes sizes = sizes_of(&op->out, op->batch, op->positions, op->n_head);
	const int64_t count = sizes.rows * sizes.width, cached = op->batch * op->capacity * sizes.width;
	const enum aur_dtype type = aur_compute_type(&op->qkv);
	AUR_TRY(check_sizes(name, &sizes, op->n_kv_head));
	if (op->past < 0 || op->past + op->positions > op->capacity)
		return aur_fail(AUR_SHAPE, "%s: %lld rows after %lld do not fit a cache of %lld", name,
			(long long)op->positions, (long long)op->past, (long long)op->capacity);
	if (!aur_tensor_is(&op->out, type, count) || !aur_tensor_is(&op->qkv, type, 3 * count) ||
		!aur_tensor_is(&op->k_cache, type, cached) || !aur_tensor_is(&op->v_cache, type, cached))
		return aur_fail(AUR_SHAPE, "%s: qkv, out or the caches do not fit %s of %lld heads", name, aur_dtype_name(type),
			(long long)op->n_head);
	return AUR_OK;
}
