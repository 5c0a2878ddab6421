#include "gpt.h"

static aur_status embed(const struct aur_gpt_pass *pass, const int32_t *tokens)
{
	const struct aur_model *model = pass->model;
	struct aur_weights weights;
	AUR_TRY(aur_parameters_acquire(&model->parameters, -1, &pass->weights, &weights));
	const struct aur_embedding_forward op = {
		.tokens = aur_view_read_tokens(tokens, pass->batch, pass->positions),
		.wte = aur_model_matrix(model, &weights, model->gpt->outer[AUR_WTE]),
		.wpe = aur_model_matrix(model, &weights, model->gpt->outer[AUR_WPE]),
		.out = aur_gpt_rows(pass, pass->activations->embedded, model->config.n_embd),
		.first_position = pass->cache ? pass->cache->past : 0,
		.dropout = aur_gpt_dropout(pass, AUR_SITE_DROP_EMBEDDING, 0),
	};
	const aur_status status = pass->backend->ops->embedding_forward(pass->backend, &op);
	aur_parameters_release(&model->parameters, -1, &weights);
	return status;
}

/* s = a + dropout(b), y = norm(s). Without `a` the stream begins: s is b itself and is not written again. */
static aur_status add_and_norm(
	const struct aur_gpt_pass *pass, int64_t norm, void *a, void *b, struct aur_dropout dropout)
{
	const struct aur_model *model = pass->model;
	const struct aur_gpt_norm_place place = aur_gpt_norm_place_of(model, norm);
	const struct aur_gpt_norm *kept = &pass->activations->norms[norm];
	const int64_t rows = pass->batch * pass->positions;
	const int64_t width = model->config.n_embd;
	struct aur_weights weights;
	AUR_TRY(aur_parameters_acquire(&model->parameters, place.layer, &pass->weights, &weights));
	struct aur_residual_norm_forward op = {
		.b = aur_gpt_rows(pass, b, width),
		.y = aur_gpt_rows(pass, kept->y, width),
		.gamma = aur_model_tensor(model, weights.values, place.weight),
		.beta = aur_model_tensor(model, weights.values, place.bias),
		.mean = aur_view1(kept->mean, rows),
		.rstd = aur_view1(kept->rstd, rows),
		.sequence = pass->positions,
		.dropout = dropout,
	};
	if (a) {
		op.a = aur_gpt_rows(pass, a, width);
		op.s = aur_gpt_rows(pass, kept->s, width);
	}
	const aur_status status = pass->backend->ops->residual_norm_forward(pass->backend, &op);
	aur_parameters_release(&model->parameters, place.layer, &weights);
	return status;
}

static aur_status linear(const struct aur_gpt_pass *pass, const struct aur_weights *weights, int64_t layer,
	enum aur_gpt_tensor weight, void *x, void *y)
{
	const struct aur_model *model = pass->model;
	const int64_t *items = model->gpt->layers[layer];
	const struct aur_tensor w = aur_model_matrix(model, weights, items[weight]);
	/* In the table of a block a weight's bias follows it. */
	const struct aur_linear_forward op = {
		.x = aur_gpt_rows(pass, x, w.shape[1]),
		.w = w,
		.bias = aur_model_bias(model, weights, items[weight + 1]),
		.y = aur_gpt_rows(pass, y, w.shape[0]),
	};
	return pass->backend->ops->linear_forward(pass->backend, &op);
}

static aur_status attend(const struct aur_gpt_pass *pass, int64_t layer)
{
	const struct aur_model_config *config = &pass->model->config;
	const struct aur_gpt_block *block = &pass->activations->blocks[layer];
	const struct aur_attention_forward op = {
		.qkv = aur_gpt_rows(pass, block->qkv, 3 * config->n_embd),
		.out = aur_gpt_rows(pass, block->mixed, config->n_embd),
		.lse = aur_view3(block->lse, pass->batch, config->n_head, pass->positions),
		.batch = pass->batch,
		.positions = pass->positions,
		.n_head = config->n_head,
		.scale = aur_gpt_attention_scale(pass->model),
		.dropout = aur_gpt_dropout(pass, AUR_SITE_DROP_ATTENTION, layer),
	};
	return pass->backend->ops->attention_forward(pass->backend, &op);
}

static struct aur_tensor cache_view(const struct aur_model_config *config, float *data)
{
	const int64_t head = config->n_embd / config->n_head;
	struct aur_tensor view = aur_view3(data, config->n_head, config->block_size, head);
	view.dims = 4;
	for (int i = 3; i > 0; i--) {
		view.shape[i] = view.shape[i - 1];
		view.stride[i] = view.stride[i - 1];
	}
	view.shape[0] = 1;
	view.stride[0] = config->n_head * config->block_size * head;
	return view;
}

