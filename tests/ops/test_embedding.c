#include "oracle.h"

#include "core/rng.h"

struct shape {
	int64_t batch, positions, width, vocabulary;
	float p;
	enum aur_dtype type;
};

/* A vocabulary of 3 gives long runs of one token, one of 1000 mostly runs of one. */
static const struct shape shapes[] = {{1, 1, 1, 1, 0.0f, AUR_F32}, {2, 7, 13, 3, 0.0f, AUR_F32},
	{3, 5, 131, 1000, 0.2f, AUR_F32}, {4, 33, 257, 11, 0.5f, AUR_F32}, {1, 64, 128, 65, 0.1f, AUR_F32},
	{2, 7, 13, 3, 0.0f, AUR_BF16}, {4, 33, 257, 11, 0.5f, AUR_BF16}};
enum { SHAPES = sizeof shapes / sizeof *shapes, FIRST = 2 };

/* One addition and one scaling forward, before a bf16 is rounded; sums of up to 132 numbers backward. */
static const double forward_tolerance = 2e-7;
static const double sum_tolerance = 2e-6;

static const struct aur_step_state step_state = {.seed = 0x123456789abcULL, .first_sample = 77};

static struct aur_dropout dropout_of(struct shape s)
{
	return (struct aur_dropout){.p = s.p, .site = AUR_SITE_DROP_EMBEDDING, .layer = 0, .state = &step_state};
}

static struct aur_dropout device_dropout(struct aur_backend *backend, struct shape s)
{
	struct aur_dropout dropout = dropout_of(s);
	dropout.state = ops_put_bytes(backend, &step_state, sizeof step_state);
	return dropout;
}

static struct aur_backend *open_for(struct shape s)
{
	return ops_open(&(struct aur_backend_limits){.batch = s.batch,
		.positions = s.positions,
		.width = s.width,
		.heads = 1,
		.mlp_width = s.width,
		.vocabulary = s.vocabulary,
		.activations = s.type,
		.training = 1});
}

static void output_is_word_plus_position_under_the_mask(void **state)
{
	(void)state;
	for (int k = 0; k < SHAPES; k++) {
		const struct shape s = shapes[k];
		struct aur_backend *backend = open_for(s);
		const int64_t rows = s.batch * s.positions;
		const int64_t places = s.positions + FIRST;
		const int32_t *tokens = ops_random_tokens(rows, 1, s.vocabulary);
		const int64_t wte_count = s.vocabulary * s.width, wpe_count = places * s.width;
		const float *wte = ops_round(s.type, ops_random(wte_count, 2, 1.0f), wte_count);
		const float *wpe = ops_round(s.type, ops_random(wpe_count, 3, 1.0f), wpe_count);
		void *out = ops_put_as(backend, s.type, NULL, rows * s.width);
		const struct aur_embedding_forward op = {
			.tokens = aur_view_tokens(ops_put_tokens(backend, tokens, rows), s.batch, s.positions),
			.wte = aur_view2_of(ops_put_as(backend, s.type, wte, wte_count), s.type, s.vocabulary, s.width),
			.wpe = aur_view2_of(ops_put_as(backend, s.type, wpe, wpe_count), s.type, places, s.width),
			.out = aur_view2_of(out, s.type, rows, s.width),
			.first_position = FIRST,
			.dropout = device_dropout(backend, s)};
		ops_assert_status(backend->ops->embedding_forward(backend, &op), AUR_OK, "");
		const struct aur_dropout dropout = dropout_of(s);
		double *want = ops_memory((size_t)(rows * s.width) * sizeof *want);
		for (int64_t i = 0; i < rows; i++)
			for (int64_t j = 0; j < s.width; j++)
				want[i * s.width + j] =
					((double)wte[tokens[i] * s.width + j] + (double)wpe[(FIRST + i % s.positions) * s.width + j]) *
					ops_dropout_factor(&dropout, 0, i / s.positions, i % s.positions, j, s.width);
		ops_assert_close_as(
			"out", s.type, ops_get_as(backend, s.type, out, rows * s.width), want, rows * s.width, forward_tolerance);
		ops_close(&backend);
	}
}

