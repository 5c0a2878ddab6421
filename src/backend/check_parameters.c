/* The optimizer, the reductions and casts: operations on flat arrays. */

#include "backend/check.h"

static aur_status check_segments(const char *who, const struct aur_adamw *op, int64_t count)
{
	int64_t next = 0;
	for (int64_t i = 0; i < op->n_segments; i++) {
		if (op->segments[i].begin != next || op->segments[i].count < 0)
			return aur_fail(AUR_SHAPE, "%s: segment %lld begins at %lld, the one before it ends at %lld", who,
				(long long)i, (long long)op->segments[i].begin, (long long)next);
		next += op->segments[i].count;
	}
	if (next != count)
		return aur_fail(AUR_SHAPE, "%s: segments cover %lld elements of %lld", who, (long long)next, (long long)count);
	return AUR_OK;
}

aur_status aur_check_adamw(const struct aur_adamw *op)
{
	static const char name[] = "adamw";
	const int64_t count = aur_tensor_count(&op->weights);
	AUR_TRY(aur_check_matrix(name, "weights", &op->weights, AUR_F32, count, 1));
	AUR_TRY(aur_check_matrix(name, "gradients", &op->gradients, AUR_F32, count, 1));
	AUR_TRY(aur_check_matrix(name, "m", &op->m, AUR_F32, count, 1));
	AUR_TRY(aur_check_matrix(name, "v", &op->v, AUR_F32, count, 1));
	if (op->rounded.data)
		AUR_TRY(aur_check_matrix(name, "rounded", &op->rounded, AUR_BF16, count, 1));
	AUR_TRY(check_segments(name, op, count));
	return op->state ? AUR_OK : aur_fail(AUR_SHAPE, "%s: state is absent", name);
}

aur_status aur_check_sum_of_squares(const struct aur_sum_of_squares *op)
{
	static const char name[] = "sum_of_squares";
	const int64_t count = aur_tensor_count(&op->x);
	AUR_TRY(aur_check_matrix(name, "x", &op->x, AUR_F32, count, 1));
	return aur_check_matrix(name, "sums", &op->sums, AUR_F64, (count + AUR_NORM_BLOCK - 1) / AUR_NORM_BLOCK, 1);
}

aur_status aur_check_clip(const struct aur_clip *op)
{
	static const char name[] = "clip";
	AUR_TRY(aur_check_matrix(name, "sums", &op->sums, AUR_F64, aur_tensor_count(&op->sums), 1));
	if (!(op->beta1 >= 0 && op->beta1 < 1) || !(op->beta2 >= 0 && op->beta2 < 1))
		return aur_fail(AUR_SHAPE, "%s: betas %g and %g are not in [0, 1)", name, op->beta1, op->beta2);
	return op->state ? AUR_OK : aur_fail(AUR_SHAPE, "%s: state is absent", name);
}

aur_status aur_check_tree_add(const struct aur_tree_add *op)
{
	static const char name[] = "tree_add";
	if (op->n_parts < 1 || op->n_parts > AUR_TREE_PARTS || (op->n_parts & (op->n_parts - 1)) != 0)
		return aur_fail(
			AUR_SHAPE, "%s: %d parts; it must be a power of two up to %d", name, op->n_parts, AUR_TREE_PARTS);
	if (op->count < 0 || !op->out)
		return aur_fail(
			AUR_SHAPE, "%s: %lld elements, out is %s", name, (long long)op->count, op->out ? "present" : "absent");
	for (int i = 0; i < op->n_parts; i++)
		if (!op->parts[i])
			return aur_fail(AUR_SHAPE, "%s: part %d is absent", name, i);
	return AUR_OK;
}

aur_status aur_check_cast(const struct aur_cast *op)
{
	static const char name[] = "cast";
	const int64_t count = aur_tensor_count(&op->x);
	const int narrows = op->x.dtype == AUR_F32;
	AUR_TRY(aur_check_matrix(name, "x", &op->x, narrows ? AUR_F32 : AUR_BF16, count, 1));
	return aur_check_matrix(name, "y", &op->y, narrows ? AUR_BF16 : AUR_F32, count, 1);
}
