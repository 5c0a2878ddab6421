#include "gpt.h"

/* The backward pass walks the branches from the last to the first. Between branches two gradients are alive: d_stream,
 * along the residual stream, and d_input, of what the branch above read.
 *
 *   pre-norm    d_stream is that of s_j, d_input that of y_j:    d_s_j = norm'(d_input) + d_stream
 *   post-norm   both are that of y_{j-1}:                        d_s_{j-1} = norm'(d_stream + d_input)
 *
 * The sum's gradient goes on along the stream as it is, and through dropout's mask into the branch. */

struct backward {
	struct aur_gpt_pass pass;
	float *gradients;
};

static aur_status linear_backward(const struct backward *run, const struct aur_weights *weights, int64_t layer,
	enum aur_gpt_tensor weight, void *x, void *d_y, void *d_x)
{
	const struct aur_gpt_pass *pass = &run->pass;
	const struct aur_model *model = pass->model;
	const int64_t *items = model->gpt->layers[layer];
	const struct aur_tensor w = aur_model_matrix(model, weights, items[weight]);
	const struct aur_linear_backward op = {
		.d_y = aur_gpt_rows(pass, d_y, w.shape[0]),
		.x = aur_gpt_rows(pass, x, w.shape[1]),
		.w = w,
		.d_x = aur_gpt_rows(pass, d_x, w.shape[1]),
		.d_w = aur_model_tensor(model, run->gradients, items[weight]),
		.d_bias = aur_model_tensor(model, run->gradients, items[weight + 1]),
		.overwrite = run->pass.overwrite,
	};
	return pass->backend->ops->linear_backward(pass->backend, &op);
}

static aur_status attend_backward(const struct backward *run, int64_t layer, void *d_mixed, void *d_qkv)
{
	const struct aur_gpt_pass *pass = &run->pass;
	const struct aur_model_config *config = &pass->model->config;
	const struct aur_gpt_block *block = &pass->activations->blocks[layer];
	const struct aur_attention_backward op = {
		.qkv = aur_gpt_rows(pass, block->qkv, 3 * config->n_embd),
		.out = aur_gpt_rows(pass, block->mixed, config->n_embd),
		.lse = aur_view3(block->lse, pass->batch, config->n_head, pass->positions),
		.d_out = aur_gpt_rows(pass, d_mixed, config->n_embd),
		.d_qkv = aur_gpt_rows(pass, d_qkv, 3 * config->n_embd),
		.batch = pass->batch,
		.positions = pass->positions,
		.n_head = config->n_head,
		.scale = aur_gpt_attention_scale(pass->model),
		.dropout = aur_gpt_dropout(pass, AUR_SITE_DROP_ATTENTION, layer),
	};
	return pass->backend->ops->attention_backward(pass->backend, &op);
}

static aur_status attention_branch_backward(
	const struct backward *run, const struct aur_weights *weights, int64_t layer, void *input, void *d_out)
{
	const struct aur_gpt_activations *activations = run->pass.activations;
	const struct aur_gpt_block *block = &activations->blocks[layer];
	AUR_TRY(linear_backward(run, weights, layer, AUR_ATTN_PROJ_WEIGHT, block->mixed, d_out, activations->d_input));
	AUR_TRY(attend_backward(run, layer, activations->d_input, activations->d_wide));
	return linear_backward(run, weights, layer, AUR_C_ATTN_WEIGHT, input, activations->d_wide, activations->d_input);
}

static aur_status mlp_branch_backward(
	const struct backward *run, const struct aur_weights *weights, int64_t layer, void *input, void *d_out)
{
	const struct aur_gpt_pass *pass = &run->pass;
	const struct aur_gpt_activations *activations = pass->activations;
	const struct aur_gpt_block *block = &activations->blocks[layer];
	const struct aur_tensor d_wide = aur_gpt_rows(pass, activations->d_wide, pass->model->config.mlp_width);
	AUR_TRY(linear_backward(run, weights, layer, AUR_MLP_PROJ_WEIGHT, block->activated, d_out, activations->d_wide));
	const struct aur_activation_backward op = {
		.kind = pass->model->config.activation,
		.x = aur_gpt_rows(pass, block->hidden, pass->model->config.mlp_width),
		.d_y = d_wide,
		.d_x = d_wide,
	};
	AUR_TRY(pass->backend->ops->activation_backward(pass->backend, &op));
	return linear_backward(run, weights, layer, AUR_C_FC_WEIGHT, input, activations->d_wide, activations->d_input);
}

