#include "cross_entropy.h"
#include "internal.h"
#include "token_groups.h"
#include "vector_math.h"

#include <math.h>

static const char name[] = "table_loss";

static size_t loss_bytes(int64_t rows)
{
	return ((size_t)rows * sizeof(double) + 255) / 256 * 256;
}

static size_t scratch_bytes(int64_t rows, int64_t vocabulary)
{
	return loss_bytes(rows) + aur_group_tokens_bytes(rows, vocabulary);
}

struct aur_cpu_scratch aur_table_loss_scratch(const struct aur_backend_limits *limits)
{
	return (struct aur_cpu_scratch){scratch_bytes(limits->batch * limits->positions, limits->vocabulary), 0};
}

static void add_softmax(const float *logits, int64_t n, struct aur_softmax softmax, double scale, float *gradient)
{
	const float factor = (float)(scale / softmax.sum);
#pragma omp simd
	for (int64_t j = 0; j < n; j++)
		gradient[j] += aur_expf(logits[j] - softmax.max) * factor;
}

/* All positions of one token share its row: its softmax is computed once, and its gradient is count * softmax less one
 * for each target. */
static void do_group(
	const struct aur_table_loss *op, const struct aur_token_groups *groups, int64_t group, double *row_loss)
{
	const int64_t vocabulary = aur_columns(&op->table);
	const int64_t offset = groups->token[group] * vocabulary;
	const float *logits = aur_f32(&op->table) + offset;
	const int32_t *targets = op->targets.data;
	const int32_t begin = groups->begin[group];
	const int32_t end = groups->begin[group + 1];
	const struct aur_softmax softmax = aur_softmax_of(logits, vocabulary);
	const double log_sum = log(softmax.sum);
	for (int32_t i = begin; i < end; i++) {
		const int32_t position = groups->positions[i];
		row_loss[position] = log_sum + ((double)softmax.max - (double)logits[targets[position]]);
	}
	if (!op->d_table.data)
		return;
	float *gradient = aur_f32(&op->d_table) + offset;
	add_softmax(logits, vocabulary, softmax, (double)op->gradient_scale * (end - begin), gradient);
	for (int32_t i = begin; i < end; i++)
		gradient[targets[groups->positions[i]]] -= op->gradient_scale;
}

aur_status aur_table_loss_cpu(struct aur_backend *backend, const struct aur_table_loss *op)
{
	const int64_t rows = aur_tensor_count(&op->tokens);
	const int64_t vocabulary = aur_columns(&op->table);
	AUR_TRY(aur_check_table_loss(op));
	AUR_TRY(aur_check_token_range(name, "tokens", &op->tokens, vocabulary));
	AUR_TRY(aur_check_token_range(name, "targets", &op->targets, vocabulary));
	AUR_TRY(aur_check_scratch(backend, name, scratch_bytes(rows, vocabulary), 0));
	char *memory = aur_cpu_of(backend)->shared;
	double *row_loss = (double *)(void *)memory;
	const struct aur_token_groups groups =
		aur_group_tokens(op->tokens.data, rows, vocabulary, memory + loss_bytes(rows));
#pragma omp parallel for schedule(dynamic, 1)
	for (int64_t group = 0; group < groups.n; group++)
		do_group(op, &groups, group, row_loss);
	aur_sum_sequences(row_loss, op->tokens.shape[0], op->tokens.shape[1], op->loss.data);
	return AUR_OK;
}
