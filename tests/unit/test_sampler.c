#include "train/sampler.h"

#include "cpu/cpu.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { DRAWS = 40000, VOCAB = 6 };

/* Probabilities 0.4, 0.25, 0.15, 0.1, 0.07, 0.03 in another order. */
static const double probability[VOCAB] = {0.1, 0.4, 0.03, 0.25, 0.07, 0.15};

static void logits_of_probabilities(float logits[VOCAB])
{
	for (int i = 0; i < VOCAB; i++)
		logits[i] = (float)log(probability[i]) + 3.0f;
}

static void count_draws(const struct aur_sampling *sampling, int64_t counts[VOCAB])
{
	float logits[VOCAB];
	logits_of_probabilities(logits);
	struct aur_sample_scratch *scratch = NULL;
	assert_int_equal(aur_sample_scratch_create(VOCAB, &scratch), AUR_OK);
	memset(counts, 0, VOCAB * sizeof *counts);
	for (int64_t i = 0; i < DRAWS; i++) {
		const int32_t token = aur_sample_token(logits, VOCAB, sampling, i, scratch);
		assert_in_range(token, 0, VOCAB - 1);
		counts[token]++;
	}
	aur_sample_scratch_destroy(&scratch);
}

/* Each count within five standard deviations of its binomial: a right sampler fails once in a million times, and the
 * draws are the same at every run. A token of probability 0 may never come. */
static void assert_distribution(const int64_t counts[VOCAB], const double weights[VOCAB])
{
	double total = 0;
	for (int i = 0; i < VOCAB; i++)
		total += weights[i];
	for (int i = 0; i < VOCAB; i++) {
		const double p = weights[i] / total;
		const double allowed = 5 * sqrt(DRAWS * p * (1 - p));
		assert_true(fabs((double)counts[i] - DRAWS * p) <= allowed);
	}
}

static void draws_follow_the_softmax(void **state)
{
	(void)state;
	int64_t counts[VOCAB];
	count_draws(&(struct aur_sampling){.temperature = 1, .seed = 7}, counts);
	assert_distribution(counts, probability);
}

static void temperature_raises_probabilities_to_its_inverse(void **state)
{
	(void)state;
	int64_t counts[VOCAB];
	double weights[VOCAB];
	for (int i = 0; i < VOCAB; i++)
		weights[i] = pow(probability[i], 1 / 0.5);
	count_draws(&(struct aur_sampling){.temperature = 0.5, .seed = 8}, counts);
	assert_distribution(counts, weights);
}

static void top_k_draws_from_the_k_most_likely(void **state)
{
	(void)state;
	int64_t counts[VOCAB];
	count_draws(&(struct aur_sampling){.temperature = 1, .top_k = 3, .seed = 9}, counts);
	assert_distribution(counts, (double[VOCAB]){0, 0.4, 0, 0.25, 0, 0.15});
}

/* 0.4 + 0.25 is less than 0.7, with 0.15 it is reached: the token that crosses the limit belongs to the set. */
static void top_p_draws_from_the_smallest_set_that_reaches_it(void **state)
{
	(void)state;
	int64_t counts[VOCAB];
	count_draws(&(struct aur_sampling){.temperature = 1, .top_p = 0.7, .seed = 10}, counts);
	assert_distribution(counts, (double[VOCAB]){0, 0.4, 0, 0.25, 0, 0.15});
}

/* After top-k 3 the first two have (0.4 + 0.25) / 0.8 = 0.8125 of what is left: enough for 0.8, which they are not of
 * the whole. */
static void top_p_counts_on_what_top_k_left(void **state)
{
	(void)state;
	int64_t counts[VOCAB];
	count_draws(&(struct aur_sampling){.temperature = 1, .top_k = 3, .top_p = 0.8, .seed = 11}, counts);
	assert_distribution(counts, (double[VOCAB]){0, 0.4, 0, 0.25, 0, 0});
}

static void a_tiny_top_p_leaves_the_most_likely(void **state)
{
	(void)state;
	int64_t counts[VOCAB];
	count_draws(&(struct aur_sampling){.temperature = 1, .top_p = 1e-9, .seed = 12}, counts);
	assert_int_equal(counts[1], DRAWS);
}

static void top_k_keeps_ties_with_the_k_th(void **state)
{
	(void)state;
	const float logits[4] = {1, 2, 1, -3};
	struct aur_sample_scratch *scratch = NULL;
	assert_int_equal(aur_sample_scratch_create(4, &scratch), AUR_OK);
	int seen[4] = {0};
	for (int64_t i = 0; i < 1000; i++)
		seen[aur_sample_token(logits, 4, &(struct aur_sampling){.temperature = 1, .top_k = 2}, i, scratch)]++;
	assert_true(seen[0] > 0 && seen[1] > 0 && seen[2] > 0);
	assert_int_equal(seen[3], 0);
	aur_sample_scratch_destroy(&scratch);
}