/* d_wte and then d_wpe, each begun from numbers other than 0. */
static void run_backward(const void *argument, void *result)
{
	const struct shape s = *(const struct shape *)argument;
	struct aur_backend *backend = open_for(s);
	const int64_t rows = s.batch * s.positions;
	const int64_t places = s.positions + FIRST;
	float *d_wte = ops_put(backend, ops_random(s.vocabulary * s.width, 5, 1.0f), s.vocabulary * s.width);
	float *d_wpe = ops_put(backend, ops_random(places * s.width, 6, 1.0f), places * s.width);
	const struct aur_embedding_backward op = {
		.tokens = aur_view_tokens(
			ops_put_tokens(backend, ops_random_tokens(rows, 1, s.vocabulary), rows), s.batch, s.positions),
		.d_out = aur_view2_of(
			ops_put_as(backend, s.type, ops_random(rows * s.width, 4, 1.0f), rows * s.width), s.type, rows, s.width),
		.d_wte = aur_view2(d_wte, s.vocabulary, s.width),
		.d_wpe = aur_view2(d_wpe, places, s.width),
		.dropout = device_dropout(backend, s)};
	ops_assert_status(backend->ops->embedding_backward(backend, &op), AUR_OK, "");
	float *out = result;
	ops_get_bytes(backend, out, d_wte, (size_t)(s.vocabulary * s.width) * sizeof *out);
	ops_get_bytes(backend, out + s.vocabulary * s.width, d_wpe, (size_t)(places * s.width) * sizeof *out);
	ops_close(&backend);
}

static int64_t gradient_count(struct shape s)
{
	return (s.vocabulary + s.positions + FIRST) * s.width;
}

static void gradients_of_equal_tokens_and_positions_are_summed(void **state)
{
	(void)state;
	for (int k = 0; k < SHAPES; k++) {
		const struct shape s = shapes[k];
		const int64_t rows = s.batch * s.positions;
		const int64_t places = s.positions + FIRST;
		const struct aur_dropout dropout = dropout_of(s);
		const int32_t *tokens = ops_random_tokens(rows, 1, s.vocabulary);
		const float *d_out = ops_round(s.type, ops_random(rows * s.width, 4, 1.0f), rows * s.width);
		double *d_wte = ops_doubles(ops_random(s.vocabulary * s.width, 5, 1.0f), s.vocabulary * s.width);
		double *d_wpe = ops_doubles(ops_random(places * s.width, 6, 1.0f), places * s.width);
		for (int64_t i = 0; i < rows; i++)
			for (int64_t j = 0; j < s.width; j++) {
				const double g = (double)d_out[i * s.width + j] *
								 ops_dropout_factor(&dropout, 0, i / s.positions, i % s.positions, j, s.width);
				d_wte[tokens[i] * s.width + j] += g;
				d_wpe[i % s.positions * s.width + j] += g;
			}
		float *got = ops_memory((size_t)gradient_count(s) * sizeof *got);
		run_backward(&s, got);
		ops_assert_close("d_wte", got, d_wte, s.vocabulary * s.width, sum_tolerance);
		ops_assert_close("d_wpe", got + s.vocabulary * s.width, d_wpe, places * s.width, sum_tolerance);
	}
}

static void bits_do_not_depend_on_the_number_of_threads(void **state)
{
	(void)state;
	for (int k = 0; k < SHAPES; k++)
		ops_assert_thread_independent(
			"embedding_backward", run_backward, &shapes[k], (size_t)gradient_count(shapes[k]) * sizeof(float));
}

static const int32_t wild[][2] = {{0, 3}, {-1, 0}, {2, INT32_MAX}, {INT32_MIN, 1}};
enum { WILD = sizeof wild / sizeof *wild };

