#include "internal.h"

/* A table of next-token logits: row i holds the logits of what follows token i. */

enum { TABLE = 0 };

static aur_status describe_bigram(struct aur_model *model)
{
	const int64_t vocabulary = model->config.vocab_size;
	AUR_TRY(aur_parameters_reserve(&model->parameters, 1));
	const struct aur_parameter table = {
		.name = "table",
		.dims = 2,
		.shape = {vocabulary, vocabulary},
		.layer = -1,
		.role = AUR_ROLE_EMBEDDING,
		.row_groups = 1,
		.cut_dimension = -1,
	};
	aur_parameters_append(&model->parameters, &table);
	return AUR_OK;
}

static void destroy_bigram(struct aur_model *model)
{
	(void)model;
}

/* Of the table a token touches one row. */
static double bigram_flops_per_token(const struct aur_model *model, int64_t positions)
{
	(void)positions;
	return 6.0 * (double)model->config.vocab_size;
}

static void bigram_limits(const struct aur_model *model, struct aur_backend_limits *limits)
{
	(void)model;
	limits->width = 1;
	limits->heads = 1;
	limits->mlp_width = 1;
}

/* The table's rows are used where they lie: a bigram needs no activations. */
static aur_status prepare_bigram(struct aur_workspace *workspace)
{
	(void)workspace;
	return AUR_OK;
}

static void carve_bigram(struct aur_workspace *workspace, struct aur_arena *arena)
{
	(void)workspace;
	(void)arena;
}

static void discard_bigram(struct aur_workspace *workspace)
{
	(void)workspace;
}

static aur_status table_loss(struct aur_workspace *workspace, const struct aur_micro_batch *batch)
{
	const struct aur_model *model = workspace->model;
	const struct aur_weights arenas = {batch->weights, batch->weights, AUR_F32};
	struct aur_weights weights;
	AUR_TRY(aur_parameters_acquire(&model->parameters, -1, &arenas, &weights));
	const struct aur_table_loss op = {
		.tokens = aur_view_read_tokens(batch->tokens, batch->batch, batch->positions),
		.targets = aur_view_read_tokens(batch->targets, batch->batch, batch->positions),
		.table = aur_model_matrix(model, &weights, TABLE),
		.loss = aur_view_losses(batch->loss, batch->batch),
		.d_table = aur_model_tensor(model, batch->gradients, TABLE),
		.gradient_scale = batch->gradient_scale,
	};
	const aur_status status = workspace->backend->ops->table_loss(workspace->backend, &op);
	aur_parameters_release(&model->parameters, -1, &weights);
	return status;
}

/* Loss and gradient are one operation: with gradients, all is done in the backward pass. */
static aur_status bigram_forward(struct aur_workspace *workspace, const struct aur_micro_batch *batch)
{
	return batch->gradients ? AUR_OK : table_loss(workspace, batch);
}

static aur_status bigram_backward(struct aur_workspace *workspace, const struct aur_micro_batch *batch)
{
	AUR_TRY(table_loss(workspace, batch));
	return batch->completed ? batch->completed(batch->context, workspace->model->parameters.count) : AUR_OK;
}

static aur_status decoder_prepare(struct aur_decoder *decoder)
{
	(void)decoder;
	return AUR_OK;
}

static void decoder_carve(struct aur_decoder *decoder, struct aur_arena *arena)
{
	(void)decoder;
	(void)arena;
}

static void decoder_discard(struct aur_decoder *decoder)
{
	(void)decoder;
}

static aur_status decoder_append(struct aur_decoder *decoder, const int32_t *tokens, int64_t count)
{
	const int64_t vocabulary = decoder->model->config.vocab_size;
	const float *row =
		decoder->weights + decoder->model->parameters.items[TABLE].offset + tokens[count - 1] * vocabulary;
	AUR_TRY(decoder->backend->ops->download(
		decoder->backend, decoder->logits, row, (size_t)vocabulary * sizeof *decoder->logits));
	return decoder->backend->ops->synchronise(decoder->backend);
}

/* A row of the table gets what the tokens give it, which is nothing for most. */
static int bigram_overwrites(const struct aur_model *model, int64_t item)
{
	(void)model, (void)item;
	return 0;
}

const struct aur_model_ops aur_bigram_ops = {
	.describe = describe_bigram,
	.destroy = destroy_bigram,
	.flops_per_token = bigram_flops_per_token,
	.limits = bigram_limits,
	.prepare = prepare_bigram,
	.carve = carve_bigram,
	.discard = discard_bigram,
	.forward = bigram_forward,
	.backward = bigram_backward,
	.overwrites = bigram_overwrites,
	.decoder_prepare = decoder_prepare,
	.decoder_carve = decoder_carve,
	.decoder_discard = decoder_discard,
	.decoder_append = decoder_append,
};
