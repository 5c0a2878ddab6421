#include "dropout.h"
#include "internal.h"

#include <math.h>
#include <omp.h>
#include <string.h>

/* Rows go through three passes of which only the first reaches memory: a few rows at a time stay in the first-level
 * cache. In fp32 with 16 and more partial sums; the variance is taken around the mean and corrected by the mean of the
 * deviations (Chan, Golub, LeVeque 1983), so that a large mean costs no digits. */

enum {
	CACHED_ELEMENTS = 2048, /* that many are normalised together */
	PARTS = 64,             /* partial sums of the parameters' gradients, at most */
	COLUMNS_PER_SUM = 256,
};

struct moments {
	float mean, rstd;
};

static int64_t cached_rows(int64_t columns)
{
	return columns < CACHED_ELEMENTS ? CACHED_ELEMENTS / (columns > 0 ? columns : 1) : 1;
}

static int64_t blocks_of(int64_t rows, int64_t columns)
{
	const int64_t per_block = aur_rows_per_block(columns);
	return (rows + per_block - 1) / per_block;
}

static int64_t parts_of(int64_t rows, int64_t columns)
{
	const int64_t blocks = blocks_of(rows, columns);
	return blocks < PARTS ? blocks : PARTS;
}

static size_t padded(int64_t floats)
{
	return (size_t)((floats + 63) / 64 * 64) * sizeof(float);
}

/* Of the rows that are normalised together. */
static size_t buffer_bytes(int64_t columns)
{
	return padded(columns > CACHED_ELEMENTS ? columns : CACHED_ELEMENTS);
}

static float *row_buffer(const struct aur_cpu *cpu)
{
	return (float *)(void *)(cpu->per_thread + (size_t)omp_get_thread_num() * cpu->scratch.per_thread);
}

struct aur_cpu_scratch aur_residual_norm_scratch(const struct aur_backend_limits *limits)
{
	const int64_t parts = parts_of(limits->batch * limits->positions, limits->width);
	return (struct aur_cpu_scratch){
		.shared = limits->training ? 2 * (size_t)parts * padded(limits->width) : 0,
		.per_thread = buffer_bytes(limits->width),
	};
}

static struct moments moments_of(const float *s, int64_t n, float sum, float epsilon)
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
	return (struct moments){rough + correction, 1.0f / sqrtf((variance < 0.0f ? 0.0f : variance) + epsilon)};
}

static float sum_of(const float *b, int64_t n)
{
	float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
	for (int64_t i = 0; i < n; i++)
		sum += b[i];
	return sum;
}

/* s = a + b, and its sum. s may be a. */
static float add_rows(const float *a, const float *b, float *s, int64_t n)
{
	float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
	for (int64_t i = 0; i < n; i++) {
		const float x = a[i] + b[i];
		s[i] = x;
		sum += x;
	}
	return sum;
}

static void normalise(const float *s, struct moments m, const float *gamma, const float *beta, float *y, int64_t n)
{
	if (beta) {
#pragma omp simd
		for (int64_t i = 0; i < n; i++)
			y[i] = (s[i] - m.mean) * m.rstd * gamma[i] + beta[i];
	} else {
#pragma omp simd
		for (int64_t i = 0; i < n; i++)
			y[i] = (s[i] - m.mean) * m.rstd * gamma[i];
	}
}

/* One row: `b` after dropout. */
static void forward_row(const struct aur_residual_norm_forward *op, int64_t row, const float *b, int64_t n)
{
	const float *a = op->a.data ? aur_f32(&op->a) + row * n : NULL;
	float *kept = op->s.data ? aur_f32(&op->s) + row * n : NULL;
	const float *s = kept ? kept : b;
	float sum;
	if (a)
		sum = add_rows(a, b, kept, n);
	else
		sum = sum_of(b, n);
	if (!a && kept && kept != b)
		memcpy(kept, b, (size_t)n * sizeof(float));
	const struct moments m = moments_of(s, n, sum, op->epsilon > 0.0f ? op->epsilon : 1e-5f);
	aur_f32(&op->mean)[row] = m.mean;
	aur_f32(&op->rstd)[row] = m.rstd;
	normalise(s, m, aur_f32(&op->gamma), aur_f32(&op->beta), aur_f32(&op->y) + row * n, n);
}

static void forward_block(
	const struct aur_residual_norm_forward *op, float *buffer, struct aur_span rows, int64_t columns)
{
	const int64_t step = cached_rows(columns);
	for (int64_t begin = rows.begin; begin < rows.end; begin += step) {
		const int64_t end = begin + step < rows.end ? begin + step : rows.end;
		const float *b = aur_f32(&op->b) + begin * columns;
		if (op->dropout.p > 0.0f) {
			aur_dropout_block(&op->dropout, 0, op->sequence, begin, end, columns, b, buffer);
			b = buffer;
		}
		for (int64_t row = begin; row < end; row++)
			forward_row(op, row, b + (row - begin) * columns, columns);
	}
}

static int is(const struct aur_tensor *tensor, int64_t count)
{
	return aur_tensor_is(tensor, AUR_F32, count);
}