static void temperature_zero_takes_the_most_likely_and_the_first_of_equals(void **state)
{
	(void)state;
	const float logits[4] = {1, 5, 5, 2};
	for (int64_t i = 0; i < 20; i++)
		assert_int_equal(aur_sample_token(logits, 4, &(struct aur_sampling){.temperature = 0}, i, NULL), 1);
}

static void a_token_without_probability_is_never_drawn(void **state)
{
	(void)state;
	const float logits[3] = {-INFINITY, 0, -INFINITY};
	struct aur_sample_scratch *scratch = NULL;
	assert_int_equal(aur_sample_scratch_create(3, &scratch), AUR_OK);
	for (int64_t i = 0; i < 200; i++)
		assert_int_equal(aur_sample_token(logits, 3, &(struct aur_sampling){.temperature = 1}, i, scratch), 1);
	aur_sample_scratch_destroy(&scratch);
}

static void logits_that_are_not_finite_give_no_token(void **state)
{
	(void)state;
	const float bad[3][2] = {{0, NAN}, {INFINITY, 0}, {-INFINITY, -INFINITY}};
	struct aur_sample_scratch *scratch = NULL;
	assert_int_equal(aur_sample_scratch_create(2, &scratch), AUR_OK);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(aur_sample_token(bad[i], 2, &(struct aur_sampling){.temperature = 1}, 0, scratch), -1);
		assert_int_equal(aur_sample_token(bad[i], 2, &(struct aur_sampling){.temperature = 0}, 0, scratch), -1);
	}
	aur_sample_scratch_destroy(&scratch);
}

/* ---- whole texts, from a tiny GPT ---- */

enum { BLOCK = 8, TEXT = 30 };

struct fixture {
	struct aur_backend *backend;
	struct aur_model *model;
	struct aur_decoder *decoder;
	float *weights;
};

struct text {
	int32_t tokens[TEXT];
	int64_t count, stop_after;
};

static aur_status collect(void *context, int32_t token)
{
	struct text *text = context;
	text->tokens[text->count++] = token;
	return text->count == text->stop_after ? AUR_STOPPED : AUR_OK;
}

static int setup(void **state)
{
	static struct fixture fixture;
	const struct aur_model_config config = {.type = AUR_TYPE_GPT,
		.vocab_size = 11,
		.n_layer = 2,
		.n_head = 2,
		.n_embd = 16,
		.block_size = BLOCK,
		.mlp_width = 32,
		.activation = AUR_GELU,
		.bias = 1,
		.qkv_bias = 1,
		.tie_embeddings = 1,
		.pytorch_init = 1};
	assert_int_equal(aur_cpu_factory.open(&fixture.backend), AUR_OK);
	assert_int_equal(aur_model_create(&config, &fixture.model), AUR_OK);
	const int64_t count = aur_model_parameters(fixture.model)->count;
	void *weights = NULL;
	assert_int_equal(fixture.backend->ops->allocate(fixture.backend, (size_t)count * sizeof(float), &weights), AUR_OK);
	fixture.weights = weights;
	aur_model_initialise(fixture.model, 3, fixture.weights);
	assert_int_equal(aur_decoder_create(fixture.model, fixture.backend, fixture.weights, &fixture.decoder), AUR_OK);
	*state = &fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;
	aur_decoder_destroy(&fixture->decoder);
	fixture->backend->ops->release(fixture->backend, fixture->weights);
	aur_model_destroy(&fixture->model);
	aur_backend_close(&fixture->backend);
	return 0;
}

static aur_status generate(const struct fixture *fixture, const int32_t *prompt, int64_t prompt_tokens, int64_t tokens,
	struct aur_sampling sampling, struct text *text)
{
	const struct aur_generate call = {.decoder = fixture->decoder,
		.model = fixture->model,
		.prompt = prompt,
		.prompt_tokens = prompt_tokens,
		.tokens = tokens,
		.sampling = sampling,
		.emit = collect,
		.context = text};
	return aur_generate_text(&call);
}

static void a_seed_gives_one_text_and_another_seed_another(void **state)
{
	const int32_t prompt[2] = {1, 2};
	struct text first = {.count = 0}, again = {.count = 0}, other = {.count = 0}, second = {.count = 0};
	const struct aur_sampling sampling = {.temperature = 1, .seed = 5};
	struct aur_sampling other_seed = sampling, second_text = sampling;
	other_seed.seed = 6;
	second_text.text = 1;
	assert_int_equal(generate(*state, prompt, 2, TEXT, sampling, &first), AUR_OK);
	assert_int_equal(generate(*state, prompt, 2, TEXT, sampling, &again), AUR_OK);
	assert_int_equal(generate(*state, prompt, 2, TEXT, other_seed, &other), AUR_OK);
	assert_int_equal(generate(*state, prompt, 2, TEXT, second_text, &second), AUR_OK);
	assert_int_equal(first.count, TEXT);
	assert_memory_equal(first.tokens, again.tokens, sizeof first.tokens);
	assert_memory_not_equal(first.tokens, other.tokens, sizeof first.tokens);
	assert_memory_not_equal(first.tokens, second.tokens, sizeof first.tokens);
}

