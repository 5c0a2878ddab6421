#include "internal.h"
#include "token_groups.h"

enum { STRIP = 128 }; /* columns of a row that are summed at a time, in registers and the first-level cache */

/* The grouped positions, and where dropout is on the masked gradient. */
static size_t scratch_bytes(int64_t rows, int64_t width, int64_t vocabulary, int dropout)
{
	const size_t groups = (aur_group_tokens_bytes(rows, vocabulary) + 255) / 256 * 256;
	return groups + (dropout ? (size_t)(rows * width) * sizeof(float) : 0);
}

struct aur_cpu_scratch aur_embedding_scratch(const struct aur_backend_limits *limits)
{
	if (!limits->training)
		return (struct aur_cpu_scratch){0, 0};
	const int64_t rows = limits->batch * limits->positions;
	return (struct aur_cpu_scratch){scratch_bytes(rows, limits->width, limits->vocabulary, 1), 0};
}

static aur_status check_forward(const struct aur_embedding_forward *op)
{
	static const char name[] = "embedding_forward";
	const int64_t width = aur_columns(&op->wte);
	AUR_TRY(aur_check_matrix(name, "wte", &op->wte, AUR_F32, aur_rows(&op->wte), width));
	AUR_TRY(aur_check_tokens(name, "tokens", &op->tokens, aur_rows(&op->wte)));
	AUR_TRY(aur_check_matrix(name, "wpe", &op->wpe, AUR_F32, aur_rows(&op->wpe), width));
	AUR_TRY(aur_check_matrix(name, "out", &op->out, AUR_F32, aur_tensor_count(&op->tokens), width));
	if (op->first_position < 0 || op->first_position + op->tokens.shape[1] > aur_rows(&op->wpe))
		return aur_fail(AUR_SHAPE, "%s: positions %lld to %lld; wpe has %lld", name, (long long)op->first_position,
			(long long)(op->first_position + op->tokens.shape[1]), (long long)aur_rows(&op->wpe));
	return AUR_OK;
}

static void embed_rows(const struct aur_embedding_forward *op, int64_t begin, int64_t end)
{
	const int64_t width = aur_columns(&op->wte);
	const int64_t positions = op->tokens.shape[1];
	const int32_t *tokens = op->tokens.data;
	for (int64_t i = begin; i < end; i++) {
		const float *word = aur_f32(&op->wte) + tokens[i] * width;
		const float *place = aur_f32(&op->wpe) + (op->first_position + i % positions) * width;
		float *out = aur_f32(&op->out) + i * width;
#pragma omp simd
		for (int64_t j = 0; j < width; j++)
			out[j] = word[j] + place[j];
	}
	if (op->dropout.p > 0.0f)
		aur_dropout_rows(&op->dropout, 0, positions, begin, end, width, aur_f32(&op->out), aur_f32(&op->out));
}

aur_status aur_embedding_forward_cpu(struct aur_backend *backend, const struct aur_embedding_forward *op)
{
	(void)backend;
	AUR_TRY(check_forward(op));
	const int64_t rows = aur_tensor_count(&op->tokens);
	const int64_t step = aur_rows_per_block(aur_columns(&op->wte));
#pragma omp parallel for schedule(static)
	for (int64_t begin = 0; begin < rows; begin += step)
		embed_rows(op, begin, begin + step < rows ? begin + step : rows);
	return AUR_OK;
}

static aur_status check_backward(const struct aur_embedding_backward *op)
{
	static const char name[] = "embedding_backward";
	const int64_t width = aur_columns(&op->d_wte);
	AUR_TRY(aur_check_matrix(name, "d_wte", &op->d_wte, AUR_F32, aur_rows(&op->d_wte), width));
	AUR_TRY(aur_check_tokens(name, "tokens", &op->tokens, aur_rows(&op->d_wte)));
	AUR_TRY(aur_check_matrix(name, "d_wpe", &op->d_wpe, AUR_F32, aur_rows(&op->d_wpe), width));
	AUR_TRY(aur_check_matrix(name, "d_out", &op->d_out, AUR_F32, aur_tensor_count(&op->tokens), width));
	if (op->tokens.shape[1] > aur_rows(&op->d_wpe))
		return aur_fail(AUR_SHAPE, "%s: %lld positions; d_wpe has %lld", name, (long long)op->tokens.shape[1],
			(long long)aur_rows(&op->d_wpe));
	return AUR_OK;
}

