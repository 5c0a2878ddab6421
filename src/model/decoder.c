#include "internal.h"

#include <stdlib.h>

static void carve_decoder(void *owner, struct aur_arena *arena)
{
	struct aur_decoder *decoder = owner;
	decoder->model->ops->decoder_carve(decoder, arena);
}

static aur_status reserve_scratch(const struct aur_model *model, struct aur_backend *backend)
{
	struct aur_backend_limits limits = {
		.batch = 1,
		.positions = model->config.block_size,
		.vocabulary = model->config.vocab_size,
		.parameters = model->parameters.count,
	};
	model->ops->limits(model, &limits);
	return backend->ops->reserve(backend, &limits, NULL);
}

aur_status aur_decoder_create(
	const struct aur_model *model, struct aur_backend *backend, const float *weights, struct aur_decoder **decoder)
{
	*decoder = NULL;
	struct aur_decoder *created = calloc(1, sizeof *created);
	if (!created)
		return aur_fail(AUR_MEMORY, "decoder: no memory for its description");
	*created = (struct aur_decoder){.model = model, .backend = backend, .weights = weights};

	aur_status status = AUR_OK;
	created->logits = calloc((size_t)model->config.vocab_size, sizeof *created->logits);
	if (!created->logits) {
		status = aur_fail(AUR_MEMORY, "decoder: no memory for %lld logits", (long long)model->config.vocab_size);
		goto cleanup;
	}
	AUR_TRY_CLEANUP(model->ops->decoder_prepare(created));
	AUR_TRY_CLEANUP(aur_model_take_memory(backend, "key-value cache", carve_decoder, created, &created->memory, NULL));
	AUR_TRY_CLEANUP(reserve_scratch(model, backend));
	*decoder = created;
	return AUR_OK;
cleanup:
	aur_decoder_destroy(&created);
	return status;
}

void aur_decoder_destroy(struct aur_decoder **decoder)
{
	if (!decoder || !*decoder)
		return;
	struct aur_decoder *old = *decoder;
	if (old->memory)
		old->backend->ops->release(old->backend, old->memory);
	old->model->ops->decoder_discard(old);
	free(old->logits);
	free(old);
	*decoder = NULL;
}

void aur_decoder_reset(struct aur_decoder *decoder)
{
	decoder->position = 0;
}

int64_t aur_decoder_position(const struct aur_decoder *decoder)
{
	return decoder->position;
}

static aur_status check_tokens(const struct aur_decoder *decoder, const int32_t *tokens, int64_t count)
{
	const struct aur_model_config *config = &decoder->model->config;
	if (count < 1 || decoder->position + count > config->block_size)
		return aur_fail(AUR_SHAPE, "decoder: %lld tokens after %lld do not fit model.block_size %lld", (long long)count,
			(long long)decoder->position, (long long)config->block_size);
	for (int64_t i = 0; i < count; i++)
		if (tokens[i] < 0 || tokens[i] >= config->vocab_size)
			return aur_fail(AUR_SHAPE, "decoder: token %d is not in the vocabulary of %lld", (int)tokens[i],
				(long long)config->vocab_size);
	return AUR_OK;
}

aur_status aur_decoder_append(struct aur_decoder *decoder, const int32_t *tokens, int64_t count, const float **logits)
{
	AUR_TRY(check_tokens(decoder, tokens, count));
	AUR_TRY(decoder->model->ops->decoder_append(decoder, tokens, count));
	decoder->position += count;
	*logits = decoder->logits;
	return AUR_OK;
}
