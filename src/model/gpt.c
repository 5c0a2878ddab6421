#include "gpt.h"

#include <math.h>
#include <stdlib.h>

int64_t aur_gpt_branches(const struct aur_model *model)
{
	return 2 * model->config.n_layer;
}

int64_t aur_gpt_norms(const struct aur_model *model)
{
	return aur_gpt_branches(model) + (model->config.post_norm ? 0 : 1);
}

struct aur_gpt_norm_place aur_gpt_norm_place_of(const struct aur_model *model, int64_t norm)
{
	const struct aur_gpt *gpt = model->gpt;
	if (norm == aur_gpt_branches(model))
		return (struct aur_gpt_norm_place){-1, gpt->outer[AUR_LN_F_WEIGHT], gpt->outer[AUR_LN_F_BIAS]};
	const int64_t *items = gpt->layers[norm / 2];
	const int first = norm % 2 == 0;
	return (struct aur_gpt_norm_place){
		.layer = (int)(norm / 2),
		.weight = items[first ? AUR_LN_1_WEIGHT : AUR_LN_2_WEIGHT],
		.bias = items[first ? AUR_LN_1_BIAS : AUR_LN_2_BIAS],
	};
}

int64_t aur_gpt_norm_after(const struct aur_model *model, int64_t branch)
{
	return model->config.post_norm ? branch : branch + 1;
}

int64_t aur_gpt_norm_before(const struct aur_model *model, int64_t branch)
{
	return model->config.post_norm ? branch - 1 : branch;
}

/* In pre-norm the embeddings are s_0. */
void *aur_gpt_stream(const struct aur_gpt_pass *pass, int64_t norm)
{
	const struct aur_gpt_activations *activations = pass->activations;
	return norm == 0 && !pass->model->config.post_norm ? activations->embedded : activations->norms[norm].s;
}

void *aur_gpt_branch_input(const struct aur_gpt_pass *pass, int64_t branch)
{
	const int64_t norm = aur_gpt_norm_before(pass->model, branch);
	return norm < 0 ? pass->activations->embedded : pass->activations->norms[norm].y;
}

int aur_gpt_norm_repeats(const struct aur_gpt_activations *activations)
{
	return activations->dtype == AUR_F32;
}

float aur_gpt_attention_scale(const struct aur_model *model)
{
	const struct aur_model_config *config = &model->config;
	if (config->attention_scale != 0)
		return config->attention_scale;
	return (float)(1.0 / sqrt((double)config->n_embd / (double)config->n_head));
}

struct aur_dropout aur_gpt_dropout(const struct aur_gpt_pass *pass, uint32_t site, int64_t layer)
{
	const struct aur_model_config *config = &pass->model->config;
	const float p = site == AUR_SITE_DROP_EMBEDDING ? config->embedding_dropout : config->dropout;
	return (struct aur_dropout){.p = pass->state ? p : 0, .site = site, .layer = (uint32_t)layer, .state = pass->state};
}

struct aur_dropout aur_gpt_branch_dropout(const struct aur_gpt_pass *pass, int64_t branch)
{
	const uint32_t site = branch % 2 == 0 ? AUR_SITE_DROP_ATTENTION_OUT : AUR_SITE_DROP_MLP_OUT;
	return aur_gpt_dropout(pass, site, branch / 2);
}

struct aur_tensor aur_gpt_rows(const struct aur_gpt_pass *pass, void *data, int64_t columns)
{
	return aur_view2_of(data, pass->activations->dtype, pass->batch * pass->positions, columns);
}

aur_status aur_gpt_activations_create(
	const struct aur_model *model, enum aur_dtype dtype, struct aur_gpt_activations *activations)
{
	*activations = (struct aur_gpt_activations){
		.dtype = dtype,
		.norms = calloc((size_t)aur_gpt_norms(model), sizeof *activations->norms),
		.blocks = calloc((size_t)model->config.n_layer, sizeof *activations->blocks),
	};
	if (activations->norms && activations->blocks)
		return AUR_OK;
	aur_gpt_activations_clear(activations);
	return aur_fail(AUR_MEMORY, "activations: no memory for their description");
}

void aur_gpt_activations_clear(struct aur_gpt_activations *activations)
{
	if (!activations)
		return;
	free(activations->norms);
	free(activations->blocks);
	*activations = (struct aur_gpt_activations){0};
}

static void *take(struct aur_arena *arena, const char *name, int64_t count, enum aur_dtype dtype)
{
	return aur_arena_take(arena, name, (size_t)count * aur_dtype_bytes(dtype));
}

/* Whose s, mean and rstd a norm writes: its own or an earlier norm's. A block's backward pass reads those of both its
 * norms at once: where blocks share them, they share two. */
static int64_t owner_of_s(const struct aur_model *model, int training, int64_t norm)
{
	if (!training)
		return 0;
	if (model->config.kept != AUR_KEPT_INPUTS)
		return norm;
	const int block_input = !model->config.post_norm && norm % 2 == 0;
	return block_input ? norm : norm % 2;
}

/* The same of y. Post-norm reads the last norm's y while it writes its own: two take turns. */
static int64_t owner_of_y(
	const struct aur_model *model, const struct aur_gpt_activations *activations, int training, int64_t norm)
{
	const int repeats = aur_gpt_norm_repeats(activations);
	if (!training)
		return norm % 2;
	if (model->config.kept == AUR_KEPT_ALL)
		return norm;
	if (model->config.kept == AUR_KEPT_LIGHT)
		return repeats ? norm % 2 : norm;
	if (model->config.post_norm) {
		const int block_input = norm % 2 == 1;
		return block_input ? norm : 0;
	}
	/* The final norm leaves the last block's alone, which then need not be computed again. */
	const int final = norm == aur_gpt_norms(model) - 1;
	return norm % 2 == 0 && (final || !repeats) ? norm : norm % 2;
}

