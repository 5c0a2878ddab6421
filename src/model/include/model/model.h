#ifndef AUR_MODEL_MODEL_H
#define AUR_MODEL_MODEL_H

#include "backend/backend.h"
#include "core/arena.h"
#include "core/status.h"
#include "model/parameters.h"

#include <stdint.h>

/* Models over the backend's table of operations: gpt and bigram behind one interface. A model is a description (its
 * parameter table, FLOPs, initial values); what it needs to run, a micro-batch's activations, is a workspace. */

enum aur_model_type { AUR_TYPE_BIGRAM, AUR_TYPE_GPT };

/* What a GPT keeps of the forward pass for the backward pass, which computes the rest again: the same operations on the
 * same inputs, so that the gradients have the same bits. */
enum aur_kept {
	AUR_KEPT_ALL,
	AUR_KEPT_LIGHT, /* all but the outputs of activations and, in fp32, of norms */
	AUR_KEPT_INPUTS /* of each block its input alone; in bf16 of pre-norm the output of its first norm too */
};

struct aur_model_config {
	enum aur_model_type type;
	int64_t vocab_size;                          /* V */
	int64_t n_layer, n_head, n_embd, block_size; /* bigram: block_size alone is used */
	int64_t mlp_width;                           /* F */
	enum aur_activation_kind activation;
	int post_norm; /* x = norm(x + f(x)) and no final norm; otherwise x = x + f(norm(x)) and a final norm */
	int bias;      /* biases of the linear layers other than QKV, and of the norms */
	int qkv_bias;
	int head_bias;
	int tie_embeddings;    /* the output head's weight is wte */
	float attention_scale; /* the number itself; 0: 1/sqrt(n_embd / n_head) */
	float dropout;         /* attention weights and both branch outputs */
	float embedding_dropout;
	int pytorch_init; /* PyTorch's defaults instead of GPT-2's */
	enum aur_kept kept;
};

struct aur_model;

/* Builds the description; no memory for weights is taken. AUR_USAGE when the numbers do not fit (n_embd not divisible
 * by n_head), AUR_MEMORY. */
aur_status aur_model_create(const struct aur_model_config *config, struct aur_model **model);
void aur_model_destroy(struct aur_model **model);

const struct aur_model_config *aur_model_config_of(const struct aur_model *model);
const struct aur_parameters *aur_model_parameters(const struct aur_model *model);

/* FLOPs of forward and backward of one token in a context of T, counted as llm.c does: 6 x (parameters without the
 * position embedding; of the token embedding only where it is the tied head) + 6 * n_layer * n_embd * T. */
double aur_model_flops_per_token(const struct aur_model *model, int64_t positions);

/* Initial values into host memory of parameters->count floats, a function of seed alone.
 * GPT-2: normal(0, 0.02), residual projections normal(0, 0.02/sqrt(2 n_layer)), biases 0, norms 1 and 0.
 * PyTorch: linear weights and biases uniform(+-1/sqrt(in)), embeddings and the bigram's table normal(0, 1), norms 1 and
 * 0. Padding between tensors is zero. */
void aur_model_initialise(const struct aur_model *model, uint64_t seed, float *weights);

/* ---- running ---- */

struct aur_workspace;

/* Sizes a workspace for micro-batches of up to `batch` sequences of `positions` tokens, takes its memory from the
 * backend and reserves the backend's scratch memory. training = 0: for evaluation only. `compute` is the type of
 * activations and products, AUR_F32 or AUR_BF16; a bigram has neither and is fp32 whatever is asked. `plan` (may be
 * NULL) gets the parts and bytes. AUR_MEMORY names the part that is largest. One workspace a backend. */
aur_status aur_workspace_create(const struct aur_model *model, struct aur_backend *backend, int64_t batch,
	int64_t positions, int training, enum aur_dtype compute, struct aur_workspace **workspace, struct aur_arena *plan);

/* What aur_workspace_create would take, without taking it. */
aur_status aur_workspace_plan(const struct aur_model *model, struct aur_backend *backend, int64_t batch,
	int64_t positions, int training, enum aur_dtype compute, struct aur_arena *plan);

void aur_workspace_destroy(struct aur_workspace **workspace);

/* One micro-batch, all pointers in the backend's memory. */
struct aur_micro_batch {
	const int32_t *tokens, *targets; /* [batch, positions] */
	int64_t batch, positions;
	const float *weights;               /* flat, as the parameter table says */
	const void *compute_weights;        /* the same rounded to a bf16 workspace's type; not read with fp32 */
	const struct aur_step_state *state; /* seed and first_sample for dropout; NULL: dropout off */
	double *loss;                       /* out [batch]: sum over the positions of a sequence, natural logarithm */
	float *gradients;                   /* += flat; NULL: evaluation, dropout off */
	int first;                          /* 1: `gradients` is as aur_model_begin_gradients left it */
	float gradient_scale;               /* of the loss, usually 1 / (batch_size * positions) */
	/* OPTIONAL. Told in the course of the backward pass that nothing will be added any more to the gradients before
	 * element `done` of the arena: they are complete when what the backend was asked so far is done. `done` grows from
	 * call to call and is the arena's count in the last; its values depend on the model alone. */
	aur_status (*completed)(void *context, int64_t done);
	void *context;
};

/* Forward, and backward when gradients is set. Asynchronous on the backend's stream. */
aur_status aur_model_run(struct aur_workspace *workspace, const struct aur_micro_batch *batch);

/* Before the first micro-batch whose gradients are added up in `gradients`, which that one must know (`first`): zeroes
 * what it adds to. In host memory what products write, most of a GPT, is left as it is, since the first one overwrites
 * it. A device takes longer to zero many small ranges than all, and what it recorded of one micro-batch serves the
 * next: there every micro-batch adds to zeros. */
aur_status aur_model_begin_gradients(const struct aur_model *model, struct aur_backend *backend, float *gradients);

/* Seconds spent in forward and backward since the last call, measured on the host around the calls. */
void aur_workspace_times(struct aur_workspace *workspace, double *forward_s, double *backward_s);

/* ---- generation ---- */

struct aur_decoder;

/* A key-value cache of block_size positions for one text. Takes its memory from the backend and reserves scratch.
 * `weights` in the backend's memory, borrowed. One decoder a backend, and none beside a workspace: scratch memory is
 * reserved once. */
aur_status aur_decoder_create(
	const struct aur_model *model, struct aur_backend *backend, const float *weights, struct aur_decoder **decoder);
void aur_decoder_destroy(struct aur_decoder **decoder);

/* Forgets the text. */
void aur_decoder_reset(struct aur_decoder *decoder);

/* Positions in the cache; at most block_size. */
int64_t aur_decoder_position(const struct aur_decoder *decoder);

/* Appends `count` tokens (host memory) and gives the logits [V] after the last of them in host memory, borrowed until
 * the next call. AUR_SHAPE when position + count > block_size: the caller slides its window by reset and a shorter
 * text. */
aur_status aur_decoder_append(struct aur_decoder *decoder, const int32_t *tokens, int64_t count, const float **logits);

#endif
