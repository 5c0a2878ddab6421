#include "model/model.h"

#include "internal.h"

#include <stdlib.h>

static aur_status check_sizes(const struct aur_model_config *config)
{
	if (config->vocab_size < 1 || config->block_size < 1)
		return aur_fail(AUR_USAGE, "model: vocab_size %lld and block_size %lld must be at least 1",
			(long long)config->vocab_size, (long long)config->block_size);
	if (config->type == AUR_TYPE_BIGRAM)
		return AUR_OK;
	if (config->n_layer < 1 || config->n_head < 1 || config->n_embd < 1 || config->mlp_width < 1)
		return aur_fail(AUR_USAGE, "model: n_layer, n_head, n_embd and the width of the MLP must be at least 1");
	if (config->n_embd % config->n_head != 0)
		return aur_fail(AUR_USAGE, "model.n_head: %lld heads do not divide n_embd %lld; choose a divisor of it",
			(long long)config->n_head, (long long)config->n_embd);
	return AUR_OK;
}

static aur_status check_rates(const struct aur_model_config *config)
{
	if (!(config->dropout >= 0 && config->dropout < 1))
		return aur_fail(AUR_USAGE, "model.dropout: %g is not in [0, 1)", (double)config->dropout);
	if (!(config->embedding_dropout >= 0 && config->embedding_dropout < 1))
		return aur_fail(AUR_USAGE, "model.embedding_dropout: %g is not in [0, 1)", (double)config->embedding_dropout);
	return AUR_OK;
}

/* Sizes in bytes of a few arenas, activations among them, must fit 64 bits. A bigram of the largest vocabulary would
 * not. */
static aur_status check_count(const struct aur_parameters *parameters)
{
	static const int64_t most = (int64_t)1 << 56;
	if (parameters->count <= most)
		return AUR_OK;
	return aur_fail(AUR_USAGE, "model: %lld parameters are beyond what can be addressed; use a smaller vocabulary",
		(long long)parameters->count);
}

aur_status aur_model_create(const struct aur_model_config *config, struct aur_model **model)
{
	*model = NULL;
	AUR_TRY(check_sizes(config));
	AUR_TRY(check_rates(config));
	struct aur_model *created = calloc(1, sizeof *created);
	if (!created)
		return aur_fail(AUR_MEMORY, "model: no memory for its description");
	created->config = *config;
	created->ops = config->type == AUR_TYPE_GPT ? &aur_gpt_ops : &aur_bigram_ops;
	aur_status status = created->ops->describe(created);
	if (status == AUR_OK)
		status = check_count(&created->parameters);
	if (status != AUR_OK)
		aur_model_destroy(&created);
	*model = created;
	return status;
}

void aur_model_destroy(struct aur_model **model)
{
	if (!model || !*model)
		return;
	(*model)->ops->destroy(*model);
	aur_parameters_clear(&(*model)->parameters);
	free(*model);
	*model = NULL;
}

const struct aur_model_config *aur_model_config_of(const struct aur_model *model)
{
	return &model->config;
}

const struct aur_parameters *aur_model_parameters(const struct aur_model *model)
{
	return &model->parameters;
}

double aur_model_flops_per_token(const struct aur_model *model, int64_t positions)
{
	return model->ops->flops_per_token(model, positions);
}

static aur_status zero_between(struct aur_backend *backend, float *gradients, int64_t begin, int64_t end)
{
	return end > begin ? backend->ops->zero(backend, gradients + begin, (size_t)(end - begin) * sizeof *gradients)
					   : AUR_OK;
}

aur_status aur_model_begin_gradients(const struct aur_model *model, struct aur_backend *backend, float *gradients)
{
	const struct aur_parameters *parameters = &model->parameters;
	int64_t done = 0;
	for (int64_t i = 0; i < parameters->n_items; i++) {
		const struct aur_parameter *item = &parameters->items[i];
		if (!backend->host_memory || !model->ops->overwrites(model, i))
			continue;
		AUR_TRY(zero_between(backend, gradients, done, item->offset));
		done = item->offset + item->count;
	}
	return zero_between(backend, gradients, done, parameters->count);
}

struct aur_tensor aur_model_tensor(const struct aur_model *model, const float *arena, int64_t item)
{
	if (!arena || item < 0)
		return (struct aur_tensor){0};
	const struct aur_parameter *parameter = &model->parameters.items[item];
	float *data = (float *)arena + parameter->offset;
	if (parameter->dims == 2)
		return aur_view2(data, parameter->shape[0], parameter->shape[1]);
	return aur_view1(data, parameter->shape[0]);
}

/* Where products find a weight. */
static void *place_of(const struct aur_weights *weights, const struct aur_parameter *parameter)
{
	return (char *)weights->matrices + (size_t)parameter->offset * aur_dtype_bytes(weights->dtype);
}

struct aur_tensor aur_model_matrix(const struct aur_model *model, const struct aur_weights *weights, int64_t item)
{
	if (item < 0)
		return (struct aur_tensor){0};
	const struct aur_parameter *parameter = &model->parameters.items[item];
	return aur_view2_of(place_of(weights, parameter), weights->dtype, parameter->shape[0], parameter->shape[1]);
}

struct aur_tensor aur_model_bias(const struct aur_model *model, const struct aur_weights *weights, int64_t item)
{
	if (item < 0)
		return (struct aur_tensor){0};
	const struct aur_parameter *parameter = &model->parameters.items[item];
	return aur_view1_of(place_of(weights, parameter), weights->dtype, parameter->shape[0]);
}

struct aur_tensor aur_view_losses(double *data, int64_t n)
{
	return (struct aur_tensor){.data = data, .dtype = AUR_F64, .dims = 1, .shape = {n}, .stride = {1}};
}

struct aur_tensor aur_view_read_tokens(const int32_t *data, int64_t rows, int64_t columns)
{
	return aur_view_tokens((int32_t *)data, rows, columns);
}
