/* What a model is before it runs: its parameter table, FLOPs and initial values. */

#include "model_helpers.h"

#include "core/threads.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- the parameter table ---- */

static int64_t elements_of(struct aur_model_config config)
{
	struct aur_model *model = model_of(config);
	const int64_t elements = aur_model_parameters(model)->elements;
	aur_model_destroy(&model);
	return elements;
}

static void gpt2_has_the_published_numbers_of_parameters(void **state)
{
	(void)state;
	assert_int_equal(elements_of(gpt2(12, 12, 768)), 124439808);
	assert_int_equal(elements_of(gpt2(24, 16, 1024)), 354823168);
	assert_int_equal(elements_of(gpt2(36, 20, 1280)), 774030080);
	assert_int_equal(elements_of(gpt2(48, 25, 1600)), 1557611200);
}

static void options_add_and_remove_their_tensors(void **state)
{
	(void)state;
	struct aur_model *pre = model_of(tiny());
	struct aur_model *post = model_of(original());
	assert_non_null(aur_parameters_find(aur_model_parameters(pre), "ln_f.weight"));
	assert_non_null(aur_parameters_find(aur_model_parameters(pre), "h.1.attn.c_attn.bias"));
	assert_null(aur_parameters_find(aur_model_parameters(pre), "lm_head.weight"));
	assert_null(aur_parameters_find(aur_model_parameters(pre), "lm_head.bias"));
	assert_null(aur_parameters_find(aur_model_parameters(post), "ln_f.weight"));
	assert_null(aur_parameters_find(aur_model_parameters(post), "h.1.attn.c_attn.bias"));
	assert_non_null(aur_parameters_find(aur_model_parameters(post), "h.1.attn.c_proj.bias"));
	assert_non_null(aur_parameters_find(aur_model_parameters(post), "lm_head.weight"));
	assert_non_null(aur_parameters_find(aur_model_parameters(post), "lm_head.bias"));
	aur_model_destroy(&pre);
	aur_model_destroy(&post);
}

static void weights_are_stored_out_by_in(void **state)
{
	(void)state;
	struct aur_model *model = model_of(tiny());
	const struct aur_parameter *qkv = aur_parameters_find(aur_model_parameters(model), "h.0.attn.c_attn.weight");
	const struct aur_parameter *projection = aur_parameters_find(aur_model_parameters(model), "h.0.mlp.c_proj.weight");
	assert_int_equal(qkv->shape[0], 24);
	assert_int_equal(qkv->shape[1], 8);
	assert_int_equal(qkv->row_groups, 3);
	assert_int_equal(projection->shape[0], 8);
	assert_int_equal(projection->shape[1], 32);
	assert_int_equal(projection->layer, 0);
	aur_model_destroy(&model);
}

static void check_table(struct aur_model_config config)
{
	struct aur_model *model = model_of(config);
	const struct aur_parameters *parameters = aur_model_parameters(model);
	int64_t end = 0;
	int64_t elements = 0;
	for (int64_t i = 0; i < parameters->n_items; i++) {
		const struct aur_parameter *item = &parameters->items[i];
		assert_int_equal(item->offset % 64, 0);
		assert_true(item->offset >= end && item->offset < end + 64);
		assert_ptr_equal(aur_parameters_find(parameters, item->name), item);
		assert_int_equal(item->matrix, item->dims == 2);
		end = item->offset + item->count;
		elements += item->count;
	}
	assert_int_equal(parameters->count % 64, 0);
	assert_true(parameters->count >= end && parameters->count < end + 64);
	assert_int_equal(parameters->elements, elements);
	aur_model_destroy(&model);
}

static void offsets_are_aligned_and_do_not_overlap(void **state)
{
	(void)state;
	check_table(tiny());
	check_table(original());
	check_table(bigram(11));
}

static int64_t offset_of(const struct aur_model *model, const char *name)
{
	const struct aur_parameter *item = aur_parameters_find(aur_model_parameters(model), name);
	assert_non_null(item);
	return item->offset;
}