static void carve_norms(const struct aur_model *model, int64_t rows, int training,
	struct aur_gpt_activations *activations, struct aur_arena *arena)
{
	const int64_t width = model->config.n_embd;
	const enum aur_dtype dtype = activations->dtype;
	struct aur_gpt_norm *norms = activations->norms;
	for (int64_t i = 0; i < aur_gpt_norms(model); i++) {
		const int64_t s = owner_of_s(model, training, i), y = owner_of_y(model, activations, training, i);
		if (s == i) {
			norms[i].s = take(arena, "residual stream", rows * width, dtype);
			norms[i].mean = take(arena, "norms", rows, AUR_F32);
			norms[i].rstd = take(arena, "norms", rows, AUR_F32);
		} else {
			norms[i] = norms[s];
		}
		norms[i].y = y == i ? take(arena, "norms", rows * width, dtype) : norms[y].y;
	}
}

static void carve_blocks(const struct aur_model *model, int64_t rows, int training,
	struct aur_gpt_activations *activations, struct aur_arena *arena)
{
	const struct aur_model_config *config = &model->config;
	const enum aur_dtype dtype = activations->dtype;
	struct aur_gpt_block *blocks = activations->blocks;
	const int shared = !training || config->kept == AUR_KEPT_INPUTS;
	for (int64_t i = 0; i < config->n_layer; i++) {
		if (shared && i > 0) {
			blocks[i] = blocks[0];
			continue;
		}
		blocks[i].qkv = take(arena, "attention", 3 * rows * config->n_embd, dtype);
		blocks[i].mixed = take(arena, "attention", rows * config->n_embd, dtype);
		blocks[i].lse = take(arena, "attention", rows * config->n_head, AUR_F32);
		blocks[i].hidden = take(arena, "mlp", rows * config->mlp_width, dtype);
		if (!training)
			blocks[i].activated = blocks[i].hidden;
		else if (i == 0 || config->kept == AUR_KEPT_ALL)
			blocks[i].activated = take(arena, "mlp", rows * config->mlp_width, dtype);
		else
			blocks[i].activated = blocks[0].activated;
	}
}

static void carve_backward(
	const struct aur_model *model, int64_t rows, struct aur_gpt_activations *activations, struct aur_arena *arena)
{
	const int64_t width = model->config.n_embd;
	const enum aur_dtype dtype = activations->dtype;
	const int64_t wide = model->config.mlp_width > 3 * width ? model->config.mlp_width : 3 * width;
	activations->d_stream = take(arena, "backward", rows * width, dtype);
	activations->d_input = take(arena, "backward", rows * width, dtype);
	if (model->config.dropout > 0)
		activations->d_branch = take(arena, "backward", rows * width, dtype);
	activations->d_wide = take(arena, "backward", rows * wide, dtype);
}

void aur_gpt_activations_carve(const struct aur_model *model, int64_t batch, int64_t positions, int training,
	struct aur_gpt_activations *activations, struct aur_arena *arena)
{
	const int64_t rows = batch * positions;
	const enum aur_dtype dtype = activations->dtype;
	activations->embedded = take(arena, "residual stream", rows * model->config.n_embd, dtype);
	activations->branch = take(arena, "residual stream", rows * model->config.n_embd, dtype);
	carve_norms(model, rows, training, activations, arena);
	carve_blocks(model, rows, training, activations, arena);
	if (training)
		carve_backward(model, rows, activations, arena);
}

static void destroy_gpt(struct aur_model *model)
{
	if (model->gpt)
		free(model->gpt->layers);
	free(model->gpt);
	model->gpt = NULL;
}

static void gpt_limits(const struct aur_model *model, struct aur_backend_limits *limits)
{
	limits->width = model->config.n_embd;
	limits->heads = model->config.n_head;
	limits->mlp_width = model->config.mlp_width;
	limits->attention_dropout = model->config.dropout > 0;
}

static aur_status prepare_gpt(struct aur_workspace *workspace)
{
	workspace->gpt = calloc(1, sizeof *workspace->gpt);
	if (!workspace->gpt)
		return aur_fail(AUR_MEMORY, "activations: no memory for their description");
	return aur_gpt_activations_create(workspace->model, workspace->compute, workspace->gpt);
}

static void carve_gpt(struct aur_workspace *workspace, struct aur_arena *arena)
{
	aur_gpt_activations_carve(
		workspace->model, workspace->batch, workspace->positions, workspace->training, workspace->gpt, arena);
}

static void discard_gpt(struct aur_workspace *workspace)
{
	aur_gpt_activations_clear(workspace->gpt);
	free(workspace->gpt);
	workspace->gpt = NULL;
}

/* Weights of products, the head's among them, which the embedding's gradient is added to where they are one. */
static int gpt_overwrites(const struct aur_model *model, int64_t item)
{
	const int tied = model->config.tie_embeddings && item == model->gpt->outer[AUR_WTE];
	return tied || model->parameters.items[item].role == AUR_ROLE_WEIGHT;
}

const struct aur_model_ops aur_gpt_ops = {
	.describe = aur_gpt_describe,
	.destroy = destroy_gpt,
	.flops_per_token = aur_gpt_flops_per_token,
	.limits = gpt_limits,
	.prepare = prepare_gpt,
	.carve = carve_gpt,
	.discard = discard_gpt,
	.forward = aur_gpt_forward,
	.backward = aur_gpt_backward,
	.overwrites = gpt_overwrites,
	.decoder_prepare = aur_gpt_decoder_prepare,
	.decoder_carve = aur_gpt_decoder_carve,
	.decoder_discard = aur_gpt_decoder_discard,
	.decoder_append = aur_gpt_decoder_append,
};
