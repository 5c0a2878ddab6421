/* The layers whose rows are independent: products, activations, normalisation. */

#include "backend/check.h"

aur_status aur_check_linear_forward(const struct aur_linear_forward *op)
{
	static const char name[] = "linear_forward";
	const enum aur_dtype type = aur_compute_type(&op->x);
	const int64_t rows = aur_rows(&op->x), inputs = aur_columns(&op->x), outputs = aur_rows(&op->w);
	AUR_TRY(aur_check_matrix(name, "x", &op->x, type, rows, inputs));
	AUR_TRY(aur_check_matrix(name, "w", &op->w, type, outputs, inputs));
	AUR_TRY(aur_check_matrix(name, "y", &op->y, type, rows, outputs));
	if (op->bias.data)
		AUR_TRY(aur_check_matrix(name, "bias", &op->bias, type, 1, outputs));
	return AUR_OK;
}

aur_status aur_check_linear_backward(const struct aur_linear_backward *op)
{
	static const char name[] = "linear_backward";
	const enum aur_dtype type = aur_compute_type(&op->d_y);
	const int64_t rows = aur_rows(&op->d_y), inputs = aur_columns(&op->d_w), outputs = aur_columns(&op->d_y);
	AUR_TRY(aur_check_matrix(name, "d_y", &op->d_y, type, rows, outputs));
	AUR_TRY(aur_check_matrix(name, "x", &op->x, type, rows, inputs));
	AUR_TRY(aur_check_matrix(name, "d_w", &op->d_w, AUR_F32, outputs, inputs));
	if (op->d_x.data) {
		AUR_TRY(aur_check_matrix(name, "w", &op->w, type, outputs, inputs));
		AUR_TRY(aur_check_matrix(name, "d_x", &op->d_x, type, rows, inputs));
		if (op->d_x.data == op->d_y.data)
			return aur_fail(AUR_SHAPE, "%s: d_x may not be d_y", name);
	}
	if (op->d_bias.data)
		AUR_TRY(aur_check_matrix(name, "d_bias", &op->d_bias, AUR_F32, 1, outputs));
	return AUR_OK;
}

static aur_status check_kind(const char *who, enum aur_activation_kind kind)
{
	if ((unsigned)kind > AUR_GELU_TANH)
		return aur_fail(AUR_SHAPE, "%s: unknown activation %d", who, (int)kind);
	return AUR_OK;
}

static aur_status disagree(const char *who)
{
	return aur_fail(AUR_SHAPE, "%s: x and its result or gradients disagree", who);
}

aur_status aur_check_activation_forward(const struct aur_activation_forward *op)
{
	static const char name[] = "activation_forward";
	const int64_t count = aur_tensor_count(&op->x);
	const enum aur_dtype type = aur_compute_type(&op->x);
	AUR_TRY(check_kind(name, op->kind));
	if (!aur_tensor_is(&op->x, type, count) || !aur_tensor_is(&op->y, type, count))
		return disagree(name);
	return AUR_OK;
}

aur_status aur_check_activation_backward(const struct aur_activation_backward *op)
{
	static const char name[] = "activation_backward";
	const int64_t count = aur_tensor_count(&op->x);
	const enum aur_dtype type = aur_compute_type(&op->x);
	AUR_TRY(check_kind(name, op->kind));
	if (!aur_tensor_is(&op->x, type, count) || !aur_tensor_is(&op->d_y, type, count) ||
		!aur_tensor_is(&op->d_x, type, count))
		return disagree(name);
	return AUR_OK;
}

static int is_row(const struct aur_tensor *tensor, int64_t count)
{
	return aur_tensor_is(tensor, AUR_F32, count);
}

static int absent_or(const struct aur_tensor *tensor, enum aur_dtype type, int64_t count)
{
	return !tensor->data || aur_tensor_is(tensor, type, count);
}

static aur_status check_norm_dropout(const char *who, const struct aur_dropout *dropout, int64_t sequence, int64_t rows)
{
	if (dropout->p > 0.0f && (sequence <= 0 || rows % sequence != 0 || !dropout->state))
		return aur_fail(
			AUR_SHAPE, "%s: dropout needs a state and sequences that divide the %lld rows", who, (long long)rows);
	return AUR_OK;
}

aur_status aur_check_residual_norm_forward(const struct aur_residual_norm_forward *op)
{
	static const char name[] = "residual_norm_forward";
	const int64_t columns = aur_tensor_count(&op->gamma), rows = aur_tensor_count(&op->mean), count = rows * columns;
	const enum aur_dtype type = aur_compute_type(&op->b);
	if (rows <= 0 || columns <= 0 || !aur_tensor_is(&op->b, type, count) || !aur_tensor_is(&op->y, type, count) ||
		!absent_or(&op->a, type, count) || !absent_or(&op->s, type, count))
		return aur_fail(AUR_SHAPE, "%s: a, b, s and y disagree", name);
	if (!is_row(&op->gamma, columns) || !absent_or(&op->beta, AUR_F32, columns) || !is_row(&op->mean, rows) ||
		!is_row(&op->rstd, rows))
		return aur_fail(AUR_SHAPE, "%s: gamma, beta, mean or rstd do not fit [%lld, %lld]", name, (long long)rows,
			(long long)columns);
	if (!op->s.data && (op->a.data || op->dropout.p > 0.0f))
		return aur_fail(AUR_SHAPE, "%s: s may be absent only without a and without dropout", name);
	return check_norm_dropout(name, &op->dropout, op->sequence, rows);
}

aur_status aur_check_residual_norm_backward(const struct aur_residual_norm_backward *op)
{
	static const char name[] = "residual_norm_backward";
	const int64_t columns = aur_tensor_count(&op->gamma), rows = aur_tensor_count(&op->mean), count = rows * columns;
	const enum aur_dtype type = aur_compute_type(&op->d_y);
	if (rows <= 0 || columns <= 0 || !aur_tensor_is(&op->d_y, type, count) || !aur_tensor_is(&op->s, type, count) ||
		!aur_tensor_is(&op->d_a, type, count) || !absent_or(&op->d_y2, type, count) ||
		!absent_or(&op->d_residual, type, count) || !absent_or(&op->d_b, type, count))
		return aur_fail(AUR_SHAPE, "%s: d_y, d_y2, d_residual, s, d_a and d_b disagree", name);
	if (!is_row(&op->gamma, columns) || !is_row(&op->d_gamma, columns) || !absent_or(&op->d_beta, AUR_F32, columns) ||
		!is_row(&op->mean, rows) || !is_row(&op->rstd, rows))
		return aur_fail(AUR_SHAPE, "%s: gamma, mean, rstd, d_gamma or d_beta do not fit [%lld, %lld]", name,
			(long long)rows, (long long)columns);
	return check_norm_dropout(name, &op->dropout, op->sequence, rows);
}
