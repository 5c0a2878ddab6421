#include "cross_entropy.h"
#include "internal.h"
#include "rows.h"
#include "token_groups.h"

#include <math.h>

enum { GROUPS = 4 /* that a thread takes at a time, the next of which is fetched ahead */ };

static const char name[] = "table_loss";

static size_t loss_bytes(int64_t rows)
{
	return ((size_t)rows * sizeof(double) + 255) / 256 * 256;
}

static size_t scratch_bytes(int64_t rows, int64_t vocabulary)
{
	return loss_bytes(rows) + aur_group_tokens_bytes(rows, vocabulary);
}

/* The exponentials of a thread's row: between one pass and the next they stay in its second-level cache. */
static size_t row_bytes(int64_t vocabulary)
{
	return (size_t)vocabulary * sizeof(float);
}

struct aur_cpu_scratch aur_table_loss_scratch(const struct aur_backend_limits *limits)
{
	return (struct aur_cpu_scratch){
		scratch_bytes(limits->batch * limits->positions, limits->vocabulary), row_bytes(limits->vocabulary)};
}

static const float *logits_of(const struct aur_table_loss *op, const struct aur_token_groups *groups, int64_t group)
{
	if (group >= groups->n)
		return NULL;
	return aur_f32(&op->table) + groups->token[group] * aur_columns(&op->table);
}

/* All positions of one token share its row: its softmax is computed once, and its gradient is count * softmax less one
 * for each target. */
static void do_group(const struct aur_table_loss *op, const struct aur_token_groups *groups, int64_t group,
	float *exponentials, double *row_loss)
{
	const int64_t vocabulary = aur_columns(&op->table);
	const int64_t offset = groups->token[group] * vocabulary;
	const float *logits = logits_of(op, groups, group);
	float *gradient = op->d_table.data ? aur_f32(&op->d_table) + offset : NULL;
	const int32_t *targets = op->targets.data;
	const int32_t begin = groups->begin[group];
	const int32_t end = groups->begin[group + 1];
	struct aur_softmax softmax;
	aur_softmax_of(logits, vocabulary, gradient ? exponentials : NULL, gradient, &softmax);
	const double log_sum = log(softmax.sum);
	for (int32_t i = begin; i < end; i++) {
		const int32_t position = groups->positions[i];
		row_loss[position] = log_sum + ((double)softmax.max - (double)logits[targets[position]]);
	}
	if (!gradient)
		return;
	aur_add_softmax(exponentials, vocabulary, (double)op->gradient_scale * (end - begin), &softmax, gradient,
		logits_of(op, groups, group + 1));
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
	AUR_TRY(aur_check_scratch(backend, name, scratch_bytes(rows, vocabulary), row_bytes(vocabulary)));
	struct aur_cpu *cpu = aur_cpu_of(backend);
	char *memory = cpu->shared;
	double *row_loss = (double *)(void *)memory;
	const struct aur_token_groups groups =
		aur_group_tokens(op->tokens.data, rows, vocabulary, memory + loss_bytes(rows));
#pragma omp parallel for schedule(dynamic, GROUPS)
	for (int64_t group = 0; group < groups.n; group++)
		do_group(op, &groups, group, aur_cpu_own(cpu), row_loss);
	aur_sum_sequences(row_loss, op->tokens.shape[0], op->tokens.shape[1], op->loss.data);
	return AUR_OK;
}