static void check_order(const struct aur_model *model, const char *const *names, int count)
{
	for (int i = 0; i + 1 < count; i++)
		assert_true(offset_of(model, names[i]) < offset_of(model, names[i + 1]));
}

/* So that the exchange of a gradient can begin while those below it are still computed. */
static void parameters_lie_in_the_order_of_the_backward_pass(void **state)
{
	(void)state;
	static const char *const pre_order[] = {"ln_f.weight", "h.1.mlp.c_proj.weight", "h.1.mlp.c_fc.weight",
		"h.1.ln_2.weight", "h.1.attn.c_proj.weight", "h.1.attn.c_attn.weight", "h.1.ln_1.weight",
		"h.0.mlp.c_proj.weight", "h.0.ln_1.weight", "wpe.weight", "wte.weight"};
	static const char *const post_order[] = {"lm_head.weight", "lm_head.bias", "h.1.ln_2.weight",
		"h.1.mlp.c_proj.weight", "h.1.ln_1.weight", "h.1.attn.c_proj.weight", "h.1.attn.c_attn.weight",
		"h.0.ln_2.weight", "wpe.weight", "wte.weight"};
	struct aur_model *pre = model_of(tiny());
	struct aur_model *post = model_of(original());
	check_order(pre, pre_order, sizeof pre_order / sizeof *pre_order);
	check_order(post, post_order, sizeof post_order / sizeof *post_order);
	aur_model_destroy(&pre);
	aur_model_destroy(&post);
}

static void heads_that_do_not_divide_the_width_are_refused(void **state)
{
	(void)state;
	struct aur_model_config config = gpt2(2, 5, 384);
	struct aur_model *model;
	assert_int_equal(aur_model_create(&config, &model), AUR_USAGE);
	assert_null(model);
	assert_non_null(strstr(aur_error_message(), "model.n_head: 5"));
}

/* Their size in bytes would not fit 64 bits. */
static void a_table_beyond_all_memory_is_refused(void **state)
{
	(void)state;
	const struct aur_model_config config = {.type = AUR_TYPE_BIGRAM, .vocab_size = INT32_MAX, .block_size = 8};
	struct aur_model *model;
	assert_int_equal(aur_model_create(&config, &model), AUR_USAGE);
	assert_null(model);
	assert_non_null(strstr(aur_error_message(), "smaller vocabulary"));
}

/* ---- FLOPs ---- */

static void flops_are_counted_as_llm_c_does(void **state)
{
	(void)state;
	struct aur_model *tied = model_of(gpt2(12, 12, 768));
	const double expected = 6.0 * (124439808 - 1024 * 768) + 6.0 * 12 * 768 * 1024;
	assert_true(aur_model_flops_per_token(tied, 1024) == expected);
	struct aur_model_config config = gpt2(12, 12, 768);
	config.tie_embeddings = 0;
	struct aur_model *untied = model_of(config);
	assert_true(aur_model_flops_per_token(untied, 1024) == expected);
	aur_model_destroy(&tied);
	aur_model_destroy(&untied);
}

/* ---- initial values ---- */

struct statistics {
	double mean, deviation, largest;
};

static struct statistics statistics_of(const struct aur_model *model, const float *weights, const char *name)
{
	const struct aur_parameter *item = aur_parameters_find(aur_model_parameters(model), name);
	assert_non_null(item);
	double sum = 0, squares = 0, largest = 0;
	for (int64_t i = item->offset; i < item->offset + item->count; i++) {
		const double w = (double)weights[i];
		sum += w;
		squares += w * w;
		largest = fmax(largest, fabs(w));
	}
	const double mean = sum / (double)item->count;
	return (struct statistics){mean, sqrt(squares / (double)item->count - mean * mean), largest};
}

static float *initial_weights(const struct aur_model *model, uint64_t seed)
{
	/* Not zeroed: padding must be written. */
	const size_t bytes = (size_t)aur_model_parameters(model)->count * sizeof(float);
	float *weights = malloc(bytes);
	assert_non_null(weights);
	memset(weights, 0x7f, bytes);
	aur_model_initialise(model, seed, weights);
	return weights;
}

