/* Sizes at which a device goes about an operation in another way: rows that no block's registers hold, addresses that
 * are no multiple of 16, micro-batches whose tokens are sorted in several tiles and passes, groups of one token over
 * many tiles, tables wider than what is counted at a time, more segments than one launch takes. To every backend they
 * are only sizes.
 */

#include "oracle.h"

#include "core/rng.h"

#include <math.h>

static const struct aur_step_state step_state = {.seed = 0xabcdef987654ULL, .first_sample = 12};

static struct aur_dropout dropout_of(float p, const struct aur_step_state *state)
{
	return (struct aur_dropout){.p = p, .site = AUR_SITE_DROP_MLP_OUT, .layer = 2, .state = state};
}

struct norm {
	int64_t positions, columns;
	int64_t offset; /* elements from an aligned address */
	float p;
	enum aur_dtype type;
};

enum { SEQUENCES = 3 };

static const struct norm norms[] = {{3, 1024, 0, 0.1f, AUR_F32}, {3, 1024, 1, 0.1f, AUR_F32},
	{5, 1032, 0, 0.0f, AUR_F32}, {2, 2056, 0, 0.2f, AUR_BF16}, {2, 2056, 3, 0.0f, AUR_BF16},
	{2, 4096, 0, 0.0f, AUR_F32}, {3, 4104, 0, 0.1f, AUR_F32}, {3, 4104, 0, 0.1f, AUR_BF16}, {2, 4105, 0, 0.1f, AUR_F32},
	{17, 40, 0, 0.1f, AUR_BF16}};
enum { NORMS = sizeof norms / sizeof *norms };

static int64_t rows_of(const struct norm *n)
{
	return SEQUENCES * n->positions;
}

static float *numbers(const struct norm *n, uint32_t seed)
{
	const int64_t count = rows_of(n) * n->columns;
	return ops_round(n->type, ops_random(count, seed, 1.0f), count);
}

/* A view of the numbers, or of NaN, `offset` elements after an aligned address. */
static struct aur_tensor put(struct aur_backend *backend, const struct norm *n, const float *x)
{
	const int64_t count = rows_of(n) * n->columns;
	float *shifted = ops_memory((size_t)(count + n->offset) * sizeof *shifted);
	for (int64_t i = 0; i < count; i++)
		shifted[n->offset + i] = x ? x[i] : NAN;
	char *data = ops_put_as(backend, n->type, shifted, count + n->offset);
	data += (size_t)n->offset * aur_dtype_bytes(n->type);
	return aur_view2_of(data, n->type, rows_of(n), n->columns);
}

static const float *get(struct aur_backend *backend, const struct aur_tensor *x)
{
	return ops_get_as(backend, x->dtype, x->data, aur_tensor_count(x));
}

static double factor_at(const struct norm *n, int64_t i)
{
	const struct aur_dropout dropout = dropout_of(n->p, &step_state);
	const int64_t row = i / n->columns;
	return ops_dropout_factor(&dropout, 0, row / n->positions, row % n->positions, i % n->columns, n->columns);
}

static struct aur_backend *open_for_norm(const struct norm *n)
{
	return ops_open(&(struct aur_backend_limits){.batch = SEQUENCES,
		.positions = n->positions,
		.width = n->columns,
		.heads = 1,
		.activations = n->type,
		.training = 1});
}

struct moments {
	double mean, rstd;
};

static struct moments moments_of(const double *s, int64_t n)
{
	double sum = 0.0, squares = 0.0;
	for (int64_t i = 0; i < n; i++)
		sum += s[i];
	for (int64_t i = 0; i < n; i++)
		squares += (s[i] - sum / (double)n) * (s[i] - sum / (double)n);
	return (struct moments){sum / (double)n, 1.0 / sqrt(squares / (double)n + 1e-5)};
}

