/* Generation with a cache of keys and values gives what attention over the whole text gives. */

#include "attention_reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* As for attention: fp32 sums over hundreds of keys. */
static const double tolerance = 1e-5;

/* Of bf16, before the result is rounded: weights may be rounded to bf16, as in test_attention.c. */
static const double rounded_tolerance = 4e-2;

/* A text of case.positions rows, given in pieces of these lengths to a cache of `capacity`. */
struct generation {
	struct attention_case text;
	int64_t capacity;
	int64_t pieces[6];
};

static const struct generation generations[] = {
	{{1, 1, 1, 1, 1.0f, 0.0f, AUR_F32}, 1, {1}},
	{{2, 9, 3, 5, 0.4f, 0.0f, AUR_F32}, 11, {4, 1, 1, 3}},
	{{1, 70, 2, 32, 0.2f, 0.0f, AUR_F32}, 70, {67, 1, 1, 1}},
	{{2, 133, 3, 17, 0.2f, 0.0f, AUR_F32}, 140, {5, 127, 1}},
	{{1, 20, 96, 4, 0.1f, 0.0f, AUR_F32}, 64, {19, 1}},
	{{1, 620, 2, 64, 0.125f, 0.0f, AUR_F32}, 1024, {490, 100, 1, 29}}, /* the 100 rows cross a block of keys */
	{{1, 600, 1, 8, 0.3f, 0.0f, AUR_F32}, 600, {511, 1, 1, 87}},
	{{1, 1, 1, 1, 1.0f, 0.0f, AUR_BF16}, 1, {1}},
	{{2, 133, 3, 17, 0.2f, 0.0f, AUR_BF16}, 140, {5, 127, 1}},
	{{1, 20, 96, 4, 0.1f, 0.0f, AUR_BF16}, 64, {19, 1}},
	{{1, 620, 2, 64, 0.125f, 0.0f, AUR_BF16}, 1024, {490, 100, 1, 29}},
	{{1, 290, 1, 80, 0.1f, 0.0f, AUR_BF16}, 290, {1, 2, 3, 281, 3}},
	{{1, 290, 1, 300, 0.05f, 0.0f, AUR_F32}, 290, {1, 2, 3, 281, 3}},
};
enum { GENERATIONS = sizeof generations / sizeof *generations };

/* The same, or under the emulator one of fewer heads and shorter pieces. */
static struct generation generation_of(int i)
{
	struct generation g = generations[i];
	g.text.heads = attention_case_sized(&g.text).heads;
	for (int k = 0; k < 6; k++) {
		const int64_t cut = g.pieces[k] - ops_sized(g.pieces[k], 64);
		g.pieces[k] -= cut;
		g.text.positions -= cut;
	}
	return g;
}

static struct aur_backend *open_for(const struct generation *g)
{
	return ops_open(&(struct aur_backend_limits){.batch = g->text.batch,
		.positions = g->capacity,
		.width = attention_case_width(&g->text),
		.heads = g->text.heads,
		.activations = g->text.type});
}

/* Rows [past, past + n) of each sequence, one sequence after the other. */
static float *rows_of(const struct generation *g, const float *x, int64_t columns, int64_t past, int64_t n)
{
	float *y = ops_memory((size_t)(g->text.batch * n * columns) * sizeof *y);
	for (int64_t b = 0; b < g->text.batch; b++)
		memcpy(y + b * n * columns, x + (b * g->text.positions + past) * columns, (size_t)(n * columns) * sizeof *y);
	return y;
}

struct caches {
	struct aur_tensor k, v;
};

static struct aur_tensor cache_of(void *data, const struct generation *g)
{
	struct aur_tensor cache = aur_view3(data, g->text.batch * g->text.heads, g->capacity, g->text.head);
	cache.dtype = g->text.type;
	return cache;
}

/* NaN where nothing was written: it must not be read. */
static struct caches empty_caches(struct aur_backend *backend, const struct generation *g)
{
	const int64_t pairs = g->text.batch * g->text.heads, count = pairs * g->capacity * g->text.head;
	const enum aur_dtype type = g->text.type;
	return (struct caches){
		cache_of(ops_put_as(backend, type, NULL, count), g), cache_of(ops_put_as(backend, type, NULL, count), g)};
}

static float *piece(struct aur_backend *backend, const struct generation *g, const struct caches *caches,
	const float *qkv, int64_t past, int64_t n)
{
	const int64_t width = attention_case_width(&g->text), rows = g->text.batch * n;
	const enum aur_dtype type = g->text.type;
	void *out = ops_put_as(backend, type, NULL, rows * width);
	const float *host = rows_of(g, qkv, 3 * width, past, n);
	const struct aur_attention_cached op = {
		.qkv = aur_view2_of(ops_put_as(backend, type, host, rows * 3 * width), type, rows, 3 * width),
		.k_cache = caches->k,
		.v_cache = caches->v,
		.out = aur_view2_of(out, type, rows, width),
		.batch = g->text.batch,
		.positions = n,
		.past = past,
		.capacity = g->capacity,
		.n_head = g->text.heads,
		.scale = g->text.scale};
	ops_assert_status(backend->ops->attention_cached(backend, &op), AUR_OK, "");
	return ops_get_as(backend, type, out, rows * width);
}