static int absent_or(const struct aur_tensor *tensor, int64_t count)
{
	return !tensor->data || is(tensor, count);
}

static aur_status check_dropout(const char *who, const struct aur_dropout *dropout, int64_t sequence, int64_t rows)
{
	if (dropout->p > 0.0f && (sequence <= 0 || rows % sequence != 0 || !dropout->state))
		return aur_fail(
			AUR_SHAPE, "%s: dropout needs a state and sequences that divide the %lld rows", who, (long long)rows);
	return AUR_OK;
}

static aur_status check_forward(const struct aur_residual_norm_forward *op, int64_t rows, int64_t columns)
{
	const int64_t count = rows * columns;
	if (rows <= 0 || columns <= 0 || !is(&op->b, count) || !is(&op->y, count) || !absent_or(&op->a, count) ||
		!absent_or(&op->s, count))
		return aur_fail(AUR_SHAPE, "residual_norm_forward: a, b, s and y disagree");
	if (!is(&op->gamma, columns) || !absent_or(&op->beta, columns) || !is(&op->mean, rows) || !is(&op->rstd, rows))
		return aur_fail(AUR_SHAPE, "residual_norm_forward: gamma, beta, mean or rstd do not fit [%lld, %lld]",
			(long long)rows, (long long)columns);
	if (!op->s.data && (op->a.data || op->dropout.p > 0.0f))
		return aur_fail(AUR_SHAPE, "residual_norm_forward: s may be absent only without a and without dropout");
	return check_dropout("residual_norm_forward", &op->dropout, op->sequence, rows);
}

aur_status aur_residual_norm_forward_cpu(struct aur_backend *backend, const struct aur_residual_norm_forward *op)
{
	const struct aur_cpu *cpu = aur_cpu_of(backend);
	const int64_t columns = aur_tensor_count(&op->gamma);
	const int64_t rows = aur_tensor_count(&op->mean);
	AUR_TRY(check_forward(op, rows, columns));
	if (op->dropout.p > 0.0f)
		AUR_TRY(aur_check_scratch(backend, "residual_norm_forward", 0, buffer_bytes(columns)));
	const int64_t blocks = blocks_of(rows, columns);
#pragma omp parallel for schedule(static)
	for (int64_t i = 0; i < blocks; i++)
		forward_block(op, op->dropout.p > 0.0f ? row_buffer(cpu) : NULL, aur_span_of(rows, 1, blocks, i), columns);
	return AUR_OK;
}

struct sums {
	float scaled;     /* sum_C g*gamma */
	float correlated; /* sum_C g*gamma*xhat */
};

/* The sums of one row; adds g and g*xhat to this block's part of the parameters' gradients. */
static struct sums backward_sums(
	const float *g, const float *s, struct moments m, const float *gamma, float *d_gamma, float *d_beta, int64_t n)
{
	float scaled = 0.0f, correlated = 0.0f;
#pragma omp simd reduction(+ : scaled, correlated)
	for (int64_t i = 0; i < n; i++) {
		const float xhat = (s[i] - m.mean) * m.rstd;
		const float gx = g[i] * xhat;
		d_gamma[i] += gx;
		d_beta[i] += g[i];
		scaled += g[i] * gamma[i];
		correlated += gx * gamma[i];
	}
	return (struct sums){scaled, correlated};
}

/* d_a may be g or d_residual: every element is read before it is written. */
static void backward_write(const float *g, const float *s, struct moments m, struct sums sums, const float *gamma,
	const float *d_residual, float *d_a, int64_t n)
{
	const float mean1 = sums.scaled / (float)n, mean2 = sums.correlated / (float)n;
	if (d_residual) {
#pragma omp simd
		for (int64_t i = 0; i < n; i++)
			d_a[i] = m.rstd * (g[i] * gamma[i] - mean1 - (s[i] - m.mean) * m.rstd * mean2) + d_residual[i];
	} else {
#pragma omp simd
		for (int64_t i = 0; i < n; i++)
			d_a[i] = m.rstd * (g[i] * gamma[i] - mean1 - (s[i] - m.mean) * m.rstd * mean2);
	}
}

/* The parts' sums of a block: d_gamma's row, then d_beta's. */
struct partial {
	float *d_gamma, *d_beta;
};

static struct partial partial_of(const struct aur_cpu *cpu, int64_t columns, int64_t part)
{
	char *at = cpu->shared + 2 * (size_t)part * padded(columns);
	return (struct partial){(float *)(void *)at, (float *)(void *)(at + padded(columns))};
}

