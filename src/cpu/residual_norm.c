#include "residual_norm.h"

#include "dropout.h"

#include <math.h>

/* The forward pass, and the scratch memory of both.
 *
 * A row goes through three loops of which only the first reads memory: in between it stays in the first-level cache, in
 * fp32. With 16 and more partial sums; the variance is taken around the mean and corrected by the mean of the
 * deviations (Chan, Golub, LeVeque 1983), so that a large mean costs no digits. An element reads a and b and writes s
 * and y once each: 16 bytes in fp32. */

struct aur_cpu_scratch aur_residual_norm_scratch(const struct aur_backend_limits *limits)
{
	const int64_t parts = aur_norm_parts(limits->batch * limits->positions, limits->width);
	return (struct aur_cpu_scratch){
		.shared = limits->training ? 2 * (size_t)parts * aur_norm_row_bytes(limits->width) : 0,
		.per_thread = aur_norm_buffer_bytes(limits->width),
	};
}

/* line = a + b * factor, and its sum; line may be a. factor may be NULL. */
AUR_INLINE float add_rows(
	const void *a, const void *b, const float *factor, float *line, int64_t n, enum aur_dtype type)
{
	float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
	for (int64_t i = 0; i < n; i++) {
		const float branch = aur_element(b, i, type);
		const float x = aur_element(a, i, type) + (factor ? branch * factor[i] : branch);
		line[i] = x;
		sum += x;
	}
	return sum;
}

static float sum_of(const float *b, int64_t n)
{
	float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
	for (int64_t i = 0; i < n; i++)
		sum += b[i];
	return sum;
}

static struct aur_moments moments_of(const float *s, int64_t n, float sum, float epsilon)
{
	const float rough = sum / (float)n;
	float deviations = 0.0f, squares = 0.0f;
#pragma omp simd reduction(+ : deviations, squares)
	for (int64_t i = 0; i < n; i++) {
		const float d = s[i] - rough;
		deviations += d;
		squares += d * d;
	}
	const float correction = deviations / (float)n;
	const float variance = squares / (float)n - correction * correction;
	/* Rounding may leave less than nothing; a NaN stays. */
	return (struct aur_moments){rough + correction, 1.0f / sqrtf((variance < 0.0f ? 0.0f : variance) + epsilon)};
}

AUR_INLINE void normalise(const float *s, struct aur_moments m, const float *gamma, const float *beta, void *y,
	int64_t n, enum aur_dtype type)
{
#pragma omp simd
	for (int64_t i = 0; i < n; i++)
		aur_set_element(y, i, type, (s[i] - m.mean) * m.rstd * gamma[i] + beta[i]);
}

/* How a call's rows are worked on. */
struct forward {
	const struct aur_residual_norm_forward *op;
	int64_t columns;
	int stream_s, stream_y; /* the result goes past the caches */
};

/* Puts a row that lies in fp32 into memory as the result's type. */
AUR_INLINE void put_row(const float *line, void *row, int64_t n, enum aur_dtype type)
{
	if (type == AUR_F32)
		memcpy(row, line, (size_t)n * sizeof *line);
	else
#pragma omp simd
		for (int64_t i = 0; i < n; i++)
			aur_set_element(row, i, type, line[i]);
}

/* Puts s into memory, if it is wanted and not there already; `buffer` is free. */
AUR_INLINE void put_s(const struct forward *f, int64_t row, const float *line, float *buffer, enum aur_dtype type)
{
	void *s = aur_elements(&f->op->s, row * f->columns);
	const size_t bytes = (size_t)f->columns * aur_element_bytes(type);
	if (!s || s == (const void *)line)
		return;
	if (!f->stream_s) {
		put_row(line, s, f->columns, type);
	} else if (type == AUR_F32) {
		aur_stream(s, line, bytes);
	} else {
		put_row(line, buffer, f->columns, type);
		aur_stream(s, buffer, bytes);
	}
}

