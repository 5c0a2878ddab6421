#include "oracle.h"

#include <math.h>

struct shape {
	int64_t batch, positions, vocabulary;
};

static const struct shape shapes[] = {{1, 1, 1}, {2, 3, 7}, {5, 67, 30}, {3, 101, 523}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static const float gradient_scale = 0.37f;

static struct aur_backend *open_for(struct shape s)
{
	return ops_open(&(struct aur_backend_limits){.batch = s.batch,
		.positions = s.positions,
		.width = 1,
		.heads = 1,
		.mlp_width = 1,
		.vocabulary = s.vocabulary,
		.training = 1});
}

static size_t result_bytes(struct shape s)
{
	return (size_t)s.batch * sizeof(double) + (size_t)(s.vocabulary * s.vocabulary) * sizeof(float);
}

/* Losses, then d_table, which begins with numbers other than 0. */
static void run(const void *argument, void *result)
{
	const struct shape s = *(const struct shape *)argument;
	const int64_t rows = s.batch * s.positions;
	const int64_t entries = s.vocabulary * s.vocabulary;
	struct aur_backend *backend = open_for(s);
	const int32_t *tokens = ops_random_tokens(rows, 1, s.vocabulary);
	const int32_t *targets = ops_random_tokens(rows, 2, s.vocabulary);
	double *loss = ops_put_bytes(backend, NULL, (size_t)s.batch * sizeof *loss);
	float *d_table = ops_put(backend, ops_random(entries, 4, 0.1f), entries);
	struct aur_table_loss op = {.tokens = aur_view_tokens(ops_put_tokens(backend, tokens, rows), s.batch, s.positions),
		.targets = aur_view_tokens(ops_put_tokens(backend, targets, rows), s.batch, s.positions),
		.table = aur_view2(ops_put(backend, ops_random(entries, 3, 1.0f), entries), s.vocabulary, s.vocabulary),
		.loss = ops_view_f64(loss, s.batch),
		.d_table = aur_view2(d_table, s.vocabulary, s.vocabulary),
		.gradient_scale = gradient_scale};
	ops_assert_status(backend->ops->table_loss(backend, &op), AUR_OK, "");
	double *out = result;
	ops_get_bytes(backend, out, loss, (size_t)s.batch * sizeof *loss);
	ops_get_bytes(backend, out + s.batch, d_table, (size_t)entries * sizeof *d_table);
	op.d_table.data = NULL;
	ops_assert_status(backend->ops->table_loss(backend, &op), AUR_OK, "");
	ops_assert_same_bits("loss alone", out, ops_get_doubles(backend, loss, s.batch), (size_t)s.batch * sizeof *loss);
	ops_close(&backend);
}

static double add_reference(const double *row, int64_t n, int32_t target, double *gradient)
{
	double sum = 0.0;
	for (int64_t j = 0; j < n; j++)
		sum += exp(row[j]);
	for (int64_t j = 0; j < n; j++)
		gradient[j] += (exp(row[j]) / sum - (j == target)) * (double)gradient_scale;
	return log(sum) - row[target];
}

static void loss_and_gradient_follow_the_formula(void **state)
{
	(void)state;
	for (int k = 0; k < SHAPES; k++) {
		const struct shape s = shapes[k];
		const int64_t entries = s.vocabulary * s.vocabulary;
		const int32_t *tokens = ops_random_tokens(s.batch * s.positions, 1, s.vocabulary);
		const int32_t *targets = ops_random_tokens(s.batch * s.positions, 2, s.vocabulary);
		const double *table = ops_doubles(ops_random(entries, 3, 1.0f), entries);
		double *d_table = ops_doubles(ops_random(entries, 4, 0.1f), entries);
		double *loss = ops_memory((size_t)s.batch * sizeof *loss);
		for (int64_t i = 0; i < s.batch * s.positions; i++)
			loss[i / s.positions] += add_reference(
				table + tokens[i] * s.vocabulary, s.vocabulary, targets[i], d_table + tokens[i] * s.vocabulary);
		double *got = ops_memory(result_bytes(s));
		run(&s, got);
		/* exponentials good to 1e-7, at most a dozen of them subtracted from one entry */
		ops_assert_close_f64("loss", got, loss, s.batch, 1e-6);
		ops_assert_close("d_table", (const float *)(const void *)(got + s.batch), d_table, entries, 2e-6);
	}
}

static void bits_do_not_depend_on_the_number_of_threads(void **state)
{
	(void)state;
	for (int k = 0; k < SHAPES; k++)
		ops_assert_thread_independent("table_loss", run, &shapes[k], result_bytes(shapes[k]));
}

/* Nothing around the results is written then, and the next call works. */
static void numbers_outside_the_vocabulary_are_refused(void **state)
{
	(void)state;
	static const int32_t good[] = {0, 2}, wild[][2] = {{0, 3}, {-1, 2}, {INT32_MAX, 0}};
	struct aur_backend *backend = open_for((struct shape){1, 2, 3});
	const float *table = ops_random(9, 1, 1.0f);
	const struct ops_guarded d_table = ops_put_guarded(backend, table, 9);
	double *loss = ops_put_bytes(backend, NULL, sizeof *loss);
	const struct aur_tensor fine = aur_view_tokens(ops_put_tokens(backend, good, 2), 1, 2);
	struct aur_table_loss op = {.table = aur_view2(ops_put(backend, table, 9), 3, 3),
		.loss = ops_view_f64(loss, 1),
		.d_table = aur_view2(d_table.data, 3, 3)};
	for (size_t i = 0; i < sizeof wild / sizeof *wild; i++) {
		op.tokens = aur_view_tokens(ops_put_tokens(backend, wild[i], 2), 1, 2);
		op.targets = fine;
		ops_assert_input_refused(backend, backend->ops->table_loss(backend, &op), "table_loss: tokens[");
		op.targets = op.tokens;
		op.tokens = fine;
		ops_assert_input_refused(backend, backend->ops->table_loss(backend, &op), "table_loss: targets[");
		ops_assert_guards("d_table", backend, &d_table);
	}
	ops_assert_same_bits("table", ops_get(backend, op.table.data, 9), table, 9 * sizeof *table);
	op.targets = fine;
	ops_assert_status(backend->ops->table_loss(backend, &op), AUR_OK, "");
	assert_true(isfinite(*ops_get_doubles(backend, loss, 1)));
	ops_close(&backend);
}

static void wrong_shapes_are_refused(void **state)
{
	(void)state;
	struct aur_backend *backend = open_for((struct shape){1, 2, 3});
	float *table = ops_put_zeros(backend, 9);
	double *loss = ops_put_bytes(backend, NULL, sizeof *loss);
	const struct aur_tensor tokens = aur_view_tokens(ops_put_tokens(backend, (int32_t[]){0, 2}, 2), 1, 2);
	struct aur_table_loss op = {.tokens = tokens,
		.targets = tokens,
		.table = aur_view2(table, 3, 3),
		.loss = ops_view_f64(loss, 1),
		.d_table = aur_view2(table, 1, 3)};
	ops_assert_status(backend->ops->table_loss(backend, &op), AUR_SHAPE, "table_loss: d_table");
	op.d_table.data = NULL;
	op.table = aur_view2(table, 2, 3);
	ops_assert_status(backend->ops->table_loss(backend, &op), AUR_SHAPE, "table_loss: table");
	op.table = aur_view2(table, 3, 3);
	op.targets = aur_view_tokens(tokens.data, 2, 1);
	ops_assert_status(backend->ops->table_loss(backend, &op), AUR_SHAPE, "table_loss: targets");
	ops_close(&backend);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(loss_and_gradient_follow_the_formula),
		cmocka_unit_test(bits_do_not_depend_on_the_number_of_threads),
		cmocka_unit_test(numbers_outside_the_vocabulary_are_refused),
		cmocka_unit_test(wrong_shapes_are_refused),
	};
	return ops_main("table_loss", tests, sizeof tests / sizeof *tests);
}