static void check_forward(const struct norm *n)
{
	struct aur_backend *backend = open_for_norm(n);
	const int64_t rows = rows_of(n), count = rows * n->columns;
	const float *a = numbers(n, 1), *b = numbers(n, 2), *gamma = ops_random(n->columns, 3, 1.0f);
	struct aur_residual_norm_forward op = {.a = put(backend, n, a),
		.b = put(backend, n, b),
		.y = put(backend, n, NULL),
		.gamma = aur_view1(ops_put(backend, gamma, n->columns), n->columns),
		.mean = aur_view1(ops_put(backend, NULL, rows), rows),
		.rstd = aur_view1(ops_put(backend, NULL, rows), rows),
		.sequence = n->positions,
		.dropout = dropout_of(n->p, ops_put_bytes(backend, &step_state, sizeof step_state))};
	op.s = op.a;
	ops_assert_status(backend->ops->residual_norm_forward(backend, &op), AUR_OK, "");
	double *s = ops_memory((size_t)count * sizeof *s), *y = ops_memory((size_t)count * sizeof *y);
	for (int64_t i = 0; i < count; i++)
		s[i] = (double)a[i] + (double)b[i] * factor_at(n, i);
	for (int64_t r = 0; r < rows; r++) {
		const struct moments m = moments_of(s + r * n->columns, n->columns);
		for (int64_t i = r * n->columns; i < (r + 1) * n->columns; i++)
			y[i] = (s[i] - m.mean) * m.rstd * (double)gamma[i - r * n->columns];
	}
	ops_assert_close_as("s", n->type, get(backend, &op.s), s, count, 2e-7);
	ops_assert_close_as("y", n->type, get(backend, &op.y), y, count, 4e-6);
	ops_close(&backend);
}

static void rows_of_any_width_are_normalised(void **state)
{
	(void)state;
	for (int i = 0; i < NORMS; i++)
		check_forward(&norms[i]);
}

struct gradients {
	double *d_a, *d_gamma, *d_beta;
};

static struct gradients gradients_of(
	const struct norm *n, const float *const in[4], const float *gamma, const float *mean, const float *rstd)
{
	const int64_t columns = n->columns, rows = rows_of(n);
	struct gradients out = {ops_memory((size_t)(rows * columns) * sizeof(double)),
		ops_memory((size_t)columns * sizeof(double)), ops_memory((size_t)columns * sizeof(double))};
	for (int64_t r = 0; r < rows; r++) {
		double scaled = 0.0, correlated = 0.0;
		for (int64_t i = r * columns; i < (r + 1) * columns; i++) {
			const double g = (double)in[0][i] + (double)in[1][i];
			const double xhat = ((double)in[3][i] - (double)mean[r]) * (double)rstd[r];
			scaled += g * (double)gamma[i - r * columns] / (double)columns;
			correlated += g * (double)gamma[i - r * columns] * xhat / (double)columns;
			out.d_gamma[i - r * columns] += g * xhat;
			out.d_beta[i - r * columns] += g;
		}
		for (int64_t i = r * columns; i < (r + 1) * columns; i++) {
			const double g = (double)in[0][i] + (double)in[1][i];
			const double xhat = ((double)in[3][i] - (double)mean[r]) * (double)rstd[r];
			const double d = g * (double)gamma[i - r * columns] - scaled - xhat * correlated;
			out.d_a[i] = (double)rstd[r] * d + (double)in[2][i];
		}
	}
	return out;
}

static void check_backward(const struct norm *n)
{
	struct aur_backend *backend = open_for_norm(n);
	const int64_t rows = rows_of(n), count = rows * n->columns;
	const float *const in[] = {numbers(n, 1), numbers(n, 2), numbers(n, 3), numbers(n, 4)};
	const float *gamma = ops_random(n->columns, 5, 1.0f), *mean = ops_random(rows, 6, 0.2f);
	float *rstd = ops_random(rows, 7, 0.2f);
	for (int64_t i = 0; i < rows; i++)
		rstd[i] += 1.0f;
	struct aur_residual_norm_backward op = {.d_y = put(backend, n, in[0]),
		.d_y2 = put(backend, n, in[1]),
		.d_residual = put(backend, n, in[2]),
		.s = put(backend, n, in[3]),
		.d_b = put(backend, n, NULL),
		.gamma = aur_view1(ops_put(backend, gamma, n->columns), n->columns),
		.mean = aur_view1(ops_put(backend, mean, rows), rows),
		.rstd = aur_view1(ops_put(backend, rstd, rows), rows),
		.d_gamma = aur_view1(ops_put_zeros(backend, n->columns), n->columns),
		.d_beta = aur_view1(ops_put_zeros(backend, n->columns), n->columns),
		.sequence = n->positions,
		.dropout = dropout_of(n->p, ops_put_bytes(backend, &step_state, sizeof step_state))};
	op.d_a = op.d_y;
	ops_assert_status(backend->ops->residual_norm_backward(backend, &op), AUR_OK, "");
	struct gradients want = gradients_of(n, in, gamma, mean, rstd);
	ops_assert_close_as("d_a", n->type, get(backend, &op.d_a), want.d_a, count, 1e-5);
	for (int64_t i = 0; i < count; i++)
		want.d_a[i] *= factor_at(n, i);
	ops_assert_close_as("d_b", n->type, get(backend, &op.d_b), want.d_a, count, 1e-5);
	ops_assert_close("d_gamma", get(backend, &op.d_gamma), want.d_gamma, n->columns, 1e-5);
	ops_assert_close("d_beta", get(backend, &op.d_beta), want.d_beta, n->columns, 1e-5);
	ops_close(&backend);
}