/* From a row of s, in fp32: its statistics and y. */
AUR_INLINE void normalise_row(const struct forward *f, const struct aur_norm_buffers *buffers, int64_t row,
	const float *s, float sum, enum aur_dtype type)
{
	const struct aur_residual_norm_forward *op = f->op;
	const int64_t n = f->columns;
	const struct aur_moments m = moments_of(s, n, sum, op->epsilon > 0.0f ? op->epsilon : 1e-5f);
	aur_f32(&op->mean)[row] = m.mean;
	aur_f32(&op->rstd)[row] = m.rstd;
	const float *beta = op->beta.data ? aur_f32(&op->beta) : buffers->zeros;
	void *y = aur_elements(&op->y, row * n);
	normalise(s, m, aur_f32(&op->gamma), beta, f->stream_y ? buffers->line[1] : y, n, type);
	if (f->stream_y)
		aur_stream(y, buffers->line[1], (size_t)n * aur_element_bytes(type));
}

/* One row; `factor` is its dropout's or NULL. */
AUR_INLINE void forward_row(const struct forward *f, const struct aur_norm_buffers *buffers, int64_t row,
	const float *factor, enum aur_dtype type)
{
	const struct aur_residual_norm_forward *op = f->op;
	const int64_t n = f->columns, at = row * n;
	const void *b = aur_elements(&op->b, at);
	if (type == AUR_F32 && !op->s.data) {
		normalise_row(f, buffers, row, b, sum_of(b, n), type);
		return;
	}
	const void *a = op->a.data ? aur_elements(&op->a, at) : buffers->zeros;
	float *line = type == AUR_F32 && !f->stream_s ? aur_f32(&op->s) + at : buffers->line[0];
	const float sum = factor ? add_rows(a, b, factor, line, n, type) : add_rows(a, b, NULL, line, n, type);
	put_s(f, row, line, buffers->line[1], type);
	normalise_row(f, buffers, row, line, sum, type);
}

static void forward_rows(const struct forward *f, const struct aur_norm_buffers *buffers, int64_t begin, int64_t end)
{
	const int dropout = f->op->dropout.p > 0.0f;
	if (dropout)
		aur_dropout_rows(&f->op->dropout, f->op->sequence, begin, end, f->columns, buffers->factors);
	for (int64_t row = begin; row < end; row++) {
		const float *factor = dropout ? buffers->factors + (row - begin) * f->columns : NULL;
		if (f->op->b.dtype == AUR_F32)
			forward_row(f, buffers, row, factor, AUR_F32);
		else
			forward_row(f, buffers, row, factor, AUR_BF16);
	}
}

static void forward_block(const struct forward *f, const struct aur_cpu *cpu, struct aur_span rows)
{
	const struct aur_norm_buffers buffers = aur_norm_buffers_of(cpu, f->columns);
	const int64_t step = aur_norm_drawn_rows(f->columns);
	for (int64_t begin = rows.begin; begin < rows.end; begin += step)
		forward_rows(f, &buffers, begin, begin + step < rows.end ? begin + step : rows.end);
	if (f->stream_s || f->stream_y)
		aur_stream_end();
}

aur_status aur_residual_norm_forward_cpu(struct aur_backend *backend, const struct aur_residual_norm_forward *op)
{
	const struct aur_cpu *cpu = aur_cpu_of(backend);
	const int64_t columns = aur_tensor_count(&op->gamma);
	const int64_t rows = aur_tensor_count(&op->mean);
	AUR_TRY(aur_check_residual_norm_forward(op));
	AUR_TRY(aur_check_scratch(backend, "residual_norm_forward", 0, aur_norm_buffer_bytes(columns)));
	const int s_is_new = op->s.data && op->s.data != op->a.data && op->s.data != op->b.data;
	const struct forward forward = {.op = op,
		.columns = columns,
		.stream_s = s_is_new && aur_streams(&op->s),
		.stream_y = op->y.data != op->a.data && op->y.data != op->b.data && aur_streams(&op->y)};
	const int64_t blocks = aur_norm_blocks(rows, columns);
#pragma omp parallel for schedule(static)
	for (int64_t i = 0; i < blocks; i++)
		forward_block(&forward, cpu, aur_span_of(rows, 1, blocks, i));
	return AUR_OK;
}