static void backward_row(
	const struct aur_residual_norm_backward *op, int64_t row, float *buffer, struct partial partial, int64_t n)
{
	const float *g = aur_f32(&op->d_y) + row * n;
	const float *s = aur_f32(&op->s) + row * n;
	const float *gamma = aur_f32(&op->gamma);
	const struct moments m = {aur_f32(&op->mean)[row], aur_f32(&op->rstd)[row]};
	if (op->d_y2.data) {
		const float *second = aur_f32(&op->d_y2) + row * n;
#pragma omp simd
		for (int64_t i = 0; i < n; i++)
			buffer[i] = g[i] + second[i];
		g = buffer;
	}
	const struct sums sums = backward_sums(g, s, m, gamma, partial.d_gamma, partial.d_beta, n);
	const float *d_residual = op->d_residual.data ? aur_f32(&op->d_residual) + row * n : NULL;
	backward_write(g, s, m, sums, gamma, d_residual, aur_f32(&op->d_a) + row * n, n);
}

static void backward_part(const struct aur_residual_norm_backward *op, float *buffer, struct partial partial,
	struct aur_span rows, int64_t columns)
{
	const int64_t step = cached_rows(columns);
	memset(partial.d_gamma, 0, padded(columns));
	memset(partial.d_beta, 0, padded(columns));
	for (int64_t begin = rows.begin; begin < rows.end; begin += step) {
		const int64_t end = begin + step < rows.end ? begin + step : rows.end;
		for (int64_t row = begin; row < end; row++)
			backward_row(op, row, buffer, partial, columns);
		if (!op->d_b.data)
			continue;
		const float *d_s = aur_f32(&op->d_a) + begin * columns;
		float *d_b = aur_f32(&op->d_b) + begin * columns;
		if (op->dropout.p > 0.0f)
			aur_dropout_block(&op->dropout, 0, op->sequence, begin, end, columns, d_s, d_b);
		else if (d_b != d_s)
			memcpy(d_b, d_s, (size_t)((end - begin) * columns) * sizeof(float));
	}
}

/* Adds all parts, in order, to some columns of the gradients. */
static void add_parts(const struct aur_residual_norm_backward *op, const struct aur_cpu *cpu, int64_t parts,
	struct aur_span columns, int64_t width)
{
	float d_gamma[COLUMNS_PER_SUM] = {0}, d_beta[COLUMNS_PER_SUM] = {0};
	const int64_t n = columns.end - columns.begin;
	for (int64_t part = 0; part < parts; part++) {
		const struct partial partial = partial_of(cpu, width, part);
#pragma omp simd
		for (int64_t i = 0; i < n; i++) {
			d_gamma[i] += partial.d_gamma[columns.begin + i];
			d_beta[i] += partial.d_beta[columns.begin + i];
		}
	}
	float *to_gamma = aur_f32(&op->d_gamma) + columns.begin;
	for (int64_t i = 0; i < n; i++)
		to_gamma[i] += d_gamma[i];
	float *to_beta = op->d_beta.data ? aur_f32(&op->d_beta) + columns.begin : NULL;
	for (int64_t i = 0; to_beta && i < n; i++)
		to_beta[i] += d_beta[i];
}

static aur_status check_backward(const struct aur_residual_norm_backward *op, int64_t rows, int64_t columns)
{
	const int64_t count = rows * columns;
	if (rows <= 0 || columns <= 0 || !is(&op->d_y, count) || !is(&op->s, count) || !is(&op->d_a, count) ||
		!absent_or(&op->d_y2, count) || !absent_or(&op->d_residual, count) || !absent_or(&op->d_b, count))
		return aur_fail(AUR_SHAPE, "residual_norm_backward: d_y, d_y2, d_residual, s, d_a and d_b disagree");
	if (!is(&op->gamma, columns) || !is(&op->d_gamma, columns) || !absent_or(&op->d_beta, columns) ||
		!is(&op->mean, rows) || !is(&op->rstd, rows))
		return aur_fail(AUR_SHAPE,
			"residual_norm_backward: gamma, mean, rstd, d_gamma or d_beta do not fit [%lld, %lld]", (long long)rows,
			(long long)columns);
	return check_dropout("residual_norm_backward", &op->dropout, op->sequence, rows);
}

aur_status aur_residual_norm_backward_cpu(struct aur_backend *backend, const struct aur_residual_norm_backward *op)
{
	const struct aur_cpu *cpu = aur_cpu_of(backend);
	const int64_t columns = aur_tensor_count(&op->gamma);
	const int64_t rows = aur_tensor_count(&op->mean);
	AUR_TRY(check_backward(op, rows, columns));
	const int64_t parts = parts_of(rows, columns);
	const size_t shared = 2 * (size_t)parts * padded(columns);
	AUR_TRY(aur_check_scratch(backend, "residual_norm_backward", shared, buffer_bytes(columns)));
	const int64_t sums = (columns + COLUMNS_PER_SUM - 1) / COLUMNS_PER_SUM;
#pragma omp parallel
	{
#pragma omp for schedule(static)
		for (int64_t i = 0; i < parts; i++)
			backward_part(op, row_buffer(cpu), partial_of(cpu, columns, i), aur_span_of(rows, 1, parts, i), columns);
#pragma omp for schedule(static)
		for (int64_t i = 0; i < sums; i++)
			add_parts(op, cpu, parts, aur_span_of(columns, COLUMNS_PER_SUM, sums, i), columns);
	}
	return AUR_OK;
}