static aur_status attend_cached(const struct aur_gpt_pass *pass, int64_t layer)
{
	const struct aur_model_config *config = &pass->model->config;
	const struct aur_gpt_block *block = &pass->activations->blocks[layer];
	const struct aur_attention_cached op = {
		.qkv = aur_gpt_rows(pass, block->qkv, 3 * config->n_embd),
		.k_cache = cache_view(config, pass->cache->keys[layer]),
		.v_cache = cache_view(config, pass->cache->values[layer]),
		.out = aur_gpt_rows(pass, block->mixed, config->n_embd),
		.batch = 1,
		.positions = pass->positions,
		.past = pass->cache->past,
		.capacity = config->block_size,
		.n_head = config->n_head,
		.scale = aur_gpt_attention_scale(pass->model),
	};
	return pass->backend->ops->attention_cached(pass->backend, &op);
}

static aur_status activate(const struct aur_gpt_pass *pass, int64_t layer)
{
	const struct aur_gpt_block *block = &pass->activations->blocks[layer];
	const int64_t width = pass->model->config.mlp_width;
	const struct aur_activation_forward op = {
		.kind = pass->model->config.activation,
		.x = aur_gpt_rows(pass, block->hidden, width),
		.y = aur_gpt_rows(pass, block->activated, width),
	};
	return pass->backend->ops->activation_forward(pass->backend, &op);
}

/* A branch up to what its projection reads. */
static aur_status run_inside(const struct aur_gpt_pass *pass, int64_t branch)
{
	const struct aur_parameters *parameters = &pass->model->parameters;
	const int layer = (int)(branch / 2), is_mlp = branch % 2 == 1;
	const struct aur_gpt_block *block = &pass->activations->blocks[layer];
	void *input = aur_gpt_branch_input(pass, branch);
	struct aur_weights weights;
	AUR_TRY(aur_parameters_acquire(parameters, layer, &pass->weights, &weights));
	const aur_status status = is_mlp ? linear(pass, &weights, layer, AUR_C_FC_WEIGHT, input, block->hidden)
									 : linear(pass, &weights, layer, AUR_C_ATTN_WEIGHT, input, block->qkv);
	aur_parameters_release(parameters, layer, &weights);
	AUR_TRY(status);
	if (is_mlp)
		return activate(pass, layer);
	return pass->cache ? attend_cached(pass, layer) : attend(pass, layer);
}

static aur_status project(const struct aur_gpt_pass *pass, int64_t branch)
{
	const struct aur_parameters *parameters = &pass->model->parameters;
	const int layer = (int)(branch / 2), is_mlp = branch % 2 == 1;
	const struct aur_gpt_block *block = &pass->activations->blocks[layer];
	void *out = pass->activations->branch;
	struct aur_weights weights;
	AUR_TRY(aur_parameters_acquire(parameters, layer, &pass->weights, &weights));
	const aur_status status = is_mlp ? linear(pass, &weights, layer, AUR_MLP_PROJ_WEIGHT, block->activated, out)
									 : linear(pass, &weights, layer, AUR_ATTN_PROJ_WEIGHT, block->mixed, out);
	aur_parameters_release(parameters, layer, &weights);
	return status;
}

/* What branch j is added to: the stream in pre-norm, the branch's own input in post-norm. */
static void *residual_of(const struct aur_gpt_pass *pass, int64_t branch)
{
	return pass->model->config.post_norm ? aur_gpt_branch_input(pass, branch) : aur_gpt_stream(pass, branch);
}

/* A branch, its sum with the stream and the norm behind it. */
static aur_status run_branch(const struct aur_gpt_pass *pass, int64_t branch)
{
	AUR_TRY(run_inside(pass, branch));
	AUR_TRY(project(pass, branch));
	return add_and_norm(pass, aur_gpt_norm_after(pass->model, branch), residual_of(pass, branch),
		pass->activations->branch, aur_gpt_branch_dropout(pass, branch));
}

/* y of an s that is there. */
static aur_status norm_of_stream(const struct aur_gpt_pass *pass, int64_t norm)
{
	return add_and_norm(pass, norm, NULL, aur_gpt_stream(pass, norm), (struct aur_dropout){0});
}