/* One row's share of a sum over rows; `sum` is not in memory that the compiler must write back each time. */
static void add_strip(float *restrict sum, const float *restrict x, int64_t width)
{
	if (width == STRIP)
		for (int j = 0; j < STRIP; j++)
			sum[j] += x[j];
	else
		for (int64_t j = 0; j < width; j++)
			sum[j] += x[j];
}

static void add_to_words(const struct aur_token_groups *groups, const float *d_out, int64_t width, float *d_wte)
{
	const int64_t strips = (width + STRIP - 1) / STRIP;
#pragma omp parallel for schedule(dynamic, 4)
	for (int64_t task = 0; task < groups->n * strips; task++) {
		const int64_t group = task / strips;
		const int64_t first = task % strips * STRIP;
		const int64_t columns = width - first < STRIP ? width - first : STRIP;
		float sum[STRIP] = {0.0f};
		for (int32_t i = groups->begin[group]; i < groups->begin[group + 1]; i++)
			add_strip(sum, d_out + groups->positions[i] * width + first, columns);
		add_strip(d_wte + groups->token[group] * width + first, sum, columns);
	}
}

static void add_to_places(int64_t batch, int64_t positions, const float *d_out, int64_t width, float *d_wpe)
{
	const int64_t strips = (width + STRIP - 1) / STRIP;
#pragma omp parallel for schedule(static)
	for (int64_t task = 0; task < positions * strips; task++) {
		const int64_t position = task / strips;
		const int64_t first = task % strips * STRIP;
		const int64_t columns = width - first < STRIP ? width - first : STRIP;
		float sum[STRIP] = {0.0f};
		for (int64_t b = 0; b < batch; b++)
			add_strip(sum, d_out + (b * positions + position) * width + first, columns);
		add_strip(d_wpe + position * width + first, sum, columns);
	}
}

static void mask_rows(const struct aur_embedding_backward *op, float *masked)
{
	const int64_t rows = aur_tensor_count(&op->tokens);
	const int64_t width = aur_columns(&op->d_wte);
	const int64_t step = aur_rows_per_block(width);
#pragma omp parallel for schedule(static)
	for (int64_t begin = 0; begin < rows; begin += step)
		aur_dropout_rows(&op->dropout, 0, op->tokens.shape[1], begin, begin + step < rows ? begin + step : rows, width,
			aur_f32(&op->d_out), masked);
}

aur_status aur_embedding_backward_cpu(struct aur_backend *backend, const struct aur_embedding_backward *op)
{
	AUR_TRY(check_backward(op));
	const int64_t rows = aur_tensor_count(&op->tokens);
	const int64_t width = aur_columns(&op->d_wte);
	const int64_t vocabulary = aur_rows(&op->d_wte);
	const int dropout = op->dropout.p > 0.0f;
	AUR_TRY(aur_check_scratch(backend, "embedding_backward", scratch_bytes(rows, width, vocabulary, dropout), 0));
	char *memory = aur_cpu_of(backend)->shared;
	const float *d_out = aur_f32(&op->d_out);
	if (dropout) {
		float *masked = (float *)(void *)(memory + scratch_bytes(rows, width, vocabulary, 0));
		mask_rows(op, masked);
		d_out = masked;
	}
	const struct aur_token_groups groups = aur_group_tokens(op->tokens.data, rows, vocabulary, memory);
	add_to_words(&groups, d_out, width, aur_f32(&op->d_wte));
	add_to_places(op->tokens.shape[0], op->tokens.shape[1], d_out, width, aur_f32(&op->d_wpe));
	return AUR_OK;
}