/* All pieces one after the other, as out [B*T, C]. */
static void generate(const struct generation *g, const float *qkv, float *out)
{
	struct aur_backend *backend = open_for(g);
	const struct caches caches = empty_caches(backend, g);
	const int64_t width = attention_case_width(&g->text);
	int64_t past = 0;
	for (int i = 0; i < 6 && g->pieces[i] > 0; i++) {
		const int64_t n = g->pieces[i];
		const float *got = piece(backend, g, &caches, qkv, past, n);
		for (int64_t b = 0; b < g->text.batch; b++)
			memcpy(
				out + (b * g->text.positions + past) * width, got + b * n * width, (size_t)(n * width) * sizeof *out);
		past += n;
	}
	assert_int_equal(past, g->text.positions);
	ops_close(&backend);
}

static int64_t qkv_numbers(const struct generation *g)
{
	return attention_case_rows(&g->text) * 3 * attention_case_width(&g->text);
}

static void pieces_match_the_whole_text(void **state)
{
	(void)state;
	for (int i = 0; i < GENERATIONS; i++) {
		const struct generation sized = generation_of(i), *g = &sized;
		const int64_t n = qkv_numbers(g);
		float *out = malloc((size_t)n * sizeof *out), *qkv = malloc((size_t)n * sizeof *qkv);
		assert_true(out && qkv);
		memcpy(qkv, ops_round(g->text.type, ops_random(n, 1, 1.0f), n), (size_t)n * sizeof *qkv);
		generate(g, qkv, out);
		double *want = ops_memory((size_t)n * sizeof *want);
		attention_reference(&g->text, ops_doubles(qkv, n), want, NULL);
		ops_assert_close_as(
			"out", g->text.type, out, want, n / 3, g->text.type == AUR_BF16 ? rounded_tolerance : tolerance);
		free(out);
		free(qkv);
	}
}

static void run(const void *argument, void *result)
{
	const struct generation *g = argument;
	const int64_t n = qkv_numbers(g);
	float *qkv = malloc((size_t)n * sizeof *qkv);
	assert_non_null(qkv);
	for (int64_t i = 0; i < n; i++)
		qkv[i] = sinf((float)i);
	generate(g, qkv, result);
	free(qkv);
}

static void bits_do_not_depend_on_threads(void **state)
{
	(void)state;
	const int picks[] = {3, 5, 8, 11};
	for (size_t i = 0; i < sizeof picks / sizeof *picks; i++) {
		const struct generation g = generation_of(picks[i]);
		ops_assert_thread_independent("attention_cached", run, &g, (size_t)(qkv_numbers(&g) / 3) * sizeof(float));
	}
}

static void wrong_shapes_are_refused(void **state)
{
	(void)state;
	const struct generation g = {{1, 4, 2, 4, 1.0f, 0.0f, AUR_F32}, 6, {4}};
	struct aur_backend *backend = open_for(&g);
	const struct caches caches = empty_caches(backend, &g);
	struct aur_attention_cached op = {.qkv = aur_view2(ops_put_zeros(backend, 96), 4, 24),
		.k_cache = caches.k,
		.v_cache = caches.v,
		.out = aur_view2(ops_put_zeros(backend, 32), 4, 8),
		.batch = 1,
		.positions = 4,
		.past = 3,
		.capacity = 6,
		.n_head = 2,
		.scale = 1.0f};
	ops_assert_status(backend->ops->attention_cached(backend, &op), AUR_SHAPE, "attention_cached: ");
	op.past = 2;
	ops_assert_status(backend->ops->attention_cached(backend, &op), AUR_OK, "");
	op.n_head = 3;
	ops_assert_status(backend->ops->attention_cached(backend, &op), AUR_SHAPE, "attention_cached: ");
	op.n_head = 2;
	op.v_cache.dtype = AUR_BF16;
	ops_assert_status(backend->ops->attention_cached(backend, &op), AUR_SHAPE, "attention_cached: ");
	op.v_cache = aur_view3(caches.v.data, 2, 5, 4);
	ops_assert_status(backend->ops->attention_cached(backend, &op), AUR_SHAPE, "attention_cached: ");
	ops_close(&backend);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces_match_the_whole_text),
		cmocka_unit_test(bits_do_not_depend_on_threads),
		cmocka_unit_test(wrong_shapes_are_refused),
	};
	return ops_main("attention_cached", tests, sizeof tests / sizeof *tests);
}
