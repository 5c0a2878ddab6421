#include "dropout.h"
#include "internal.h"
#include "rows.h"
#include "token_groups.h"

/* Columns of a row that are taken at a time, in registers and the first-level cache; as many as are drawn at a time for
 * dropout. */
enum { STRIP = 128 };

struct aur_cpu_scratch aur_embedding_scratch(const struct aur_backend_limits *limits)
{
	if (!limits->training)
		return (struct aur_cpu_scratch){0, 0};
	const int64_t rows = limits->batch * limits->positions;
	return (struct aur_cpu_scratch){aur_group_tokens_bytes(rows, limits->vocabulary), 0};
}

/* factor may be NULL. */
AUR_INLINE void embed_strip(
	const void *word, const void *place, const float *factor, void *out, int64_t n, enum aur_dtype type)
{
#pragma omp simd
	for (int64_t j = 0; j < n; j++) {
		const float sum = aur_element(word, j, type) + aur_element(place, j, type);
		aur_set_element(out, j, type, factor ? sum * factor[j] : sum);
	}
}

AUR_INLINE void embed_strip_as(const struct aur_embedding_forward *op, int64_t row, int64_t first, int64_t n,
	const float *factor, enum aur_dtype type)
{
	const int64_t width = aur_columns(&op->wte);
	const int64_t token = ((const int32_t *)op->tokens.data)[row];
	const void *word = aur_elements(&op->wte, token * width + first);
	const void *place = aur_elements(&op->wpe, (op->first_position + row % op->tokens.shape[1]) * width + first);
	void *out = aur_elements(&op->out, row * width + first);
	if (factor)
		embed_strip(word, place, factor, out, n, type);
	else
		embed_strip(word, place, NULL, out, n, type);
}

static void embed_row(const struct aur_embedding_forward *op, int64_t row)
{
	const int64_t width = aur_columns(&op->wte);
	const int64_t positions = op->tokens.shape[1];
	const int dropout = op->dropout.p > 0.0f;
	const int64_t step = dropout ? STRIP : width;
	struct aur_dropout_stream stream;
	float factors[STRIP];
	if (dropout)
		stream = aur_dropout_stream_of(&op->dropout, 0, row / positions);
	for (int64_t first = 0; first < width; first += step) {
		const int64_t n = width - first < step ? width - first : step;
		if (dropout)
			aur_dropout_strip(&stream, row % positions, width, first, n, factors);
		if (op->out.dtype == AUR_F32)
			embed_strip_as(op, row, first, n, dropout ? factors : NULL, AUR_F32);
		else
			embed_strip_as(op, row, first, n, dropout ? factors : NULL, AUR_BF16);
	}
}

aur_status aur_embedding_forward_cpu(struct aur_backend *backend, const struct aur_embedding_forward *op)
{
	(void)backend;
	AUR_TRY(aur_check_embedding_forward(op));
	AUR_TRY(aur_check_token_range("embedding_forward", "tokens", &op->tokens, aur_rows(&op->wte)));
	const int64_t rows = aur_tensor_count(&op->tokens);
	const int64_t step = aur_rows_per_block(aur_columns(&op->wte));
#pragma omp parallel for schedule(static)
	for (int64_t begin = 0; begin < rows; begin += step)
		for (int64_t row = begin; row < rows && row < begin + step; row++)
			embed_row(op, row);
	return AUR_OK;
}

/* One strip's share of a sum over rows; factor may be NULL. */
AUR_INLINE void add_strip(float *restrict sum, const void *x, const float *factor, int64_t n, enum aur_dtype type)
{
	for (int64_t j = 0; j < n; j++)
		sum[j] += factor ? aur_element(x, j, type) * factor[j] : aur_element(x, j, type);
}

/* sum += row `row` of d_out under its mask, columns [first, first + n). */
static void add_row(const struct aur_embedding_backward *op, int64_t row, int64_t first, int64_t n, float *sum)
{
	const int64_t width = aur_columns(&op->d_wte);
	const int64_t positions = op->tokens.shape[1];
	const void *x = aur_elements(&op->d_out, row * width + first);
	const int wide = op->d_out.dtype == AUR_F32;
	float factors[STRIP];
	if (op->dropout.p > 0.0f) {
		const struct aur_dropout_stream stream = aur_dropout_stream_of(&op->dropout, 0, row / positions);
		aur_dropout_strip(&stream, row % positions, width, first, n, factors);
		if (wide)
			add_strip(sum, x, factors, n, AUR_F32);
		else
			add_strip(sum, x, factors, n, AUR_BF16);
	} else if (wide) {
		add_strip(sum, x, NULL, n, AUR_F32);
	} else {
		add_strip(sum, x, NULL, n, AUR_BF16);
	}
}

static void add_to_words(const struct aur_embedding_backward *op, const struct aur_token_groups *groups)
{
	const int64_t width = aur_columns(&op->d_wte);
	const int64_t strips = (width + STRIP - 1) / STRIP;
#pragma omp parallel for schedule(dynamic, 4)
	for (int64_t task = 0; task < groups->n * strips; task++) {
		const int64_t group = task / strips;
		const int64_t first = task % strips * STRIP;
		const int64_t columns = width - first < STRIP ? width - first : STRIP;
		float sum[STRIP] = {0.0f};
		for (int32_t i = groups->begin[group]; i < groups->begin[group + 1]; i++)
			add_row(op, groups->positions[i], first, columns, sum);
		add_strip(aur_f32(&op->d_wte) + groups->token[group] * width + first, sum, NULL, columns, AUR_F32);
	}
}

static void add_to_places(const struct aur_embedding_backward *op)
{
	const int64_t width = aur_columns(&op->d_wte);
	const int64_t batch = op->tokens.shape[0], positions = op->tokens.shape[1];
	const int64_t strips = (width + STRIP - 1) / STRIP;
#pragma omp parallel for schedule(static)
	for (int64_t task = 0; task < positions * strips; task++) {
		const int64_t position = task / strips;
		const int64_t first = task % strips * STRIP;
		const int64_t columns = width - first < STRIP ? width - first : STRIP;
		float sum[STRIP] = {0.0f};
		for (int64_t b = 0; b < batch; b++)
			add_row(op, b * positions + position, first, columns, sum);
		add_strip(aur_f32(&op->d_wpe) + position * width + first, sum, NULL, columns, AUR_F32);
	}
}

aur_status aur_embedding_backward_cpu(struct aur_backend *backend, const struct aur_embedding_backward *op)
{
	static const char name[] = "embedding_backward";
	const int64_t rows = aur_tensor_count(&op->tokens);
	const int64_t vocabulary = aur_rows(&op->d_wte);
	AUR_TRY(aur_check_embedding_backward(op));
	AUR_TRY(aur_check_token_range(name, "tokens", &op->tokens, vocabulary));
	AUR_TRY(aur_check_scratch(backend, name, aur_group_tokens_bytes(rows, vocabulary), 0));
	const struct aur_token_groups groups =
		aur_group_tokens(op->tokens.data, rows, vocabulary, aur_cpu_of(backend)->shared);
	add_to_words(op, &groups);
	add_to_places(op);
	return AUR_OK;
}
