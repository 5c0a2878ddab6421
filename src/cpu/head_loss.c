#include "cross_entropy.h"
#include "internal.h"
#include "product.h"

#include <string.h>

enum { ROW_UNIT = 64, MOST_ROWS = 1024, CHUNK_LOGITS = 1 << 24 };

static const char name[] = "head_loss";

/* Rows whose logits exist at a time: a constant of the shape. */
static int64_t chunk_rows(int64_t rows, int64_t vocabulary)
{
	int64_t chunk = CHUNK_LOGITS / (vocabulary > 0 ? vocabulary : 1) / ROW_UNIT * ROW_UNIT;
	chunk = chunk < ROW_UNIT ? ROW_UNIT : chunk > MOST_ROWS ? MOST_ROWS : chunk;
	const int64_t all = (rows + ROW_UNIT - 1) / ROW_UNIT * ROW_UNIT;
	return chunk < all ? chunk : all;
}

static size_t loss_bytes(int64_t rows)
{
	return ((size_t)rows * sizeof(double) + 255) / 256 * 256;
}

static size_t scratch_bytes(int64_t rows, int64_t vocabulary)
{
	return loss_bytes(rows) + (size_t)(chunk_rows(rows, vocabulary) * vocabulary) * sizeof(float);
}

struct aur_cpu_scratch aur_head_loss_scratch(const struct aur_backend_limits *limits)
{
	return (struct aur_cpu_scratch){scratch_bytes(limits->batch * limits->positions, limits->vocabulary), 0};
}

static aur_status check(const struct aur_head_loss *op)
{
	const int64_t width = aur_columns(&op->w);
	const int64_t vocabulary = aur_rows(&op->w);
	const int64_t rows = aur_rows(&op->x);
	AUR_TRY(aur_check_matrix(name, "w", &op->w, AUR_F32, vocabulary, width));
	AUR_TRY(aur_check_tokens(name, "targets", &op->targets, vocabulary));
	AUR_TRY(aur_check_matrix(name, "x", &op->x, AUR_F32, aur_tensor_count(&op->targets), width));
	AUR_TRY(aur_check_matrix(name, "loss", &op->loss, AUR_F64, op->targets.shape[0], 1));
	if (op->bias.data)
		AUR_TRY(aur_check_matrix(name, "bias", &op->bias, AUR_F32, 1, vocabulary));
	if (!op->d_x.data)
		return AUR_OK;
	AUR_TRY(aur_check_matrix(name, "d_x", &op->d_x, AUR_F32, rows, width));
	AUR_TRY(aur_check_matrix(name, "d_w", &op->d_w, AUR_F32, vocabulary, width));
	if (op->bias.data || op->d_bias.data)
		AUR_TRY(aur_check_matrix(name, "d_bias", &op->d_bias, AUR_F32, 1, vocabulary));
	return AUR_OK;
}

/* Rows [begin, begin + rows) of the batch; `logits` becomes their gradient. */
struct chunk {
	int64_t begin, rows;
	float *logits;
	double *row_loss;
};

static void compute_logits(const struct aur_head_loss *op, const struct chunk *chunk)
{
	const int64_t width = aur_columns(&op->w);
	const int64_t vocabulary = aur_rows(&op->w);
	aur_cpu_product_blocks(&(struct aur_gemm){.transpose_b = 1,
							   .m = chunk->rows,
							   .n = vocabulary,
							   .k = width,
							   .alpha = 1.0f,
							   .a = aur_f32(&op->x) + chunk->begin * width,
							   .lda = width,
							   .b = aur_f32(&op->w),
							   .ldb = width,
							   .c = chunk->logits,
							   .ldc = vocabulary},
		aur_f32(&op->bias));
}

static void compute_losses(const struct aur_head_loss *op, const struct chunk *chunk)
{
	const int64_t vocabulary = aur_rows(&op->w);
	const int32_t *targets = (const int32_t *)op->targets.data + chunk->begin;
	const float *gradient_scale = op->d_x.data ? &op->gradient_scale : NULL;
#pragma omp parallel for schedule(static)
	for (int64_t i = 0; i < chunk->rows; i++)
		chunk->row_loss[chunk->begin + i] =
			aur_cross_entropy_row(chunk->logits + i * vocabulary, vocabulary, targets[i], gradient_scale);
}

static void compute_gradients(const struct aur_head_loss *op, const struct chunk *chunk)
{
	const int64_t width = aur_columns(&op->w);
	const int64_t vocabulary = aur_rows(&op->w);
	aur_cpu_product_blocks(&(struct aur_gemm){.m = chunk->rows,
							   .n = width,
							   .k = vocabulary,
							   .alpha = 1.0f,
							   .a = chunk->logits,
							   .lda = vocabulary,
							   .b = aur_f32(&op->w),
							   .ldb = width,
							   .c = aur_f32(&op->d_x) + chunk->begin * width,
							   .ldc = width},
		NULL);
	aur_cpu_product_blocks(&(struct aur_gemm){.transpose_a = 1,
							   .m = vocabulary,
							   .n = width,
							   .k = chunk->rows,
							   .alpha = 1.0f,
							   .beta = 1.0f,
							   .a = chunk->logits,
							   .lda = vocabulary,
							   .b = aur_f32(&op->x) + chunk->begin * width,
							   .ldb = width,
							   .c = aur_f32(&op->d_w),
							   .ldc = width},
		NULL);
	if (op->d_bias.data)
		aur_column_sums(chunk->logits, chunk->rows, vocabulary, aur_f32(&op->d_bias));
}

aur_status aur_head_loss_cpu(struct aur_backend *backend, const struct aur_head_loss *op)
{
	AUR_TRY(check(op));
	const int64_t rows = aur_rows(&op->x);
	const int64_t vocabulary = aur_rows(&op->w);
	AUR_TRY(aur_check_scratch(backend, name, scratch_bytes(rows, vocabulary), 0));
	char *memory = aur_cpu_of(backend)->shared;
	struct chunk chunk = {.row_loss = (double *)(void *)memory, .logits = (float *)(void *)(memory + loss_bytes(rows))};
	const int64_t step = chunk_rows(rows, vocabulary);
	for (; chunk.begin < rows; chunk.begin += step) {
		chunk.rows = rows - chunk.begin < step ? rows - chunk.begin : step;
		compute_logits(op, &chunk);
		compute_losses(op, &chunk);
		if (op->d_x.data)
			compute_gradients(op, &chunk);
	}
	aur_sum_sequences(chunk.row_loss, op->targets.shape[0], op->targets.shape[1], op->loss.data);
	return AUR_OK;
}
