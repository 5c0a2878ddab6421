#include "gpt.h"

#include <stdio.h>
#include <stdlib.h>

/* Sizes that a tensor's dimensions are named by. */
enum size { SIZE_NONE, SIZE_C, SIZE_3C, SIZE_F, SIZE_V, SIZE_P };

struct description {
	const char *name;
	enum size shape[AUR_PARAMETER_DIMS];
	enum aur_parameter_role role;
	int row_groups;
	int cut_dimension;
};

static const struct description block_tensors[AUR_GPT_TENSORS] = {
	[AUR_LN_1_WEIGHT] = {"ln_1.weight", {SIZE_C}, AUR_ROLE_NORM_WEIGHT, 1, -1},
	[AUR_LN_1_BIAS] = {"ln_1.bias", {SIZE_C}, AUR_ROLE_NORM_BIAS, 1, -1},
	[AUR_C_ATTN_WEIGHT] = {"attn.c_attn.weight", {SIZE_3C, SIZE_C}, AUR_ROLE_WEIGHT, 3, 0},
	[AUR_C_ATTN_BIAS] = {"attn.c_attn.bias", {SIZE_3C}, AUR_ROLE_BIAS, 3, 0},
	[AUR_ATTN_PROJ_WEIGHT] = {"attn.c_proj.weight", {SIZE_C, SIZE_C}, AUR_ROLE_WEIGHT, 1, 1},
	[AUR_ATTN_PROJ_BIAS] = {"attn.c_proj.bias", {SIZE_C}, AUR_ROLE_BIAS, 1, -1},
	[AUR_LN_2_WEIGHT] = {"ln_2.weight", {SIZE_C}, AUR_ROLE_NORM_WEIGHT, 1, -1},
	[AUR_LN_2_BIAS] = {"ln_2.bias", {SIZE_C}, AUR_ROLE_NORM_BIAS, 1, -1},
	[AUR_C_FC_WEIGHT] = {"mlp.c_fc.weight", {SIZE_F, SIZE_C}, AUR_ROLE_WEIGHT, 1, 0},
	[AUR_C_FC_BIAS] = {"mlp.c_fc.bias", {SIZE_F}, AUR_ROLE_BIAS, 1, 0},
	[AUR_MLP_PROJ_WEIGHT] = {"mlp.c_proj.weight", {SIZE_C, SIZE_F}, AUR_ROLE_WEIGHT, 1, 1},
	[AUR_MLP_PROJ_BIAS] = {"mlp.c_proj.bias", {SIZE_C}, AUR_ROLE_BIAS, 1, -1},
};

static const struct description outer_tensors[AUR_GPT_OUTERS] = {
	[AUR_LM_HEAD_WEIGHT] = {"lm_head.weight", {SIZE_V, SIZE_C}, AUR_ROLE_WEIGHT, 1, 0},
	[AUR_LM_HEAD_BIAS] = {"lm_head.bias", {SIZE_V}, AUR_ROLE_BIAS, 1, 0},
	[AUR_LN_F_WEIGHT] = {"ln_f.weight", {SIZE_C}, AUR_ROLE_NORM_WEIGHT, 1, -1},
	[AUR_LN_F_BIAS] = {"ln_f.bias", {SIZE_C}, AUR_ROLE_NORM_BIAS, 1, -1},
	[AUR_WPE] = {"wpe.weight", {SIZE_P, SIZE_C}, AUR_ROLE_EMBEDDING, 1, -1},
	[AUR_WTE] = {"wte.weight", {SIZE_V, SIZE_C}, AUR_ROLE_EMBEDDING, 1, 0},
};

/* The order in which the backward pass completes the gradients of a block. */
static const enum aur_gpt_tensor pre_norm_order[AUR_GPT_TENSORS] = {AUR_MLP_PROJ_WEIGHT, AUR_MLP_PROJ_BIAS,
	AUR_C_FC_WEIGHT, AUR_C_FC_BIAS, AUR_LN_2_WEIGHT, AUR_LN_2_BIAS, AUR_ATTN_PROJ_WEIGHT, AUR_ATTN_PROJ_BIAS,
	AUR_C_ATTN_WEIGHT, AUR_C_ATTN_BIAS, AUR_LN_1_WEIGHT, AUR_LN_1_BIAS};