/* Five standard errors of a mean and of a deviation over the smallest tensor checked, 64 * 64 numbers. */
static void check_normal(const struct aur_model *model, const float *weights, const char *name, double deviation)
{
	const struct statistics s = statistics_of(model, weights, name);
	assert_true(fabs(s.mean) < 5 * deviation / 64);
	assert_true(fabs(s.deviation / deviation - 1) < 5.0 / 64 / sqrt(2.0));
	assert_true(s.largest > 2.5 * deviation);
}

static void check_uniform(const struct aur_model *model, const float *weights, const char *name, double bound)
{
	const struct statistics s = statistics_of(model, weights, name);
	assert_true(s.largest <= bound * (1 + 1e-6) && s.largest > 0.9 * bound);
	assert_true(fabs(s.mean) < 0.3 * bound);
}

static void check_constant(const struct aur_model *model, const float *weights, const char *name, double value)
{
	const struct statistics s = statistics_of(model, weights, name);
	assert_true(s.mean == value && s.deviation == 0);
}

static void gpt2_initial_values(void **state)
{
	(void)state;
	struct aur_model_config config = gpt2(8, 4, 64);
	config.vocab_size = 200;
	config.block_size = 64;
	struct aur_model *model = model_of(config);
	float *weights = initial_weights(model, 1);
	check_normal(model, weights, "wte.weight", 0.02);
	check_normal(model, weights, "wpe.weight", 0.02);
	check_normal(model, weights, "h.3.attn.c_attn.weight", 0.02);
	check_normal(model, weights, "h.3.mlp.c_fc.weight", 0.02);
	check_normal(model, weights, "h.3.attn.c_proj.weight", 0.005);
	check_normal(model, weights, "h.7.mlp.c_proj.weight", 0.005);
	check_constant(model, weights, "h.0.attn.c_attn.bias", 0);
	check_constant(model, weights, "h.0.ln_1.weight", 1);
	check_constant(model, weights, "ln_f.bias", 0);
	free(weights);
	aur_model_destroy(&model);
}

static void pytorch_initial_values(void **state)
{
	(void)state;
	struct aur_model_config config = original();
	config.n_embd = 64;
	config.mlp_width = 256;
	config.vocab_size = 200;
	config.block_size = 64;
	struct aur_model *model = model_of(config);
	float *weights = initial_weights(model, 1);
	check_normal(model, weights, "wte.weight", 1);
	check_normal(model, weights, "wpe.weight", 1);
	check_uniform(model, weights, "h.1.attn.c_attn.weight", 1.0 / 8);
	check_uniform(model, weights, "h.1.mlp.c_fc.bias", 1.0 / 8);
	check_uniform(model, weights, "h.1.mlp.c_proj.weight", 1.0 / 16);
	check_uniform(model, weights, "h.1.mlp.c_proj.bias", 1.0 / 16);
	check_uniform(model, weights, "lm_head.bias", 1.0 / 8);
	check_constant(model, weights, "h.1.ln_2.weight", 1);
	check_constant(model, weights, "h.1.ln_2.bias", 0);
	free(weights);
	aur_model_destroy(&model);
}

static void bigram_initial_values(void **state)
{
	(void)state;
	struct aur_model_config config = bigram(64);
	config.pytorch_init = 1;
	struct aur_model *model = model_of(config);
	float *weights = initial_weights(model, 1);
	check_normal(model, weights, "table", 1);
	free(weights);
	aur_model_destroy(&model);
}

/* Shares within one, two, three and four deviations, and no number knows its neighbour or the other one that was made
 * of the same words: five standard errors each over 512 * 512 numbers. */
