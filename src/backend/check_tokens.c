/* The operations that are given token numbers. */

#include "backend/check.h"

aur_status aur_check_embedding_forward(const struct aur_embedding_forward *op)
{
	static const char name[] = "embedding_forward";
	const int64_t width = aur_columns(&op->wte);
	const enum aur_dtype type = aur_compute_type(&op->out);
	AUR_TRY(aur_check_matrix(name, "wte", &op->wte, type, aur_rows(&op->wte), width));
	AUR_TRY(aur_check_token_shape(name, "tokens", &op->tokens));
	AUR_TRY(aur_check_matrix(name, "wpe", &op->wpe, type, aur_rows(&op->wpe), width));
	AUR_TRY(aur_check_matrix(name, "out", &op->out, type, aur_tensor_count(&op->tokens), width));
	if (op->first_position < 0 || op->first_position + op->tokens.shape[1] > aur_rows(&op->wpe))
		return aur_fail(AUR_SHAPE, "%s: positions %lld to %lld; wpe has %lld", name, (long long)op->first_position,
			(long long)(op->first_position + op->tokens.shape[1]), (long long)aur_rows(&op->wpe));
	return aur_check_dropout(name, &op->dropout);
}

aur_status aur_check_embedding_backward(const struct aur_embedding_backward *op)
{
	static const char name[] = "embedding_backward";
	const int64_t width = aur_columns(&op->d_wte);
	AUR_TRY(aur_check_matrix(name, "d_wte", &op->d_wte, AUR_F32, aur_rows(&op->d_wte), width));
	AUR_TRY(aur_check_token_shape(name, "tokens", &op->tokens));
	AUR_TRY(aur_check_matrix(name, "d_wpe", &op->d_wpe, AUR_F32, aur_rows(&op->d_wpe), width));
	AUR_TRY(aur_check_matrix(
		name, "d_out", &op->d_out, aur_compute_type(&op->d_out), aur_tensor_count(&op->tokens), width));
	if (op->tokens.shape[1] > aur_rows(&op->d_wpe))
		return aur_fail(AUR_SHAPE, "%s: %lld positions; d_wpe has %lld", name, (long long)op->tokens.shape[1],
			(long long)aur_rows(&op->d_wpe));
	return aur_check_dropout(name, &op->dropout);
}

aur_status aur_check_head_loss(const struct aur_head_loss *op)
{
	static const char name[] = "head_loss";
	const enum aur_dtype type = aur_compute_type(&op->x);
	const int64_t width = aur_columns(&op->w), vocabulary = aur_rows(&op->w), rows = aur_rows(&op->x);
	AUR_TRY(aur_check_matrix(name, "w", &op->w, type, vocabulary, width));
	AUR_TRY(aur_check_token_shape(name, "targets", &op->targets));
	AUR_TRY(aur_check_matrix(name, "x", &op->x, type, aur_tensor_count(&op->targets), width));
	AUR_TRY(aur_check_matrix(name, "loss", &op->loss, AUR_F64, op->targets.shape[0], 1));
	if (op->bias.data)
		AUR_TRY(aur_check_matrix(name, "bias", &op->bias, AUR_F32, 1, vocabulary));
	if (!op->d_x.data)
		return AUR_OK;
	AUR_TRY(aur_check_matrix(name, "d_x", &op->d_x, type, rows, width));
	AUR_TRY(aur_check_matrix(name, "d_w", &op->d_w, AUR_F32, vocabulary, width));
	if (op->bias.data || op->d_bias.data)
		AUR_TRY(aur_check_matrix(name, "d_bias", &op->d_bias, AUR_F32, 1, vocabulary));
	return AUR_OK;
}

aur_status aur_check_table_loss(const struct aur_table_loss *op)
{
	static const char name[] = "table_loss";
	const int64_t vocabulary = aur_columns(&op->table);
	AUR_TRY(aur_check_matrix(name, "table", &op->table, AUR_F32, vocabulary, vocabulary));
	AUR_TRY(aur_check_token_shape(name, "tokens", &op->tokens));
	AUR_TRY(aur_check_token_shape(name, "targets", &op->targets));
	AUR_TRY(aur_check_matrix(name, "targets", &op->targets, AUR_I32, op->tokens.shape[0], op->tokens.shape[1]));
	AUR_TRY(aur_check_matrix(name, "loss", &op->loss, AUR_F64, op->tokens.shape[0], 1));
	if (op->d_table.data)
		AUR_TRY(aur_check_matrix(name, "d_table", &op->d_table, AUR_F32, vocabulary, vocabulary));
	return AUR_OK;
}