/* Nor does a wild number become a wild address, whenever it is found. */
static void tokens_outside_the_vocabulary_are_refused_forward(void **state)
{
	(void)state;
	const struct shape s = {1, 2, 4, 3, 0.0f, AUR_F32};
	static const char *const messages[WILD] = {"embedding_forward: tokens[1] is 3",
		"embedding_forward: tokens[0] is -1", "embedding_forward: tokens[1] is 2147483647",
		"embedding_forward: tokens[0] is -2147483648"};
	struct aur_backend *backend = open_for(s);
	const float *wte = ops_random(12, 2, 1.0f), *wpe = ops_random(8, 3, 1.0f);
	const struct ops_guarded out = ops_put_guarded(backend, wte, 8);
	struct aur_embedding_forward op = {.wte = aur_view2(ops_put(backend, wte, 12), 3, 4),
		.wpe = aur_view2(ops_put(backend, wpe, 8), 2, 4),
		.out = aur_view2(out.data, 2, 4)};
	for (int i = 0; i < WILD; i++) {
		op.tokens = aur_view_tokens(ops_put_tokens(backend, wild[i], 2), 1, 2);
		ops_assert_input_refused(backend, backend->ops->embedding_forward(backend, &op), messages[i]);
		ops_assert_guards("out", backend, &out);
	}
	ops_assert_same_bits("wte", ops_get(backend, op.wte.data, 12), wte, 12 * sizeof *wte);
	ops_assert_same_bits("wpe", ops_get(backend, op.wpe.data, 8), wpe, 8 * sizeof *wpe);
	op.tokens = aur_view_tokens(ops_put_tokens(backend, (int32_t[]){1, 2}, 2), 1, 2);
	ops_assert_status(backend->ops->embedding_forward(backend, &op), AUR_OK, "");
	assert_true(ops_get(backend, out.data, 8)[7] == wte[11] + wpe[7]);
	ops_close(&backend);
}

static void tokens_outside_the_vocabulary_are_refused_backward(void **state)
{
	(void)state;
	const struct shape s = {1, 2, 4, 3, 0.0f, AUR_F32};
	struct aur_backend *backend = open_for(s);
	const float *zeros = ops_memory(12 * sizeof *zeros), *d_out = ops_random(8, 2, 1.0f);
	const struct ops_guarded d_wte = ops_put_guarded(backend, zeros, 12), d_wpe = ops_put_guarded(backend, zeros, 8);
	struct aur_embedding_backward op = {.d_out = aur_view2(ops_put(backend, d_out, 8), 2, 4),
		.d_wte = aur_view2(d_wte.data, 3, 4),
		.d_wpe = aur_view2(d_wpe.data, 2, 4)};
	for (int i = 0; i < WILD; i++) {
		op.tokens = aur_view_tokens(ops_put_tokens(backend, wild[i], 2), 1, 2);
		ops_assert_input_refused(
			backend, backend->ops->embedding_backward(backend, &op), "embedding_backward: tokens[");
		ops_assert_guards("d_wte", backend, &d_wte);
		ops_assert_guards("d_wpe", backend, &d_wpe);
	}
	ops_close(&backend);
}

static void wrong_shapes_are_refused(void **state)
{
	(void)state;
	const struct shape s = {1, 2, 4, 3, 0.0f, AUR_F32};
	struct aur_backend *backend = open_for(s);
	float *data = ops_put_zeros(backend, 64);
	struct aur_embedding_forward op = {.tokens = aur_view_tokens(ops_put_tokens(backend, (int32_t[]){1, 2}, 2), 1, 2),
		.wte = aur_view2(data, 3, 4),
		.wpe = aur_view2(data, 2, 4),
		.out = aur_view2(data + 32, 2, 4)};
	ops_assert_status(backend->ops->embedding_forward(backend, &op), AUR_OK, "");
	op.first_position = 1;
	ops_assert_status(backend->ops->embedding_forward(backend, &op), AUR_SHAPE, "embedding_forward: positions");
	op.first_position = 0;
	op.dropout.p = 0.5f;
	ops_assert_status(backend->ops->embedding_forward(backend, &op), AUR_SHAPE, "embedding_forward: dropout needs");
	const struct aur_embedding_backward backward = {
		.tokens = op.tokens, .d_out = op.out, .d_wte = aur_view2(data, 3, 4), .d_wpe = aur_view2(data, 1, 4)};
	ops_assert_status(
		backend->ops->embedding_backward(backend, &backward), AUR_SHAPE, "embedding_backward: 2 positions");
	ops_close(&backend);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(output_is_word_plus_position_under_the_mask),
		cmocka_unit_test(gradients_of_equal_tokens_and_positions_are_summed),
		cmocka_unit_test(bits_do_not_depend_on_the_number_of_threads),
		cmocka_unit_test(tokens_outside_the_vocabulary_are_refused_forward),
		cmocka_unit_test(tokens_outside_the_vocabulary_are_refused_backward),
		cmocka_unit_test(wrong_shapes_are_refused),
	};
	return ops_main("embedding", tests, sizeof tests / sizeof *tests);
}