static void rows_of_any_width_have_gradients(void **state)
{
	(void)state;
	for (int i = 0; i < NORMS; i++)
		check_backward(&norms[i]);
}

struct words {
	int64_t positions, width, vocabulary, most; /* the last token is most - 1; each second one is 7 */
	enum aur_dtype type;
};

static void check_words(const struct words *w)
{
	const int64_t rows = 2 * w->positions, count = rows * w->width;
	struct aur_backend *backend = ops_open(&(struct aur_backend_limits){.batch = 2,
		.positions = w->positions,
		.width = w->width,
		.heads = 1,
		.vocabulary = w->vocabulary,
		.activations = w->type,
		.training = 1});
	int32_t *tokens = ops_random_tokens(rows, 1, w->most);
	for (int64_t i = 0; i < rows; i += 2)
		tokens[i] = 7;
	tokens[rows / 3] = (int32_t)w->vocabulary - 1;
	const float *d_out = ops_round(w->type, ops_random(count, 2, 1.0f), count);
	double *d_wte = ops_memory((size_t)(w->vocabulary * w->width) * sizeof *d_wte);
	double *d_wpe = ops_memory((size_t)(w->positions * w->width) * sizeof *d_wpe);
	for (int64_t i = 0; i < count; i++) {
		d_wte[tokens[i / w->width] * w->width + i % w->width] += (double)d_out[i];
		d_wpe[i % (w->positions * w->width)] += (double)d_out[i];
	}
	const struct aur_embedding_backward op = {
		.tokens = aur_view_tokens(ops_put_tokens(backend, tokens, rows), 2, w->positions),
		.d_out = aur_view2_of(ops_put_as(backend, w->type, d_out, count), w->type, rows, w->width),
		.d_wte = aur_view2(ops_put_zeros(backend, w->vocabulary * w->width), w->vocabulary, w->width),
		.d_wpe = aur_view2(ops_put_zeros(backend, w->positions * w->width), w->positions, w->width)};
	ops_assert_status(backend->ops->embedding_backward(backend, &op), AUR_OK, "");
	/* sums of up to 2,500 fp32 numbers */
	ops_assert_close("d_wte", get(backend, &op.d_wte), d_wte, w->vocabulary * w->width, 2e-5);
	ops_assert_close("d_wpe", get(backend, &op.d_wpe), d_wpe, w->positions * w->width, 1e-6);
	ops_close(&backend);
}

/* One token in every second place and others of one byte, two and three. */
static void long_micro_batches_of_many_words_are_summed(void **state)
{
	(void)state;
	check_words(&(struct words){2500, 8, 255, 255, AUR_F32});
	check_words(&(struct words){1100, 264, 256, 256, AUR_BF16});
	check_words(&(struct words){2050, 3, 65537, 65000, AUR_F32});
}

enum { SEGMENTS = 1001, EACH = 7 };

/* Neighbours differ in decay, but for each tenth, which is like the one before it. */
static float decay_of(int64_t segment)
{
	return (float)((segment - (segment % 10 == 9)) % 3) * 0.1f;
}