/* From the gradient of a branch's output to that of its input, d_input. */
static aur_status branch_backward(const struct backward *run, int64_t branch, void *d_out)
{
	const struct aur_gpt_pass *pass = &run->pass;
	const struct aur_parameters *parameters = &pass->model->parameters;
	const int layer = (int)(branch / 2);
	void *input = aur_gpt_branch_input(pass, branch);
	struct aur_weights weights;
	AUR_TRY(aur_parameters_acquire(parameters, layer, &pass->weights, &weights));
	const aur_status status = branch % 2 == 0 ? attention_branch_backward(run, &weights, layer, input, d_out)
											  : mlp_branch_backward(run, &weights, layer, input, d_out);
	aur_parameters_release(parameters, layer, &weights);
	return status;
}

/* What reaches the last norm comes from the head and lies in d_stream. */
static void choose_inputs(const struct backward *run, int64_t norm, struct aur_residual_norm_backward *op)
{
	const struct aur_gpt_pass *pass = &run->pass;
	const int64_t width = pass->model->config.n_embd;
	const struct aur_tensor d_stream = aur_gpt_rows(pass, pass->activations->d_stream, width);
	const struct aur_tensor d_input = aur_gpt_rows(pass, pass->activations->d_input, width);
	op->d_a = d_stream;
	if (norm == aur_gpt_norms(pass->model) - 1) {
		op->d_y = d_stream;
	} else if (pass->model->config.post_norm) {
		op->d_y = d_stream;
		op->d_y2 = d_input;
	} else {
		op->d_y = d_input;
		op->d_residual = d_stream;
	}
}

/* d_stream becomes the gradient of the sum; d_branch, where it is given, that of the added branch. */
static aur_status norm_backward(const struct backward *run, int64_t norm, struct aur_dropout dropout, void *d_branch)
{
	const struct aur_gpt_pass *pass = &run->pass;
	const struct aur_model *model = pass->model;
	const struct aur_gpt_norm_place place = aur_gpt_norm_place_of(model, norm);
	const struct aur_gpt_norm *kept = &pass->activations->norms[norm];
	const int64_t rows = pass->batch * pass->positions;
	struct aur_weights weights;
	AUR_TRY(aur_parameters_acquire(&model->parameters, place.layer, &pass->weights, &weights));
	struct aur_residual_norm_backward op = {
		.s = aur_gpt_rows(pass, aur_gpt_stream(pass, norm), model->config.n_embd),
		.gamma = aur_model_tensor(model, weights.values, place.weight),
		.mean = aur_view1(kept->mean, rows),
		.rstd = aur_view1(kept->rstd, rows),
		.d_gamma = aur_model_tensor(model, run->gradients, place.weight),
		.d_beta = aur_model_tensor(model, run->gradients, place.bias),
		.sequence = pass->positions,
		.dropout = dropout,
	};
	choose_inputs(run, norm, &op);
	if (d_branch)
		op.d_b = aur_gpt_rows(pass, d_branch, model->config.n_embd);
	const aur_status status = pass->backend->ops->residual_norm_backward(pass->backend, &op);
	aur_parameters_release(&model->parameters, place.layer, &weights);
	return status;
}

static aur_status add_and_norm_backward(const struct backward *run, int64_t branch, void **d_out)
{
	const struct aur_gpt_activations *activations = run->pass.activations;
	const int64_t norm = aur_gpt_norm_after(run->pass.model, branch);
	const struct aur_dropout dropout = aur_gpt_branch_dropout(&run->pass, branch);
	void *d_branch = dropout.p > 0 ? activations->d_branch : NULL;
	*d_out = d_branch ? d_branch : activations->d_stream;
	return norm_backward(run, norm, dropout, d_branch);
}

