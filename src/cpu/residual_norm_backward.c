#include "dropout.h"
#include "residual_norm.h"

/* The backward pass. With g = d_y + d_y2, xhat = (s - mean) rstd:
 *   d_s = rstd (g gamma - mean(g gamma) - xhat mean(g gamma xhat)) + d_residual
 * Two loops over a row, of which the first reads memory; g and xhat are taken anew in the second, which is cheaper than
 * keeping them. The gradients of gamma and beta are summed over the rows of each part, and the parts added in order.
 * An element reads d_y, s and d_residual and writes d_a once each: 16 bytes in fp32. */

enum { COLUMNS_PER_SUM = 256 };

/* What a row's loops read; an operand that is absent is a row of zeros. */
struct operands {
	const void *d_y, *d_y2, *d_residual, *s;
	const float *gamma;
	struct aur_moments m;
};

struct sums {
	float scaled;     /* sum_C g gamma */
	float correlated; /* sum_C g gamma xhat */
};

/* The parts' sums of a block. */
struct partial {
	float *d_gamma, *d_beta;
};

/* The sums of one row; adds g and g xhat to this part's gradients of beta and gamma. */
AUR_INLINE struct sums take_sums(const struct operands *row, struct partial partial, int64_t n, enum aur_dtype type)
{
	const struct operands r = *row;
	float *d_gamma = partial.d_gamma, *d_beta = partial.d_beta;
	float scaled = 0.0f, correlated = 0.0f;
#pragma omp simd reduction(+ : scaled, correlated)
	for (int64_t i = 0; i < n; i++) {
		const float g = aur_element(r.d_y, i, type) + aur_element(r.d_y2, i, type);
		const float xhat = (aur_element(r.s, i, type) - r.m.mean) * r.m.rstd;
		const float gx = g * xhat;
		d_gamma[i] += gx;
		d_beta[i] += g;
		scaled += g * r.gamma[i];
		correlated += gx * r.gamma[i];
	}
	return (struct sums){scaled, correlated};
}

/* d_a = d_s and, where there is a factor, d_b = d_s * factor. d_a may be an operand: every element is read before it is
 * written. */
AUR_INLINE void write_row(const struct operands *row, struct sums sums, const float *factor, void *d_a, void *d_b,
	int64_t n, enum aur_dtype type)
{
	const struct operands r = *row;
	const float mean1 = sums.scaled / (float)n, mean2 = sums.correlated / (float)n;
#pragma omp simd
	for (int64_t i = 0; i < n; i++) {
		const float g = aur_element(r.d_y, i, type) + aur_element(r.d_y2, i, type);
		const float xhat = (aur_element(r.s, i, type) - r.m.mean) * r.m.rstd;
		const float d_s = r.m.rstd * (g * r.gamma[i] - mean1 - xhat * mean2) + aur_element(r.d_residual, i, type);
		aur_set_element(d_a, i, type, d_s);
		if (factor)
			aur_set_element(d_b, i, type, d_s * factor[i]);
	}
}

/* How a call's rows are worked on. */
struct backward {
	const struct aur_residual_norm_backward *op;
	int64_t columns;
	int stream_a, stream_b; /* the result goes past the caches */
};

static const void *row_or(const struct aur_tensor *tensor, int64_t first, const float *zeros)
{
	return tensor->data ? aur_elements(tensor, first) : zeros;
}

static struct operands operands_of(const struct backward *b, int64_t row, const float *zeros)
{
	const struct aur_residual_norm_backward *op = b->op;
	const int64_t at = row * b->columns;
	return (struct operands){.d_y = aur_elements(&op->d_y, at),
		.d_y2 = row_or(&op->d_y2, at, zeros),
		.d_residual = row_or(&op->d_residual, at, zeros),
		.s = aur_elements(&op->s, at),
		.gamma = aur_f32(&op->gamma),
		.m = {aur_f32(&op->mean)[row], aur_f32(&op->rstd)[row]}};
}

/* `factor` is the row's dropout or NULL. */
AUR_INLINE void backward_row(const struct backward *b, const struct aur_norm_buffers *buffers, int64_t row,
	const float *factor, struct partial partial, enum aur_dtype type)
{
	const int64_t n = b->columns, at = row * n;
	const size_t bytes = (size_t)n * aur_element_bytes(type);
	const struct operands operands = operands_of(b, row, buffers->zeros);
	void *d_a = aur_elements(&b->op->d_a, at), *d_b = aur_elements(&b->op->d_b, at);
	void *to_a = b->stream_a ? buffers->line[0] : d_a, *to_b = b->stream_b ? buffers->line[1] : d_b;
	const struct sums sums = take_sums(&operands, partial, n, type);
	if (factor)
		write_row(&operands, sums, factor, to_a, to_b, n, type);
	else
		write_row(&operands, sums, NULL, to_a, NULL, n, type);
	if (!factor && d_b && d_b != d_a)
		memcpy(to_b, to_a, bytes);
	if (b->stream_a)
		aur_stream(d_a, to_a, bytes);
	if (b->stream_b)
		aur_stream(d_b, to_b, bytes);
}