static void many_segments_each_have_their_decay(void **state)
{
	(void)state;
	struct aur_backend *backend = ops_open(NULL);
	enum { COUNT = SEGMENTS * EACH };
	const struct aur_step_state step = {
		.learning_rate = 0.5f, .correction1 = 1.0f, .correction2 = 1.0f, .gradient_scale = 1.0f};
	struct aur_adamw_segment segments[SEGMENTS];
	float *w = ops_random(COUNT, 1, 1.0f);
	double *want = ops_memory(COUNT * sizeof *want);
	for (int64_t i = 0; i < SEGMENTS; i++)
		segments[i] = (struct aur_adamw_segment){i * EACH, EACH, decay_of(i)};
	for (int64_t i = 0; i < COUNT; i++)
		want[i] = (double)w[i] * (1.0 - 0.5 * (double)decay_of(i / EACH));
	const struct aur_adamw op = {.weights = aur_view1(ops_put(backend, w, COUNT), COUNT),
		.gradients = aur_view1(ops_put_zeros(backend, COUNT), COUNT),
		.m = aur_view1(ops_put_zeros(backend, COUNT), COUNT),
		.v = aur_view1(ops_put_zeros(backend, COUNT), COUNT),
		.segments = segments,
		.n_segments = SEGMENTS,
		.beta1 = 0.9f,
		.beta2 = 0.95f,
		.epsilon = 1e-8f,
		.state = ops_put_bytes(backend, &step, sizeof step)};
	ops_assert_status(backend->ops->adamw(backend, &op), AUR_OK, "");
	ops_assert_close("w", get(backend, &op.weights), want, COUNT, 2e-7);
	ops_close(&backend);
}

/* Every position has the same token, so that the table is one row of it and the sum is known. */
static void wide_tables_count_all_their_targets(void **state)
{
	(void)state;
	enum { VOCABULARY = 2060, POSITIONS = 300 };
	struct aur_backend *backend = ops_open(
		&(struct aur_backend_limits){.batch = 1, .positions = POSITIONS, .vocabulary = VOCABULARY, .training = 1});
	int32_t tokens[POSITIONS], targets[POSITIONS];
	double *want = ops_memory(VOCABULARY * sizeof *want);
	for (int i = 0; i < POSITIONS; i++) {
		tokens[i] = 5;
		targets[i] = i % 2 ? VOCABULARY - 1 : 6 * i;
		want[targets[i]] -= 0.25;
	}
	for (int i = 0; i < VOCABULARY; i++)
		want[i] += 0.25 * POSITIONS / VOCABULARY;
	float *table = ops_put_zeros(backend, VOCABULARY * VOCABULARY);
	float *d_table = ops_put_zeros(backend, VOCABULARY * VOCABULARY);
	double *loss = ops_put_bytes(backend, NULL, sizeof *loss);
	const struct aur_table_loss op = {
		.tokens = aur_view_tokens(ops_put_tokens(backend, tokens, POSITIONS), 1, POSITIONS),
		.targets = aur_view_tokens(ops_put_tokens(backend, targets, POSITIONS), 1, POSITIONS),
		.table = aur_view2(table, VOCABULARY, VOCABULARY),
		.d_table = aur_view2(d_table, VOCABULARY, VOCABULARY),
		.loss = ops_view_f64(loss, 1),
		.gradient_scale = 0.25f};
	ops_assert_status(backend->ops->table_loss(backend, &op), AUR_OK, "");
	/* fp32 products and 150 subtractions of them */
	ops_assert_close("d_table", ops_get(backend, d_table + 5 * VOCABULARY, VOCABULARY), want, VOCABULARY, 2e-6);
	const double uniform = POSITIONS * log(VOCABULARY);
	ops_assert_close_f64("loss", ops_get_doubles(backend, loss, 1), &uniform, 1, 1e-7);
	ops_close(&backend);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_of_any_width_are_normalised),
		cmocka_unit_test(rows_of_any_width_have_gradients),
		cmocka_unit_test(long_micro_batches_of_many_words_are_summed),
		cmocka_unit_test(many_segments_each_have_their_decay),
		cmocka_unit_test(wide_tables_count_all_their_targets),
	};
	return ops_main("sizes", tests, sizeof tests / sizeof *tests);
}