static aur_status embedding_backward(const struct backward *run, const int32_t *tokens, void *d_embedded)
{
	const struct aur_gpt_pass *pass = &run->pass;
	const struct aur_model *model = pass->model;
	const struct aur_embedding_backward op = {
		.tokens = aur_view_read_tokens(tokens, pass->batch, pass->positions),
		.d_out = aur_gpt_rows(pass, d_embedded, model->config.n_embd),
		.d_wte = aur_model_tensor(model, run->gradients, model->gpt->outer[AUR_WTE]),
		.d_wpe = aur_model_tensor(model, run->gradients, model->gpt->outer[AUR_WPE]),
		.dropout = aur_gpt_dropout(pass, AUR_SITE_DROP_EMBEDDING, 0),
	};
	return pass->backend->ops->embedding_backward(pass->backend, &op);
}

static aur_status add_to_stream(const struct backward *run)
{
	const struct aur_gpt_pass *pass = &run->pass;
	const struct aur_gpt_activations *activations = pass->activations;
	const struct aur_tree_add op = {
		.parts = {activations->d_stream, activations->d_input},
		.n_parts = 2,
		.out = activations->d_stream,
		.count = pass->batch * pass->positions * pass->model->config.n_embd,
	};
	return pass->backend->ops->tree_add(pass->backend, &op);
}

/* The embeddings feed the stream and one branch: through the first norm in pre-norm, directly in post-norm. There two
 * gradients meet. In bf16 their sum would be rounded once more than the gradients of the embeddings, which are fp32,
 * ask for: each goes into them by itself. */
static aur_status embedded_backward(const struct backward *run, const int32_t *tokens)
{
	const struct aur_gpt_activations *activations = run->pass.activations;
	if (!run->pass.model->config.post_norm)
		AUR_TRY(norm_backward(run, 0, (struct aur_dropout){0}, NULL));
	else if (activations->dtype == AUR_F32)
		AUR_TRY(add_to_stream(run));
	else
		AUR_TRY(embedding_backward(run, tokens, activations->d_input));
	return embedding_backward(run, tokens, activations->d_stream);
}

/* The norm that the backward pass comes to next when it has this branch before it; -1: none is left. In pre-norm one
 * more stands before the first branch. */
static int64_t next_norm(const struct aur_model *model, int64_t branch)
{
	if (branch >= 0)
		return aur_gpt_norm_after(model, branch);
	return model->config.post_norm ? -1 : 0;
}

/* The arena has the order of this pass, so what is complete ends where the tensor lies that comes next: the gamma of
 * the norm behind the branch, or the position embedding. */
static aur_status tell_completed(
	const struct aur_micro_batch *batch, const struct aur_model *model, int64_t next_branch)
{
	const int64_t norm = next_norm(model, next_branch);
	const int64_t item = norm < 0 ? model->gpt->outer[AUR_WPE] : aur_gpt_norm_place_of(model, norm).weight;
	return batch->completed ? batch->completed(batch->context, model->parameters.items[item].offset) : AUR_OK;
}

aur_status aur_gpt_backward(struct aur_workspace *workspace, const struct aur_micro_batch *batch)
{
	const struct aur_model *model = workspace->model;
	const struct backward run = {aur_gpt_pass_of(workspace, batch), batch->gradients};
	AUR_TRY(aur_gpt_head_loss(&run.pass, batch, workspace->gpt->d_stream));
	AUR_TRY(tell_completed(batch, model, aur_gpt_branches(model) - 1));
	for (int64_t branch = aur_gpt_branches(workspace->model) - 1; branch >= 0; branch--) {
		void *d_out;
		AUR_TRY(aur_gpt_recompute(&run.pass, branch));
		AUR_TRY(add_and_norm_backward(&run, branch, &d_out));
		AUR_TRY(branch_backward(&run, branch, d_out));
		AUR_TRY(tell_completed(batch, model, branch - 1));
	}
	AUR_TRY(embedded_backward(&run, batch->tokens));
	return batch->completed ? batch->completed(batch->context, model->parameters.count) : AUR_OK;
}
