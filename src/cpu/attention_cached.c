#include "attention.h"

#include <omp.h>
#include <string.h>

static aur_status check(const struct aur_attention_cached *op, int64_t width)
{
	const char *who = "attention_cached";
	const int64_t rows = op->batch * op->positions;
	if (op->batch <= 0 || op->positions <= 0 || op->n_head <= 0 || (op->n_kv_head != 0 && op->n_kv_head != op->n_head))
		return aur_fail(AUR_SHAPE, "%s: batch, positions and heads must be positive, and n_kv_head 0 or n_head", who);
	if (op->past < 0 || op->past + op->positions > op->capacity)
		return aur_fail(AUR_SHAPE, "%s: %lld rows after %lld do not fit a cache of %lld", who, (long long)op->positions,
			(long long)op->past, (long long)op->capacity);
	const int64_t cached = op->batch * op->capacity * width;
	if (width <= 0 || width % op->n_head != 0 || !aur_tensor_is(&op->out, AUR_F32, rows * width) ||
		!aur_tensor_is(&op->qkv, AUR_F32, 3 * rows * width) || !aur_tensor_is(&op->k_cache, AUR_F32, cached) ||
		!aur_tensor_is(&op->v_cache, AUR_F32, cached))
		return aur_fail(AUR_SHAPE, "%s: qkv, out or the caches do not fit %lld heads", who, (long long)op->n_head);
	return AUR_OK;
}

/* What one (sequence, head) has: its numbers in the first new row, and its caches. */
struct head {
	float *q, *k, *v, *out; /* k, v: the caches, [capacity, D] */
	int64_t width, size;
};

static struct head head_of(const struct aur_attention_cached *op, int64_t width, int64_t pair)
{
	const int64_t size = width / op->n_head, row = pair / op->n_head * op->positions, column = pair % op->n_head * size;
	const int64_t cache = pair * op->capacity * size;
	return (struct head){aur_f32(&op->qkv) + row * 3 * width + column, aur_f32(&op->k_cache) + cache,
		aur_f32(&op->v_cache) + cache, aur_f32(&op->out) + row * width + column, width, size};
}

static void append(const struct aur_attention_cached *op, const struct head *head)
{
	const size_t bytes = (size_t)head->size * sizeof(float);
	for (int64_t i = 0; i < op->positions; i++) {
		const float *row = head->q + i * 3 * head->width;
		memcpy(head->k + (op->past + i) * head->size, row + head->width, bytes);
		memcpy(head->v + (op->past + i) * head->size, row + 2 * head->width, bytes);
	}
}

static void attend(const struct aur_attention_cached *op, const struct head *head, int64_t first, float *scratch)
{
	const int64_t left = op->positions - first;
	aur_attention_queries(
		&(struct aur_attention_queries){
			.q = {head->q + first * 3 * head->width, 3 * head->width},
			.k = {head->k, head->size},
			.v = {head->v, head->size},
			.out = {head->out + first * head->width, head->width},
			.first = op->past + first,
			.rows = left < AUR_ATTENTION_QUERIES ? left : AUR_ATTENTION_QUERIES,
			.size = head->size,
			.scale = op->scale,
			.positions = op->past + op->positions,
		},
		scratch);
}

aur_status aur_attention_cached_cpu(struct aur_backend *backend, const struct aur_attention_cached *op)
{
	const struct aur_cpu *cpu = aur_cpu_of(backend);
	const int64_t rows = op->batch * op->positions;
	const int64_t width = rows > 0 ? aur_tensor_count(&op->out) / rows : 0;
	AUR_TRY(check(op, width));
	AUR_TRY(aur_check_scratch(
		backend, "attention_cached", 0, (size_t)aur_attention_queries_floats(width / op->n_head) * sizeof(float)));
	const int64_t pairs = op->batch * op->n_head;
	const int64_t tiles = (op->positions + AUR_ATTENTION_QUERIES - 1) / AUR_ATTENTION_QUERIES;
#pragma omp parallel
	{
#pragma omp for schedule(static)
		for (int64_t i = 0; i < pairs; i++) {
			const struct head head = head_of(op, width, i);
			append(op, &head);
		}
#pragma omp for schedule(dynamic)
		for (int64_t i = 0; i < pairs * tiles; i++) {
			char *scratch = cpu->per_thread + (size_t)omp_get_thread_num() * cpu->scratch.per_thread;
			const struct head head = head_of(op, width, i % pairs);
			attend(op, &head, (tiles - 1 - i / pairs) * AUR_ATTENTION_QUERIES, (float *)(void *)scratch);
		}
	}
	return AUR_OK;
}
