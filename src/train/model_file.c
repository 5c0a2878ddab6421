#include "train/model_file.h"

#include "io/file.h"
#include "train/run_folder.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static int is_folder(const char *path)
{
	struct stat status;
	return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

static aur_status resolve_run(const char *run, int best, char *resolved, size_t bytes)
{
	if (!best) {
		AUR_TRY(aur_run_newest_good(run, resolved, bytes));
		if (resolved[0])
			return AUR_OK;
		return aur_fail(AUR_INPUT, "%s: holds no checkpoint (is it a run folder?)", run);
	}
	AUR_TRY(aur_run_path(run, "checkpoints/best.h5", resolved, bytes));
	if (!aur_file_exists(resolved))
		return aur_fail(AUR_INPUT, "%s: has no checkpoints/best.h5 yet (it is written at the first evaluation)", run);
	return AUR_OK;
}

aur_status aur_model_file_resolve(const char *path, int best, char *resolved, size_t bytes)
{
	if (is_folder(path))
		return resolve_run(path, best, resolved, bytes);
	const int length = snprintf(resolved, bytes, "%s", path);
	if (length < 0 || (size_t)length >= bytes)
		return aur_fail(AUR_INPUT, "%s: the path is too long", path);
	return AUR_OK;
}

void aur_model_config_from(const struct aur_config *config, int64_t vocab_size, struct aur_model_config *model)
{
	static const enum aur_activation_kind activations[] = {
		[AUR_NAME_RELU] = AUR_RELU,
		[AUR_NAME_GELU] = AUR_GELU,
		[AUR_NAME_GELU_TANH] = AUR_GELU_TANH,
	};
	static const enum aur_kept kept[] = {
		[AUR_RECOMPUTE_NONE] = AUR_KEPT_ALL,
		[AUR_RECOMPUTE_LIGHT] = AUR_KEPT_LIGHT,
		[AUR_RECOMPUTE_BLOCK] = AUR_KEPT_INPUTS,
	};
	*model = (struct aur_model_config){
		.type = config->model.kind == AUR_MODEL_BIGRAM ? AUR_TYPE_BIGRAM : AUR_TYPE_GPT,
		.vocab_size = vocab_size,
		.n_layer = config->model.n_layer,
		.n_head = config->model.n_head,
		.n_embd = config->model.n_embd,
		.block_size = config->model.block_size,
		.mlp_width = (int64_t)llround(config->model.mlp_ratio * (double)config->model.n_embd),
		.activation = activations[config->model.activation],
		.post_norm = config->model.norm_position == AUR_NORM_POST,
		.bias = config->model.bias,
		.qkv_bias = config->model.qkv_bias,
		.head_bias = config->model.head_bias,
		.tie_embeddings = config->model.tie_embeddings,
		.dropout = (float)config->model.dropout,
		.embedding_dropout = (float)config->model.embedding_dropout,
		.pytorch_init = config->model.init == AUR_INIT_PYTORCH,
		.kept = kept[config->system.recompute],
	};
	if (config->model.attention_scale == AUR_SCALE_EMBD)
		model->attention_scale = (float)(1.0 / sqrt((double)config->model.n_embd));
}

static aur_status open_resolved(struct aur_model_file *file)
{
	AUR_TRY(aur_checkpoint_open(file->path, &file->checkpoint));
	const char *yaml = aur_checkpoint_meta_of(file->checkpoint)->config;
	aur_config_defaults(&file->config);
	aur_status status = aur_config_parse(file->path, yaml, strlen(yaml), &file->config);
	if (status == AUR_OK)
		status = aur_config_finish(&file->config);
	/* A configuration inside a file is an input, not the user's typing. */
	if (status == AUR_USAGE)
		return aur_add_context(AUR_INPUT, "%s: its stored configuration", file->path);
	AUR_TRY(status);
	struct aur_model_config model;
	aur_model_config_from(&file->config, aur_checkpoint_vocab(file->checkpoint)->size, &model);
	return aur_model_create(&model, &file->model);
}

aur_status aur_model_file_open(const char *path, int best, struct aur_model_file *file)
{
	memset(file, 0, sizeof *file);
	AUR_TRY(aur_model_file_resolve(path, best, file->path, sizeof file->path));
	const aur_status status = open_resolved(file);
	if (status != AUR_OK)
		aur_model_file_close(file);
	return status;
}

void aur_model_file_close(struct aur_model_file *file)
{
	aur_model_destroy(&file->model);
	aur_checkpoint_close(&file->checkpoint);
}

void aur_tensor_record_of(const struct aur_parameter *parameter, struct aur_tensor_record *record)
{
	*record = (struct aur_tensor_record){.dims = parameter->dims};
	snprintf(record->name, sizeof record->name, "%s", parameter->name);
	for (int d = 0; d < parameter->dims; d++)
		record->shape[d] = parameter->shape[d];
}

aur_status aur_read_parameters(
	struct aur_checkpoint *checkpoint, const struct aur_parameters *parameters, float *weights)
{
	memset(weights, 0, (size_t)parameters->count * sizeof *weights);
	for (int64_t i = 0; i < parameters->n_items; i++) {
		const struct aur_parameter *parameter = &parameters->items[i];
		struct aur_tensor_record record;
		aur_tensor_record_of(parameter, &record);
		AUR_TRY(aur_checkpoint_read(
			checkpoint, AUR_PART_PARAMS, &record, 0, parameter->count, weights + parameter->offset));
	}
	return AUR_OK;
}

aur_status aur_model_file_weights(struct aur_model_file *file, float *weights)
{
	return aur_read_parameters(file->checkpoint, aur_model_parameters(file->model), weights);
}
