#ifndef AUR_TESTS_MODEL_HELPERS_H
#define AUR_TESTS_MODEL_HELPERS_H

#include "core/rng.h"
#include "model/model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* What the tests of model/ share: small configurations. */

static inline struct aur_model_config gpt2(int64_t layers, int64_t heads, int64_t width)
{
	return (struct aur_model_config){
		.type = AUR_TYPE_GPT,
		.vocab_size = 50257,
		.n_layer = layers,
		.n_head = heads,
		.n_embd = width,
		.block_size = 1024,
		.mlp_width = 4 * width,
		.activation = AUR_GELU_TANH,
		.bias = 1,
		.qkv_bias = 1,
		.tie_embeddings = 1,
	};
}

static inline struct aur_model_config tiny(void)
{
	struct aur_model_config config = gpt2(2, 2, 8);
	config.vocab_size = 13;
	config.block_size = 12;
	return config;
}

/* The original project's: post-norm, relu, its own head with a bias, no bias on Q, K and V. */
static inline struct aur_model_config original(void)
{
	struct aur_model_config config = tiny();
	config.post_norm = 1;
	config.activation = AUR_RELU;
	config.qkv_bias = 0;
	config.head_bias = 1;
	config.tie_embeddings = 0;
	config.pytorch_init = 1;
	return config;
}

static inline struct aur_model_config bigram(int64_t vocabulary)
{
	return (struct aur_model_config){.type = AUR_TYPE_BIGRAM, .vocab_size = vocabulary, .block_size = 8};
}

static inline struct aur_model *model_of(struct aur_model_config config)
{
	struct aur_model *model;
	assert_int_equal(aur_model_create(&config, &model), AUR_OK);
	return model;
}

/* Initial weights, each moved by a normal number times `spread`: what begins as zeros or ones is then tested too. */
static inline void draw_weights(const struct aur_model *model, double spread, float *weights)
{
	const struct aur_parameters *parameters = aur_model_parameters(model);
	aur_model_initialise(model, 11, weights);
	for (int64_t i = 0; i < parameters->n_items; i++) {
		const struct aur_parameter *item = &parameters->items[i];
		for (int64_t k = 0; k < item->count; k++) {
			double value[2];
			aur_normal2(aur_philox(1, (uint32_t)k, (uint32_t)i, 0), value);
			weights[item->offset + k] += (float)(spread * value[0]);
		}
	}
}

#endif
