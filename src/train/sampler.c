#include "train/sampler.h"

#include "core/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A token that may still be drawn, with its weight exp((logit - largest) / temperature). */
struct candidate {
	double weight;
	int32_t id;
};

struct aur_sample_scratch {
	int64_t vocab_size;
	struct candidate candidates[];
};

aur_status aur_sample_scratch_create(int64_t vocab_size, struct aur_sample_scratch **scratch)
{
	*scratch = malloc(sizeof **scratch + (size_t)vocab_size * sizeof(struct candidate));
	if (!*scratch)
		return aur_fail(AUR_MEMORY, "sampling: no memory for a vocabulary of %lld tokens", (long long)vocab_size);
	(*scratch)->vocab_size = vocab_size;
	return AUR_OK;
}

void aur_sample_scratch_destroy(struct aur_sample_scratch **scratch)
{
	if (!scratch)
		return;
	free(*scratch);
	*scratch = NULL;
}

/* The most likely token, the first of equal ones; -1 when a logit is NaN or +infinity, or all are -infinity. */
static int32_t most_likely(const float *logits, int64_t vocab_size)
{
	int64_t best = 0;
	for (int64_t i = 0; i < vocab_size; i++) {
		if (isnan(logits[i]))
			return -1;
		if (logits[i] > logits[best])
			best = i;
	}
	return isfinite(logits[best]) ? (int32_t)best : -1;
}

/* Falling weights; of equal ones the lower id first, so that the order is one and the same everywhere. */
static int heavier_first(const void *left, const void *right)
{
	const struct candidate *a = left, *b = right;
	if (a->weight != b->weight)
		return a->weight > b->weight ? -1 : 1;
	return a->id < b->id ? -1 : a->id > b->id;
}

/* How many of the sorted candidates top-k keeps. Those as likely as the k-th stay too, as in nanoGPT and Hugging Face,
 * where what is below the k-th logit goes. */
static int64_t keep_top_k(const struct candidate *sorted, int64_t n, int64_t k)
{
	if (k <= 0 || k >= n)
		return n;
	int64_t kept = k;
	while (kept < n && !(sorted[kept].weight < sorted[k - 1].weight))
		kept++;
	return kept;
}

static double total_weight(const struct candidate *candidates, int64_t n)
{
	double total = 0;
	for (int64_t i = 0; i < n; i++)
		total += candidates[i].weight;
	return total;
}

/* How many of the sorted candidates top-p keeps: the shortest beginning whose probability reaches p; at least one. */
static int64_t keep_top_p(const struct candidate *sorted, int64_t n, double p)
{
	if (!(p > 0 && p < 1))
		return n;
	const double enough = p * total_weight(sorted, n);
	double reached = sorted[0].weight;
	int64_t kept = 1;
	while (kept < n && reached < enough)
		reached += sorted[kept++].weight;
	return kept;
}

/* The candidate at the point u of [0, 1) along the weights laid end to end. */
static int32_t draw(const struct candidate *candidates, int64_t n, double u)
{
	const double point = u * total_weight(candidates, n);
	double reached = 0;
	int32_t last = candidates[0].id;
	for (int64_t i = 0; i < n; i++) {
		if (!(candidates[i].weight > 0))
			continue;
		last = candidates[i].id;
		reached += candidates[i].weight;
		if (point < reached)
			break;
	}
	return last;
}

int32_t aur_sample_token(const float *logits, int64_t vocab_size, const struct aur_sampling *sampling, int64_t position,
	struct aur_sample_scratch *scratch)
{
	const int32_t best = most_likely(logits, vocab_size);
	if (best < 0 || sampling->temperature <= 0)
		return best;

