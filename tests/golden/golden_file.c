#include "golden.h"

#include <hdf5.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static double attribute(hid_t file, const char *name)
{
	double value = 0;
	const hid_t handle = H5Aopen(file, name, H5P_DEFAULT);
	assert_true(handle >= 0);
	assert_true(H5Aread(handle, H5T_NATIVE_DOUBLE, &value) >= 0);
	H5Aclose(handle);
	return value;
}

/* A dataset of exactly `count` elements. */
static void read_into(hid_t file, const char *name, hid_t type, int64_t count, void *out)
{
	const hid_t dataset = H5Dopen2(file, name, H5P_DEFAULT);
	assert_true(dataset >= 0);
	const hid_t space = H5Dget_space(dataset);
	assert_int_equal(H5Sget_simple_extent_npoints(space), count);
	assert_true(H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, out) >= 0);
	H5Sclose(space);
	H5Dclose(dataset);
}

static void read_shape(hid_t file, const char *name, hsize_t shape[3])
{
	const hid_t dataset = H5Dopen2(file, name, H5P_DEFAULT);
	assert_true(dataset >= 0);
	const hid_t space = H5Dget_space(dataset);
	assert_int_equal(H5Sget_simple_extent_ndims(space), 3);
	H5Sget_simple_extent_dims(space, shape, NULL);
	H5Sclose(space);
	H5Dclose(dataset);
}

static struct aur_model *read_model(hid_t file)
{
	struct aur_model_config config = {
		.type = attribute(file, "gpt") != 0 ? AUR_TYPE_GPT : AUR_TYPE_BIGRAM,
		.vocab_size = (int64_t)attribute(file, "vocab_size"),
		.block_size = (int64_t)attribute(file, "block_size"),
	};
	if (config.type == AUR_TYPE_GPT) {
		config.n_layer = (int64_t)attribute(file, "n_layer");
		config.n_head = (int64_t)attribute(file, "n_head");
		config.n_embd = (int64_t)attribute(file, "n_embd");
		config.mlp_width = (int64_t)attribute(file, "mlp_width");
		config.activation = (enum aur_activation_kind)attribute(file, "activation");
		config.post_norm = (int)attribute(file, "post_norm");
		config.bias = (int)attribute(file, "bias");
		config.qkv_bias = (int)attribute(file, "qkv_bias");
		config.head_bias = (int)attribute(file, "head_bias");
		config.tie_embeddings = (int)attribute(file, "tie_embeddings");
		config.attention_scale = (float)attribute(file, "attention_scale");
	}
	struct aur_model *model;
	assert_int_equal(aur_model_create(&config, &model), AUR_OK);
	return model;
}

static void read_tensors(hid_t file, struct golden *golden)
{
	const struct aur_parameters *parameters = aur_model_parameters(golden->model);
	golden->weights = calloc((size_t)parameters->count, sizeof *golden->weights);
	golden->gradients = calloc((size_t)parameters->count, sizeof *golden->gradients);
	for (int64_t i = 0; i < parameters->n_items; i++) {
		const struct aur_parameter *item = &parameters->items[i];
		char name[AUR_PARAMETER_NAME + 16];
		snprintf(name, sizeof name, "/weights/%s", item->name);
		read_into(file, name, H5T_NATIVE_FLOAT, item->count, golden->weights + item->offset);
		snprintf(name, sizeof name, "/gradients/%s", item->name);
		read_into(file, name, H5T_NATIVE_DOUBLE, item->count, golden->gradients + item->offset);
	}
	/* The file holds no tensor that the model does not have. */
	H5G_info_t info;
	assert_true(H5Gget_info_by_name(file, "/weights", &info, H5P_DEFAULT) >= 0);
	assert_int_equal(info.nlinks, parameters->n_items);
}

static void read_tokens(hid_t file, struct golden *golden)
{
	hsize_t shape[3];
	read_shape(file, "/tokens", shape);
	golden->batches = (int64_t)shape[0];
	golden->batch = (int64_t)shape[1];
	golden->positions = (int64_t)shape[2];
	const int64_t count = golden->batches * golden->batch * golden->positions;
	golden->tokens = calloc((size_t)count, sizeof *golden->tokens);
	golden->targets = calloc((size_t)count, sizeof *golden->targets);
	golden->loss = calloc((size_t)golden->batch, sizeof *golden->loss);
	read_into(file, "/tokens", H5T_NATIVE_INT32, count, golden->tokens);
	read_into(file, "/targets", H5T_NATIVE_INT32, count, golden->targets);
	read_into(file, "/loss", H5T_NATIVE_DOUBLE, golden->batch, golden->loss);
}

void golden_read(const char *name, struct golden *golden)
{
	char path[4096];
	snprintf(path, sizeof path, "%s/%s", AUR_GOLDEN_FOLDER, name);
	const hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
	assert_true(file >= 0);
	*golden = (struct golden){
		.model = read_model(file),
		.beta1 = attribute(file, "beta1"),
		.beta2 = attribute(file, "beta2"),
		.epsilon = attribute(file, "epsilon"),
		.weight_decay = attribute(file, "weight_decay"),
		.max_norm = attribute(file, "max_norm"),
	};
	read_tokens(file, golden);
	read_tensors(file, golden);
	read_into(file, "/learning_rate", H5T_NATIVE_DOUBLE, GOLDEN_STEPS, golden->learning_rate);
	read_into(file, "/adamw/matrices/loss", H5T_NATIVE_DOUBLE, GOLDEN_STEPS, golden->curves[0].loss);
	read_into(file, "/adamw/matrices/norm", H5T_NATIVE_DOUBLE, GOLDEN_STEPS, golden->curves[0].norm);
	read_into(file, "/adamw/all/loss", H5T_NATIVE_DOUBLE, GOLDEN_STEPS, golden->curves[1].loss);
	read_into(file, "/adamw/all/norm", H5T_NATIVE_DOUBLE, GOLDEN_STEPS, golden->curves[1].norm);
	H5Fclose(file);
}

void golden_clear(struct golden *golden)
{
	aur_model_destroy(&golden->model);
	free(golden->tokens);
	free(golden->targets);
	free(golden->weights);
	free(golden->loss);
	free(golden->gradients);
}