static void normal_values_have_the_shape_of_the_bell(void **state)
{
	(void)state;
	enum { N = 512 * 512, APART = 512 };
	static const double within[] = {0.682689492, 0.954499736, 0.997300204, 0.999936658};
	struct aur_model_config config = bigram(512);
	config.pytorch_init = 1;
	struct aur_model *model = model_of(config);
	float *weights = initial_weights(model, 1);
	for (int k = 0; k < 4; k++) {
		int count = 0;
		for (int i = 0; i < N; i++)
			count += fabsf(weights[i]) < (float)(k + 1);
		const double error = sqrt(within[k] * (1 - within[k]) / N);
		assert_true(fabs(count / (double)N - within[k]) < 5 * error);
	}
	double neighbours = 0, partners = 0, squares = 0;
	for (int i = 0; i + APART < N; i++) {
		neighbours += (double)weights[i] * (double)weights[i + 1];
		partners += (double)weights[i] * (double)weights[i + APART];
		squares += (double)(weights[i] * weights[i]) * (double)(weights[i + APART] * weights[i + APART]);
	}
	assert_true(fabs(neighbours) < 5 * 512.0);
	assert_true(fabs(partners) < 5 * 512.0);
	assert_true(fabs(squares / N - 1) < 5 * sqrt(8.0) / 512 + 1.0 / 512);
	free(weights);
	aur_model_destroy(&model);
}

/* The bits of a new run are the same on any machine of the same kind. */
static void initial_values_do_not_depend_on_the_threads(void **state)
{
	(void)state;
	struct aur_model *model = model_of(bigram(300));
	const size_t bytes = (size_t)aur_model_parameters(model)->count * sizeof(float);
	struct aur_threads one = {.requested = 1, .ranks_on_node = 1}, three = {.requested = 3, .ranks_on_node = 1};
	aur_threads_setup(&one);
	float *first = initial_weights(model, 7);
	aur_threads_setup(&three);
	float *second = initial_weights(model, 7);
	assert_memory_equal(first, second, bytes);
	free(first);
	free(second);
	aur_model_destroy(&model);
}

static void what_lies_between_tensors_is_zero(void **state)
{
	(void)state;
	struct aur_model *model = model_of(original());
	const struct aur_parameters *parameters = aur_model_parameters(model);
	float *weights = initial_weights(model, 3);
	for (int64_t i = 0; i < parameters->n_items; i++) {
		const struct aur_parameter *item = &parameters->items[i];
		const int64_t next = i + 1 < parameters->n_items ? item[1].offset : parameters->count;
		for (int64_t k = item->offset + item->count; k < next; k++)
			assert_true(weights[k] == 0);
	}
	free(weights);
	aur_model_destroy(&model);
}

static void initial_values_are_a_function_of_the_seed(void **state)
{
	(void)state;
	struct aur_model *model = model_of(tiny());
	const size_t bytes = (size_t)aur_model_parameters(model)->count * sizeof(float);
	float *first = initial_weights(model, 7);
	float *again = initial_weights(model, 7);
	float *other = initial_weights(model, 8);
	assert_memory_equal(first, again, bytes);
	assert_memory_not_equal(first, other, bytes);
	/* Tensors of one shape do not begin with the same numbers. */
	assert_memory_not_equal(first + offset_of(model, "h.0.mlp.c_fc.weight"),
		first + offset_of(model, "h.1.mlp.c_fc.weight"), 64 * sizeof(float));
	free(first);
	free(again);
	free(other);
	aur_model_destroy(&model);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gpt2_has_the_published_numbers_of_parameters),
		cmocka_unit_test(options_add_and_remove_their_tensors),
		cmocka_unit_test(weights_are_stored_out_by_in),
		cmocka_unit_test(offsets_are_aligned_and_do_not_overlap),
		cmocka_unit_test(parameters_lie_in_the_order_of_the_backward_pass),
		cmocka_unit_test(heads_that_do_not_divide_the_width_are_refused),
		cmocka_unit_test(a_table_beyond_all_memory_is_refused),
		cmocka_unit_test(flops_are_counted_as_llm_c_does),
		cmocka_unit_test(gpt2_initial_values),
		cmocka_unit_test(pytorch_initial_values),
		cmocka_unit_test(bigram_initial_values),
		cmocka_unit_test(normal_values_have_the_shape_of_the_bell),
		cmocka_unit_test(initial_values_do_not_depend_on_the_threads),
		cmocka_unit_test(what_lies_between_tensors_is_zero),
		cmocka_unit_test(initial_values_are_a_function_of_the_seed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
