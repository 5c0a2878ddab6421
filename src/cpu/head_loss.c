#include "cross_entropy.h"
#include "internal.h"
#include "product.h"

#include <string.h>

enum { ROW_UNIT = 64, MOST_ROWS = 1024, CHUNK_LOGITS = 1 << 25 };

static const char name[] = "head_loss";

/* Rows whose logits exist at a time: a constant of the shape. */
static int64_t chunk_rows(int64_t rows, int64_t vocabulary)
{
	int64_t chunk = CHUNK_LOGITS / (vocabulary > 0 ? vocabulary : 1) / ROW_UNIT * ROW_UNIT;
	chunk = chunk < ROW_UNIT ? ROW_UNIT : chunk > MOST_ROWS ? MOST_ROWS : chunk;
	const int64_t chunks = rows > chunk ? (rows + chunk - 1) / chunk : 1;
	return ((rows + chunks - 1) / chunks + ROW_UNIT - 1) / ROW_UNIT * ROW_UNIT;
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

/* Rows [begin, begin + rows) of the batch. Each row of `logits` becomes its gradient, of the operation's type; a bf16
 * gradient takes the first half of its row's place. */
struct chunk {
	int64_t begin, rows;
	float *logits;
	double *row_loss;
};

/* Rows of an activation [*, width] from the chunk's first on. */
static void *rows_from(const struct aur_tensor *tensor, int64_t begin)
{
	return (char *)tensor->data + begin * aur_columns(tensor) * (int64_t)aur_dtype_bytes(tensor->dtype);
}

/* Elements from one row of gradients to the next. */
static int64_t gradient_pitch(const struct aur_head_loss *op)
{
	return aur_rows(&op->w) * (aur_compute_type(&op->x) == AUR_BF16 ? 2 : 1);
}

/* logits = x w^T + bias */
static aur_status compute_logits(struct aur_cpu *cpu, const struct aur_head_loss *op, const struct chunk *chunk)
{
	const int64_t width = aur_columns(&op->w);
	const int64_t vocabulary = aur_rows(&op->w);
	return aur_cpu_multiply(cpu, &(struct aur_gemm){.transpose_b = 1,
									 .m = chunk->rows,
									 .n = vocabulary,
									 .k = width,
									 .alpha = 1.0f,
									 .type = op->x.dtype,
									 .a = rows_from(&op->x, chunk->begin),
									 .lda = width,
									 .b = op->w.data,
									 .ldb = width,
									 .c = chunk->logits,
									 .ldc = vocabulary,
									 .bias = aur_f32(&op->bias)});
}

static void compute_losses(const struct aur_head_loss *op, const struct chunk *chunk)
{
	const int64_t vocabulary = aur_rows(&op->w);
	const int32_t *targets = (const int32_t *)op->targets.data + chunk->begin;
#pragma omp parallel for schedule(static)
	for (int64_t i = 0; i < chunk->rows; i++) {
		float *row = chunk->logits + i * vocabulary;
		chunk->row_loss[chunk->begin + i] = aur_cross_entropy_row(
			row, vocabulary, targets[i], op->gradient_scale, op->d_x.data ? row : NULL, op->x.dtype);
	}
}

/* d_x = g w */
static aur_status input_gradient(struct aur_cpu *cpu, const struct aur_head_loss *op, const struct chunk *chunk)
{
	const int64_t width = aur_columns(&op->w);
	return aur_cpu_multiply(cpu, &(struct aur_gemm){.m = chunk->rows,
									 .n = width,
									 .k = aur_rows(&op->w),
									 .alpha = 1.0f,
									 .type = op->x.dtype,
									 .c_type = op->d_x.dtype,
									 .a = chunk->logits,
									 .lda = gradient_pitch(op),
									 .b = op->w.data,
									 .ldb = width,
									 .c = rows_from(&op->d_x, chunk->begin),
									 .ldc = width});
}

/* d_w = or += g^T x. Of several chunks the first may overwrite. */
static aur_status weight_gradient(struct aur_cpu *cpu, const struct aur_head_loss *op, const struct chunk *chunk)
{
	const int64_t width = aur_columns(&op->w);
	return aur_cpu_multiply(cpu, &(struct aur_gemm){.transpose_a = 1,
									 .m = aur_rows(&op->w),
									 .n = width,
									 .k = chunk->rows,
									 .alpha = 1.0f,
									 .accumulate = !op->overwrite || chunk->begin > 0,
									 .type = op->x.dtype,
									 .a = chunk->logits,
									 .lda = gradient_pitch(op),
									 .b = rows_from(&op->x, chunk->begin),
									 .ldb = width,
									 .c = op->d_w.data,
									 .ldc = width});
}

static aur_status compute_gradients(struct aur_cpu *cpu, const struct aur_head_loss *op, const struct chunk *chunk)
{
	AUR_TRY(weight_gradient(cpu, op, chunk)); /* before d_x is written, which may lie where x did */
	AUR_TRY(input_gradient(cpu, op, chunk));
	if (op->d_bias.data)
		aur_column_sums(&(struct aur_tensor){.data = chunk->logits,
							.dtype = op->x.dtype,
							.dims = 2,
							.shape = {chunk->rows, aur_rows(&op->w)},
							.stride = {gradient_pitch(op), 1}},
			aur_f32(&op->d_bias));
	return AUR_OK;
}

aur_status aur_head_loss_cpu(struct aur_backend *backend, const struct aur_head_loss *op)
{
	const int64_t rows = aur_rows(&op->x);
	const int64_t vocabulary = aur_rows(&op->w);
	AUR_TRY(aur_check_head_loss(op));
	AUR_TRY(aur_check_token_range(name, "targets", &op->targets, vocabulary));
	AUR_TRY(aur_check_scratch(backend, name, scratch_bytes(rows, vocabulary), 0));
	struct aur_cpu *cpu = aur_cpu_of(backend);
	char *memory = cpu->shared;
	struct chunk chunk = {.row_loss = (double *)(void *)memory, .logits = (float *)(void *)(memory + loss_bytes(rows))};
	const int64_t step = chunk_rows(rows, vocabulary);
	for (; chunk.begin < rows; chunk.begin += step) {
		chunk.rows = rows - chunk.begin < step ? rows - chunk.begin : step;
		AUR_TRY(compute_logits(cpu, op, &chunk));
		compute_losses(op, &chunk);
		if (op->d_x.data)
			AUR_TRY(compute_gradients(cpu, op, &chunk));
	}
	aur_sum_sequences(chunk.row_loss, op->targets.shape[0], op->targets.shape[1], op->loss.data);
	return AUR_OK;
}