	struct candidate *candidates = scratch->candidates;
	for (int64_t i = 0; i < vocab_size; i++) {
		const double below = (double)logits[i] - (double)logits[best];
		candidates[i] = (struct candidate){exp(below / sampling->temperature), (int32_t)i};
	}
	int64_t kept = vocab_size;
	if (sampling->top_k > 0 || (sampling->top_p > 0 && sampling->top_p < 1)) {
		qsort(candidates, (size_t)vocab_size, sizeof *candidates, heavier_first);
		kept = keep_top_k(candidates, kept, sampling->top_k);
		kept = keep_top_p(candidates, kept, sampling->top_p);
	}
	const struct aur_random4 random = aur_philox(
		sampling->seed, (uint32_t)position, aur_rng_stream(AUR_SITE_GENERATE, 0, 0), (uint64_t)sampling->text);
	return draw(candidates, kept, aur_uniform(random.v[0], random.v[1]));
}

/* The newest tokens of a text: what the model is given again when its window slides. */
struct window {
	int32_t *tokens; /* [capacity] */
	int64_t capacity, count;
};

static void keep_newest(struct window *window, int64_t keep)
{
	if (window->count <= keep)
		return;
	memmove(window->tokens, window->tokens + window->count - keep, (size_t)keep * sizeof *window->tokens);
	window->count = keep;
}

/* Gives the decoder the token that was drawn last; where the cache is full, the newest half of the text instead. */
static aur_status append_newest(
	const struct aur_generate *generate, struct window *window, int32_t token, const float **logits)
{
	const int slides = window->count == window->capacity;
	if (slides)
		keep_newest(window, (window->capacity + 1) / 2 - 1);
	window->tokens[window->count++] = token;
	if (!slides)
		return aur_decoder_append(generate->decoder, &token, 1, logits);
	aur_decoder_reset(generate->decoder);
	return aur_decoder_append(generate->decoder, window->tokens, window->count, logits);
}

static aur_status draw_and_emit(const struct aur_generate *generate, const float *logits, int64_t position,
	struct aur_sample_scratch *scratch, int32_t *token)
{
	const int64_t vocab_size = aur_model_config_of(generate->model)->vocab_size;
	*token = aur_sample_token(logits, vocab_size, &generate->sampling, position, scratch);
	if (*token < 0)
		return aur_fail(AUR_INPUT, "the model's output is not finite: its training diverged or its file is damaged "
								   "(take an earlier checkpoint)");
	return generate->emit(generate->context, *token);
}

static aur_status generate_in(
	const struct aur_generate *generate, struct window *window, struct aur_sample_scratch *scratch)
{
	const int64_t cut = generate->prompt_tokens > window->capacity ? generate->prompt_tokens - window->capacity : 0;
	window->count = generate->prompt_tokens - cut;
	memcpy(window->tokens, generate->prompt + cut, (size_t)window->count * sizeof *window->tokens);

	const float *logits = NULL;
	aur_decoder_reset(generate->decoder);
	AUR_TRY(aur_decoder_append(generate->decoder, window->tokens, window->count, &logits));
	for (int64_t i = 0; i < generate->tokens; i++) {
		int32_t token = 0;
		AUR_TRY(draw_and_emit(generate, logits, generate->prompt_tokens + i, scratch, &token));
		/* Nothing is asked of the model after the last token. */
		if (i + 1 < generate->tokens)
			AUR_TRY(append_newest(generate, window, token, &logits));
	}
	return AUR_OK;
}

aur_status aur_generate_text(const struct aur_generate *generate)
{
	if (generate->prompt_tokens < 1)
		return aur_fail(AUR_SHAPE, "generation: a text begins with at least one token");
	if (generate->tokens < 1)
		return AUR_OK;
	const struct aur_model_config *config = aur_model_config_of(generate->model);
	struct aur_sample_scratch *scratch = NULL;
	struct window window = {.capacity = config->block_size};
	aur_status status = aur_sample_scratch_create(config->vocab_size, &scratch);
	if (status != AUR_OK)
		return status;
	window.tokens = malloc((size_t)window.capacity * sizeof *window.tokens);
	status = window.tokens ? generate_in(generate, &window, scratch)
						   : aur_fail(AUR_MEMORY, "generation: no memory for a window of tokens");
	free(window.tokens);
	aur_sample_scratch_destroy(&scratch);
	return status;
}
