#ifndef AUR_MODEL_INTERNAL_H
#define AUR_MODEL_INTERNAL_H

/* Inside of the models: what a type of model is to the dispatching code. */

#include "model/model.h"

struct aur_gpt;
struct aur_gpt_activations;
struct aur_gpt_cache;

/* One type of model. Every member is set. */
struct aur_model_ops {
	/* Fills model->parameters and what the type keeps beside it. */
	aur_status (*describe)(struct aur_model *model);
	void (*destroy)(struct aur_model *model);
	double (*flops_per_token)(const struct aur_model *model, int64_t positions);
	/* The widths that the backend's scratch memory depends on. */
	void (*limits)(const struct aur_model *model, struct aur_backend_limits *limits);

	/* Host memory of a workspace; then its activations, carved twice (core/arena.h). */
	aur_status (*prepare)(struct aur_workspace *workspace);
	void (*carve)(struct aur_workspace *workspace, struct aur_arena *arena);
	void (*discard)(struct aur_workspace *workspace);
	/* forward: up to the last hidden state, and the loss where no gradients are asked for. backward: loss and
	 * gradients. */
	aur_status (*forward)(struct aur_workspace *workspace, const struct aur_micro_batch *batch);
	aur_status (*backward)(struct aur_workspace *workspace, const struct aur_micro_batch *batch);
	/* Whether the first micro-batch of a sum writes all of the gradient of parameter `item`, before anything is added
	 * to it. */
	int (*overwrites)(const struct aur_model *model, int64_t item);

	/* The same three for a decoder, and one step of it: logits after the last of `count` tokens into decoder->logits.
	 */
	aur_status (*decoder_prepare)(struct aur_decoder *decoder);
	void (*decoder_carve)(struct aur_decoder *decoder, struct aur_arena *arena);
	void (*decoder_discard)(struct aur_decoder *decoder);
	aur_status (*decoder_append)(struct aur_decoder *decoder, const int32_t *tokens, int64_t count);
};

extern const struct aur_model_ops aur_gpt_ops;
extern const struct aur_model_ops aur_bigram_ops;

struct aur_model {
	struct aur_model_config config;
	const struct aur_model_ops *ops;
	struct aur_parameters parameters;
	struct aur_gpt *gpt; /* owned; NULL for other types */
};

struct aur_workspace {
	const struct aur_model *model; /* borrowed */
	struct aur_backend *backend;   /* borrowed */
	int64_t batch, positions;
	int training;
	enum aur_dtype compute; /* of activations and of the matrices that are multiplied */
	void *memory;           /* owned, the backend's; NULL where the model needs none */
	double forward_s, backward_s;
	struct aur_gpt_activations *gpt; /* owned; NULL for other types */
};

struct aur_decoder {
	const struct aur_model *model; /* borrowed */
	struct aur_backend *backend;   /* borrowed */
	const float *weights;          /* borrowed, the backend's */
	int64_t position;
	void *memory;                /* owned, the backend's; NULL where the model needs none */
	float *logits;               /* owned, host memory [V] */
	struct aur_gpt_cache *cache; /* owned; NULL for other types */
};

/* A function that carves one owner's parts. */
typedef void (*aur_carve)(void *owner, struct aur_arena *arena);

/* Counts what `carve` takes, allocates it and carves again. `used` (may be NULL) gets the parts. On failure nothing is
 * owned; AUR_MEMORY names `what` and its largest part. */
aur_status aur_model_take_memory(
	struct aur_backend *backend, const char *what, aur_carve carve, void *owner, void **memory, struct aur_arena *used);

/* Appends a parameter at the next aligned offset; count and offset are computed. The array has room. Returns its index.
 */
int64_t aur_parameters_append(struct aur_parameters *parameters, const struct aur_parameter *parameter);

/* Takes room for `capacity` parameters. AUR_MEMORY. */
aur_status aur_parameters_reserve(struct aur_parameters *parameters, int64_t capacity);

/* The view of parameter `item` in a flat fp32 arena; absent when item is -1 or the arena is NULL. */
struct aur_tensor aur_model_tensor(const struct aur_model *model, const float *arena, int64_t item);

/* The view of matrix `item` as products and embeddings read it; absent when item is -1. */
struct aur_tensor aur_model_matrix(const struct aur_model *model, const struct aur_weights *weights, int64_t item);

/* The view of the bias `item` as the product adds it, of the matrices' type; absent when item is -1. */
struct aur_tensor aur_model_bias(const struct aur_model *model, const struct aur_weights *weights, int64_t item);

/* A contiguous view of sums of the loss. */
struct aur_tensor aur_view_losses(double *data, int64_t n);

/* A contiguous view of token numbers that are only read. */
struct aur_tensor aur_view_read_tokens(const int32_t *data, int64_t rows, int64_t columns);

#endif
