#include "attention.h"

#include <string.h>

enum { FEW = 3 /* new rows, up to which each reads the caches by itself: packing them would take longer */ };

/* All new rows of one head of one sequence. */
static struct aur_attention_queries queries_of(
	const struct aur_attention_cached *op, const struct aur_attention_sizes *sizes, int64_t pair)
{
	const int64_t size = sizes->head, row = pair / op->n_head * op->positions, column = pair % op->n_head * size;
	const struct aur_rows qkv = {op->qkv.data, op->qkv.dtype, 3 * sizes->width};
	const struct aur_rows k = {op->k_cache.data, op->k_cache.dtype, size}, v = {op->v_cache.data, k.type, size};
	const struct aur_rows out = {op->out.data, op->out.dtype, sizes->width};
	return (struct aur_attention_queries){
		.q = aur_rows_from(qkv, row, column),
		.k = aur_rows_from(k, pair * op->capacity, 0),
		.v = aur_rows_from(v, pair * op->capacity, 0),
		.out = aur_rows_from(out, row, column),
		.first = op->past,
		.rows = op->positions,
		.size = size,
		.scale = op->scale,
		.positions = op->past + op->positions,
	};
}

static void append(const struct aur_attention_queries *head, int64_t width)
{
	const size_t bytes = (size_t)head->size * aur_dtype_bytes(head->q.type);
	for (int64_t i = 0; i < head->rows; i++) {
		memcpy(aur_rows_from(head->k, head->first + i, 0).at, aur_rows_from(head->q, i, width).at, bytes);
		memcpy(aur_rows_from(head->v, head->first + i, 0).at, aur_rows_from(head->q, i, 2 * width).at, bytes);
	}
}

/* Rows [first, first + rows) of the new ones, as far as there are. */
static void attend(struct aur_attention_queries head, int64_t first, int64_t rows, float *scratch)
{
	const int64_t left = head.rows - first;
	head.q = aur_rows_from(head.q, first, 0);
	head.out = aur_rows_from(head.out, first, 0);
	head.first += first;
	head.rows = left < rows ? left : rows;
	if (rows == 1)
		aur_attention_one_query(&head, scratch);
	else
		aur_attention_queries(&head, scratch);
}

aur_status aur_attention_cached_cpu(struct aur_backend *backend, const struct aur_attention_cached *op)
{
	const struct aur_cpu *cpu = aur_cpu_of(backend);
	const struct aur_attention_sizes sizes = aur_attention_sizes_of(&op->out, op->batch, op->positions, op->n_head);
	AUR_TRY(aur_check_attention_cached(op));
	const size_t need = (size_t)aur_attention_queries_floats(sizes.head) * sizeof(float);
	AUR_TRY(aur_check_scratch(backend, "attention_cached", 0, need));
	const int64_t pairs = op->batch * op->n_head;
	const int64_t rows = op->positions <= FEW ? 1 : aur_attention_unit_rows(pairs, op->positions);
	const int64_t units = (op->positions + rows - 1) / rows;
#pragma omp parallel
	{
#pragma omp for schedule(static)
		for (int64_t i = 0; i < pairs; i++) {
			const struct aur_attention_queries head = queries_of(op, &sizes, i);
			append(&head, sizes.width);
		}
#pragma omp for schedule(dynamic)
		for (int64_t i = 0; i < pairs * units; i++)
			attend(queries_of(op, &sizes, i % pairs), (units - 1 - i / pairs) * rows, rows, aur_cpu_own(cpu));
	}
	return AUR_OK;
}