static void backward_rows(const struct backward *b, const struct aur_norm_buffers *buffers, int64_t begin, int64_t end,
	struct partial partial)
{
	const int dropout = b->op->d_b.data && b->op->dropout.p > 0.0f;
	if (dropout)
		aur_dropout_rows(&b->op->dropout, b->op->sequence, begin, end, b->columns, buffers->factors);
	for (int64_t row = begin; row < end; row++) {
		const float *factor = dropout ? buffers->factors + (row - begin) * b->columns : NULL;
		if (b->op->d_y.dtype == AUR_F32)
			backward_row(b, buffers, row, factor, partial, AUR_F32);
		else
			backward_row(b, buffers, row, factor, partial, AUR_BF16);
	}
}

static struct partial partial_of(const struct aur_cpu *cpu, int64_t columns, int64_t part)
{
	const size_t row = aur_norm_row_bytes(columns);
	char *at = cpu->shared + 2 * (size_t)part * row;
	return (struct partial){(float *)(void *)at, (float *)(void *)(at + row)};
}

static void backward_part(const struct backward *b, const struct aur_cpu *cpu, int64_t part, struct aur_span rows)
{
	const struct aur_norm_buffers buffers = aur_norm_buffers_of(cpu, b->columns);
	const struct partial partial = partial_of(cpu, b->columns, part);
	memset(partial.d_gamma, 0, aur_norm_row_bytes(b->columns));
	memset(partial.d_beta, 0, aur_norm_row_bytes(b->columns));
	const int64_t step = aur_norm_drawn_rows(b->columns);
	for (int64_t begin = rows.begin; begin < rows.end; begin += step)
		backward_rows(b, &buffers, begin, begin + step < rows.end ? begin + step : rows.end, partial);
	if (b->stream_a || b->stream_b)
		aur_stream_end();
}

/* Adds all parts, in order, to some columns of the gradients. */
static void add_parts(const struct backward *b, const struct aur_cpu *cpu, int64_t parts, struct aur_span columns)
{
	float d_gamma[COLUMNS_PER_SUM] = {0}, d_beta[COLUMNS_PER_SUM] = {0};
	const int64_t n = columns.end - columns.begin;
	for (int64_t part = 0; part < parts; part++) {
		const struct partial partial = partial_of(cpu, b->columns, part);
#pragma omp simd
		for (int64_t i = 0; i < n; i++) {
			d_gamma[i] += partial.d_gamma[columns.begin + i];
			d_beta[i] += partial.d_beta[columns.begin + i];
		}
	}
	float *to_gamma = aur_f32(&b->op->d_gamma) + columns.begin;
	for (int64_t i = 0; i < n; i++)
		to_gamma[i] += d_gamma[i];
	float *to_beta = b->op->d_beta.data ? aur_f32(&b->op->d_beta) + columns.begin : NULL;
	for (int64_t i = 0; to_beta && i < n; i++)
		to_beta[i] += d_beta[i];
}

static int is_operand(const struct aur_residual_norm_backward *op, const void *data)
{
	return data == op->d_y.data || data == op->d_y2.data || data == op->d_residual.data || data == op->s.data;
}

aur_status aur_residual_norm_backward_cpu(struct aur_backend *backend, const struct aur_residual_norm_backward *op)
{
	const struct aur_cpu *cpu = aur_cpu_of(backend);
	const int64_t columns = aur_tensor_count(&op->gamma);
	const int64_t rows = aur_tensor_count(&op->mean);
	AUR_TRY(aur_check_residual_norm_backward(op));
	const int64_t parts = aur_norm_parts(rows, columns);
	const size_t shared = 2 * (size_t)parts * aur_norm_row_bytes(columns);
	AUR_TRY(aur_check_scratch(backend, "residual_norm_backward", shared, aur_norm_buffer_bytes(columns)));
	const struct backward backward = {.op = op,
		.columns = columns,
		.stream_a = !is_operand(op, op->d_a.data) && aur_streams(&op->d_a),
		.stream_b = op->d_b.data && op->d_b.data != op->d_a.data && aur_streams(&op->d_b)};
	const int64_t sums = (columns + COLUMNS_PER_SUM - 1) / COLUMNS_PER_SUM;
#pragma omp parallel
	{
#pragma omp for schedule(static)
		for (int64_t i = 0; i < parts; i++)
			backward_part(&backward, cpu, i, aur_span_of(rows, 1, parts, i));
#pragma omp for schedule(static)
		for (int64_t i = 0; i < sums; i++)
			add_parts(&backward, cpu, parts, aur_span_of(columns, COLUMNS_PER_SUM, sums, i));
	}
	return AUR_OK;
}
