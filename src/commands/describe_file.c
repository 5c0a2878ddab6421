#include "describe.h"
#include "io/file.h"
#include "io/tokens.h"

#include <stdio.h>
#include <string.h>

/* ---- datasets ---- */

static void add_sources(json_t *object, const char *sources)
{
	json_t *list = json_array();
	while (sources && *sources) {
		const size_t length = strcspn(sources, "\n");
		json_t *name = json_stringn(sources, length);
		json_array_append_new(list, name ? name : json_null());
		sources += length + (sources[length] == '\n' ? 1 : 0);
	}
	json_object_set_new(object, "sources", list);
}

aur_status aur_describe_dataset(const char *path, json_t *object)
{
	struct aur_tokens *tokens = NULL;
	int64_t bytes = 0;
	AUR_TRY(aur_file_check_input(path, &bytes));
	AUR_TRY(aur_tokens_open(path, &tokens));
	const struct aur_tokens_info *info = aur_tokens_info(tokens);
	aur_describe_text(object, "kind", "dataset");
	aur_describe_text(object, "path", path);
	aur_describe_integer(object, "bytes", bytes);
	aur_describe_integer(object, "version", info->version);
	aur_describe_vocab(object, aur_tokens_vocab(tokens));
	aur_describe_integer(object, "train_tokens", info->train_tokens);
	aur_describe_integer(object, "val_tokens", info->val_tokens);
	aur_describe_integer(object, "token_bytes", info->token_bytes);
	json_object_set_new(object, "compressed", json_boolean(info->compressed));
	aur_describe_text(object, "created", info->created);
	aur_describe_text(object, "program", info->program);
	add_sources(object, info->sources);
	aur_tokens_close(&tokens);
	return AUR_OK;
}

/* ---- checkpoints ---- */

static void add_meta(json_t *object, const struct aur_checkpoint_meta *meta)
{
	aur_describe_integer(object, "step", meta->step);
	aur_describe_integer(object, "samples", meta->samples);
	aur_describe_integer(object, "updates", meta->updates);
	aur_describe_integer(object, "skipped", meta->skipped);
	aur_describe_number(object, "val_loss", meta->val_loss);
	aur_describe_number(object, "best_val_loss", meta->best_val_loss);
	json_object_set_new(
		object, "best_step", meta->best_val_loss == meta->best_val_loss ? json_integer(meta->best_step) : json_null());
	json_object_set_new(object, "seed", json_integer((json_int_t)meta->seed));
	aur_describe_integer(object, "ranks", meta->ranks);
	aur_describe_text(object, "variant", meta->variant);
	aur_describe_text(object, "created", meta->created);
	aur_describe_text(object, "program", meta->program);
}

static int64_t elements_of(const struct aur_tensor_record *tensor)
{
	int64_t elements = 1;
	for (int d = 0; d < tensor->dims; d++)
		elements *= tensor->shape[d];
	return elements;
}

static json_t *shape_of(const struct aur_tensor_record *tensor)
{
	json_t *shape = json_array();
	for (int d = 0; d < tensor->dims; d++)
		json_array_append_new(shape, json_integer(tensor->shape[d]));
	return shape;
}

/* A table's order in the file is no order to read: the configuration says what the model is, this what it holds. */
static aur_status list_tensors(const struct aur_checkpoint *checkpoint, json_t *list, int64_t *parameters)
{
	*parameters = 0;
	for (int64_t i = 0; i < aur_checkpoint_tensors(checkpoint); i++) {
		struct aur_tensor_record tensor;
		AUR_TRY(aur_checkpoint_tensor(checkpoint, i, &tensor));
		*parameters += elements_of(&tensor);
		json_array_append_new(list, json_pack("{s:s,s:o}", "name", tensor.name, "shape", shape_of(&tensor)));
	}
	return AUR_OK;
}

static aur_status describe_open(const struct aur_checkpoint *checkpoint, const char *path, json_t *object)
{
	const struct aur_checkpoint_meta *meta = aur_checkpoint_meta_of(checkpoint);
	int64_t bytes = 0, parameters = 0;
	AUR_TRY(aur_file_check_input(path, &bytes));
	json_t *tensors = json_array(), *config = NULL;
	aur_status status = list_tensors(checkpoint, tensors, &parameters);
	if (status == AUR_OK)
		status = aur_describe_config(path, meta->config, &config);
	if (status != AUR_OK) {
		json_decref(tensors);
		return status;
	}
	aur_describe_text(object, "kind", meta->kind);
	aur_describe_text(object, "path", path);
	aur_describe_integer(object, "bytes", bytes);
	aur_describe_integer(object, "version", meta->version);
	aur_describe_integer(object, "parameters", parameters);
	add_meta(object, meta);
	aur_describe_vocab(object, aur_checkpoint_vocab(checkpoint));
	json_object_set_new(object, "tensors", tensors);
	json_object_set_new(object, "config", config);
	return AUR_OK;
}

aur_status aur_describe_checkpoint(const char *path, json_t *object)
{
	struct aur_checkpoint *checkpoint = NULL;
	AUR_TRY(aur_checkpoint_open(path, &checkpoint));
	const aur_status status = describe_open(checkpoint, path, object);
	aur_checkpoint_close(&checkpoint);
	return status;
}
