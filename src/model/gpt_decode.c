#include "gpt.h"

#include <stdlib.h>

/* A prompt goes through in pieces, so that generation needs little more memory than its cache. */
enum { PIECE = 64 };

aur_status aur_gpt_decoder_prepare(struct aur_decoder *decoder)
{
	const struct aur_model_config *config = &decoder->model->config;
	struct aur_gpt_cache *cache = calloc(1, sizeof *cache);
	decoder->cache = cache;
	if (cache) {
		cache->rows = config->block_size < PIECE ? config->block_size : PIECE;
		cache->keys = calloc((size_t)config->n_layer, sizeof *cache->keys);
		cache->values = calloc((size_t)config->n_layer, sizeof *cache->values);
	}
	if (!cache || !cache->keys || !cache->values)
		return aur_fail(AUR_MEMORY, "decoder: no memory for its description");
	return aur_gpt_activations_create(decoder->model, AUR_F32, &cache->activations);
}

void aur_gpt_decoder_carve(struct aur_decoder *decoder, struct aur_arena *arena)
{
	const struct aur_model_config *config = &decoder->model->config;
	struct aur_gpt_cache *cache = decoder->cache;
	const size_t bytes = (size_t)(config->block_size * config->n_embd) * sizeof(float);
	for (int64_t i = 0; i < config->n_layer; i++) {
		cache->keys[i] = aur_arena_take(arena, "keys", bytes);
		cache->values[i] = aur_arena_take(arena, "values", bytes);
	}
	cache->tokens = aur_arena_take(arena, "tokens", (size_t)cache->rows * sizeof *cache->tokens);
	cache->logits = aur_arena_take(arena, "logits", (size_t)config->vocab_size * sizeof *cache->logits);
	aur_gpt_activations_carve(decoder->model, 1, cache->rows, 0, &cache->activations, arena);
}

void aur_gpt_decoder_discard(struct aur_decoder *decoder)
{
	struct aur_gpt_cache *cache = decoder->cache;
	if (!cache)
		return;
	aur_gpt_activations_clear(&cache->activations);
	free(cache->keys);
	free(cache->values);
	free(cache);
	decoder->cache = NULL;
}

/* Runs one piece and gives the last norm's output of its last token [C]. */
static aur_status append_piece(struct aur_decoder *decoder, const int32_t *tokens, int64_t count, float **last)
{
	struct aur_gpt_cache *cache = decoder->cache;
	const struct aur_gpt_pass pass = {
		.model = decoder->model,
		.backend = decoder->backend,
		.activations = &cache->activations,
		.batch = 1,
		.positions = count,
		.weights = {decoder->weights, decoder->weights, AUR_F32},
		.cache = cache,
	};
	void *hidden;
	AUR_TRY(decoder->backend->ops->upload(decoder->backend, cache->tokens, tokens, (size_t)count * sizeof *tokens));
	AUR_TRY(aur_gpt_trunk(&pass, cache->tokens, &hidden));
	*last = (float *)hidden + (count - 1) * decoder->model->config.n_embd;
	return AUR_OK;
}

static aur_status head_logits(struct aur_decoder *decoder, float *last)
{
	const struct aur_model *model = decoder->model;
	const int64_t vocabulary = model->config.vocab_size;
	const int64_t *outer = model->gpt->outer;
	const struct aur_weights arenas = {decoder->weights, decoder->weights, AUR_F32};
	struct aur_weights weights;
	AUR_TRY(aur_parameters_acquire(&model->parameters, -1, &arenas, &weights));
	const struct aur_linear_forward op = {
		.x = aur_view2(last, 1, model->config.n_embd),
		.w = aur_model_matrix(
			model, &weights, model->config.tie_embeddings ? outer[AUR_WTE] : outer[AUR_LM_HEAD_WEIGHT]),
		.bias = aur_model_bias(model, &weights, outer[AUR_LM_HEAD_BIAS]),
		.y = aur_view2(decoder->cache->logits, 1, vocabulary),
	};
	const aur_status status = decoder->backend->ops->linear_forward(decoder->backend, &op);
	aur_parameters_release(&model->parameters, -1, &weights);
	return status;
}

aur_status aur_gpt_decoder_append(struct aur_decoder *decoder, const int32_t *tokens, int64_t count)
{
	struct aur_gpt_cache *cache = decoder->cache;
	struct aur_backend *backend = decoder->backend;
	float *last = NULL;
	cache->past = decoder->position;
	for (int64_t done = 0; done < count; done += cache->rows) {
		const int64_t piece = count - done < cache->rows ? count - done : cache->rows;
		AUR_TRY(append_piece(decoder, tokens + done, piece, &last));
		cache->past += piece;
	}
	AUR_TRY(head_logits(decoder, last));
	AUR_TRY(backend->ops->download(
		backend, decoder->logits, cache->logits, (size_t)decoder->model->config.vocab_size * sizeof(float)));
	return backend->ops->synchronise(backend);
}