aur_status aur_gpt_trunk(const struct aur_gpt_pass *pass, const int32_t *tokens, void **hidden)
{
	const struct aur_gpt_activations *activations = pass->activations;
	const struct aur_model *model = pass->model;
	AUR_TRY(embed(pass, tokens));
	if (!model->config.post_norm)
		AUR_TRY(norm_of_stream(pass, 0));
	for (int64_t branch = 0; branch < aur_gpt_branches(model); branch++)
		AUR_TRY(run_branch(pass, branch));
	*hidden = activations->norms[aur_gpt_norms(model) - 1].y;
	return AUR_OK;
}

static aur_status recompute_outputs(const struct aur_gpt_pass *pass, int64_t branch)
{
	const int64_t norm = aur_gpt_norm_before(pass->model, branch);
	if (norm >= 0 && aur_gpt_norm_repeats(pass->activations))
		AUR_TRY(norm_of_stream(pass, norm));
	return branch % 2 == 1 ? activate(pass, branch / 2) : AUR_OK;
}

/* In pre-norm the sum behind the block is the next block's input, which was kept; in post-norm it is not that but its
 * norm. */
static aur_status recompute_block(const struct aur_gpt_pass *pass, int64_t layer)
{
	const int64_t attention = 2 * layer, mlp = attention + 1;
	const int post_norm = pass->model->config.post_norm;
	if (!post_norm && aur_gpt_norm_repeats(pass->activations))
		AUR_TRY(norm_of_stream(pass, attention));
	AUR_TRY(run_branch(pass, attention));
	return post_norm ? run_branch(pass, mlp) : run_inside(pass, mlp);
}

/* The last block was the last to write what blocks share. */
aur_status aur_gpt_recompute(const struct aur_gpt_pass *pass, int64_t branch)
{
	const struct aur_model_config *config = &pass->model->config;
	const int64_t layer = branch / 2;
	if (config->kept == AUR_KEPT_ALL)
		return AUR_OK;
	if (config->kept == AUR_KEPT_LIGHT)
		return recompute_outputs(pass, branch);
	return branch % 2 == 1 && layer < config->n_layer - 1 ? recompute_block(pass, layer) : AUR_OK;
}

struct aur_gpt_pass aur_gpt_pass_of(const struct aur_workspace *workspace, const struct aur_micro_batch *batch)
{
	const int narrow = workspace->compute != AUR_F32;
	return (struct aur_gpt_pass){
		.model = workspace->model,
		.backend = workspace->backend,
		.activations = workspace->gpt,
		.batch = batch->batch,
		.positions = batch->positions,
		.weights = {batch->weights, narrow ? batch->compute_weights : batch->weights, workspace->compute},
		.state = batch->gradients ? batch->state : NULL,
		.overwrite = batch->first && workspace->backend->host_memory,
	};
}

aur_status aur_gpt_head_loss(const struct aur_gpt_pass *pass, const struct aur_micro_batch *batch, void *d_hidden)
{
	const struct aur_model *model = pass->model;
	const int64_t *outer = model->gpt->outer;
	const int64_t head = model->config.tie_embeddings ? outer[AUR_WTE] : outer[AUR_LM_HEAD_WEIGHT];
	struct aur_weights weights;
	AUR_TRY(aur_parameters_acquire(&model->parameters, -1, &pass->weights, &weights));
	struct aur_head_loss op = {
		.x = aur_gpt_rows(pass, pass->activations->norms[aur_gpt_norms(model) - 1].y, model->config.n_embd),
		.w = aur_model_matrix(model, &weights, head),
		.bias = aur_model_tensor(model, weights.values, outer[AUR_LM_HEAD_BIAS]),
		.targets = aur_view_read_tokens(batch->targets, batch->batch, batch->positions),
		.loss = aur_view_losses(batch->loss, batch->batch),
		.gradient_scale = batch->gradient_scale,
	};
	if (d_hidden) {
		op.d_x = aur_gpt_rows(pass, d_hidden, model->config.n_embd);
		op.d_w = aur_model_tensor(model, batch->gradients, head);
		op.d_bias = aur_model_tensor(model, batch->gradients, outer[AUR_LM_HEAD_BIAS]);
		op.overwrite = pass->overwrite;
	}
	const aur_status status = pass->backend->ops->head_loss(pass->backend, &op);
	aur_parameters_release(&model->parameters, -1, &weights);
	return status;
}

aur_status aur_gpt_forward(struct aur_workspace *workspace, const struct aur_micro_batch *batch)
{
	const struct aur_gpt_pass pass = aur_gpt_pass_of(workspace, batch);
	void *hidden;
	AUR_TRY(aur_gpt_trunk(&pass, batch->tokens, &hidden));
	return batch->gradients ? AUR_OK : aur_gpt_head_loss(&pass, batch, NULL);
}