static const enum aur_gpt_tensor post_norm_order[AUR_GPT_TENSORS] = {AUR_LN_2_WEIGHT, AUR_LN_2_BIAS,
	AUR_MLP_PROJ_WEIGHT, AUR_MLP_PROJ_BIAS, AUR_C_FC_WEIGHT, AUR_C_FC_BIAS, AUR_LN_1_WEIGHT, AUR_LN_1_BIAS,
	AUR_ATTN_PROJ_WEIGHT, AUR_ATTN_PROJ_BIAS, AUR_C_ATTN_WEIGHT, AUR_C_ATTN_BIAS};

static int64_t size_of(const struct aur_model_config *config, enum size size)
{
	switch (size) {
	case SIZE_C:
		return config->n_embd;
	case SIZE_3C:
		return 3 * config->n_embd;
	case SIZE_F:
		return config->mlp_width;
	case SIZE_V:
		return config->vocab_size;
	case SIZE_P:
		return config->block_size;
	case SIZE_NONE:
		break;
	}
	return 0;
}

static int64_t append(struct aur_model *model, const struct description *description, int layer)
{
	struct aur_parameter parameter = {
		.dims = description->shape[1] == SIZE_NONE ? 1 : 2,
		.layer = layer,
		.role = description->role,
		.row_groups = description->row_groups,
		.cut_dimension = description->cut_dimension,
	};
	for (int i = 0; i < parameter.dims; i++)
		parameter.shape[i] = size_of(&model->config, description->shape[i]);
	if (layer < 0)
		snprintf(parameter.name, sizeof parameter.name, "%s", description->name);
	else
		snprintf(parameter.name, sizeof parameter.name, "h.%d.%s", layer, description->name);
	return aur_parameters_append(&model->parameters, &parameter);
}

static int has_block_tensor(const struct aur_model_config *config, enum aur_gpt_tensor tensor)
{
	const enum aur_parameter_role role = block_tensors[tensor].role;
	if (tensor == AUR_C_ATTN_BIAS)
		return config->qkv_bias;
	return config->bias || (role != AUR_ROLE_BIAS && role != AUR_ROLE_NORM_BIAS);
}

static int has_outer_tensor(const struct aur_model_config *config, enum aur_gpt_outer outer)
{
	switch (outer) {
	case AUR_LM_HEAD_WEIGHT:
		return !config->tie_embeddings;
	case AUR_LM_HEAD_BIAS:
		return config->head_bias;
	case AUR_LN_F_WEIGHT:
		return !config->post_norm;
	case AUR_LN_F_BIAS:
		return !config->post_norm && config->bias;
	default:
		return 1;
	}
}

static void append_outer(struct aur_model *model, enum aur_gpt_outer outer)
{
	const int present = has_outer_tensor(&model->config, outer);
	model->gpt->outer[outer] = present ? append(model, &outer_tensors[outer], -1) : -1;
}

static void append_block(struct aur_model *model, int layer)
{
	const enum aur_gpt_tensor *order = model->config.post_norm ? post_norm_order : pre_norm_order;
	int64_t *items = model->gpt->layers[layer];
	for (int i = 0; i < AUR_GPT_TENSORS; i++) {
		const enum aur_gpt_tensor tensor = order[i];
		const int present = has_block_tensor(&model->config, tensor);
		items[tensor] = present ? append(model, &block_tensors[tensor], layer) : -1;
	}
}

aur_status aur_gpt_describe(struct aur_model *model)
{
	const int64_t layers = model->config.n_layer;
	model->gpt = calloc(1, sizeof *model->gpt);
	if (model->gpt)
		model->gpt->layers = calloc((size_t)layers, sizeof *model->gpt->layers);
	if (!model->gpt || !model->gpt->layers)
		return aur_fail(AUR_MEMORY, "model: no memory for the description of %lld layers", (long long)layers);
	AUR_TRY(aur_parameters_reserve(&model->parameters, AUR_GPT_OUTERS + layers * AUR_GPT_TENSORS));

	for (enum aur_gpt_outer outer = AUR_LM_HEAD_WEIGHT; outer <= AUR_LN_F_BIAS; outer++)
		append_outer(model, outer);
	for (int layer = (int)layers - 1; layer >= 0; layer--)
		append_block(model, layer);
	append_outer(model, AUR_WPE);
	append_outer(model, AUR_WTE);
	return AUR_OK;
}