/* The text a decoder that is told everything anew at each token would write: within the context all of it, past it the
 * newest half of the context and what followed since. */
static void the_window_slides_past_the_context(void **state)
{
	struct fixture *fixture = *state;
	const int32_t prompt[3] = {4, 0, 9};
	struct text text = {.count = 0};
	struct aur_sample_scratch *scratch = NULL;
	/* Drawn and hot: the most likely tokens of an untrained model hardly depend on its context. */
	const struct aur_sampling sampling = {.temperature = 4, .seed = 2};
	assert_int_equal(aur_sample_scratch_create(11, &scratch), AUR_OK);
	assert_int_equal(generate(fixture, prompt, 3, TEXT, sampling, &text), AUR_OK);

	int32_t whole[3 + TEXT];
	memcpy(whole, prompt, sizeof prompt);
	int64_t begin = 0, end = 3;
	for (int64_t i = 0; i < TEXT; i++) {
		const float *logits = NULL;
		if (end - begin > BLOCK)
			begin = end - BLOCK / 2;
		aur_decoder_reset(fixture->decoder);
		assert_int_equal(aur_decoder_append(fixture->decoder, whole + begin, end - begin, &logits), AUR_OK);
		whole[end] = aur_sample_token(logits, 11, &sampling, end, scratch);
		end++;
	}
	aur_sample_scratch_destroy(&scratch);
	assert_memory_equal(text.tokens, whole + 3, sizeof text.tokens);
}

static void a_long_prompt_keeps_its_last_tokens(void **state)
{
	const int32_t prompt[BLOCK + 3] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0};
	struct text whole = {.count = 0}, end = {.count = 0};
	const struct aur_sampling sampling = {.temperature = 0};
	assert_int_equal(generate(*state, prompt, BLOCK + 3, TEXT, sampling, &whole), AUR_OK);
	assert_int_equal(generate(*state, prompt + 3, BLOCK, TEXT, sampling, &end), AUR_OK);
	assert_memory_equal(whole.tokens, end.tokens, sizeof whole.tokens);
}

static void a_status_of_emit_ends_the_text(void **state)
{
	const int32_t prompt[1] = {0};
	struct text text = {.stop_after = 4};
	assert_int_equal(generate(*state, prompt, 1, TEXT, (struct aur_sampling){.temperature = 1}, &text), AUR_STOPPED);
	assert_int_equal(text.count, 4);
}

static void a_model_whose_output_is_not_finite_is_an_error(void **state)
{
	struct fixture *fixture = *state;
	const int32_t prompt[1] = {0};
	struct text text = {.count = 0};
	const float kept = fixture->weights[0];
	const int64_t count = aur_model_parameters(fixture->model)->count;
	float *all = malloc((size_t)count * sizeof *all);
	assert_non_null(all);
	memcpy(all, fixture->weights, (size_t)count * sizeof *all);
	for (int64_t i = 0; i < count; i++)
		fixture->weights[i] = NAN;
	assert_int_equal(generate(fixture, prompt, 1, TEXT, (struct aur_sampling){.temperature = 1}, &text), AUR_INPUT);
	assert_non_null(strstr(aur_error_message(), "not finite"));
	assert_int_equal(text.count, 0);
	memcpy(fixture->weights, all, (size_t)count * sizeof *all);
	free(all);
	assert_true(fixture->weights[0] == kept);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(draws_follow_the_softmax),
		cmocka_unit_test(temperature_raises_probabilities_to_its_inverse),
		cmocka_unit_test(top_k_draws_from_the_k_most_likely),
		cmocka_unit_test(top_p_draws_from_the_smallest_set_that_reaches_it),
		cmocka_unit_test(top_p_counts_on_what_top_k_left),
		cmocka_unit_test(a_tiny_top_p_leaves_the_most_likely),
		cmocka_unit_test(top_k_keeps_ties_with_the_k_th),
		cmocka_unit_test(temperature_zero_takes_the_most_likely_and_the_first_of_equals),
		cmocka_unit_test(a_token_without_probability_is_never_drawn),
		cmocka_unit_test(logits_that_are_not_finite_give_no_token),
		cmocka_unit_test(a_seed_gives_one_text_and_another_seed_another),
		cmocka_unit_test(the_window_slides_past_the_context),
		cmocka_unit_test(a_long_prompt_keeps_its_last_tokens),
		cmocka_unit_test(a_status_of_emit_ends_the_text),
		cmocka_unit_test(a_model_whose_output_is_not_finite_is_an_error),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
