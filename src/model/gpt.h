#ifndef AUR_MODEL_GPT_H
#define AUR_MODEL_GPT_H

/* The GPT: which parameter is where, and what its passes share.
 *
 * A block is two branches, attention and MLP; branch j of the model (0 <= j < 2 n_layer) is attention of layer j/2 when
 * j is even and its MLP when j is odd. Norms are counted the same way, ln_1 of layer i as 2i and ln_2 as 2i+1, and the
 * final norm as 2 n_layer.
 *
 *   pre-norm    y_j = norm_j(s_j)             s_0 = embeddings, s_{j+1} = s_j + drop(branch_j(y_j))
 *   post-norm   y_j = norm_j(s_j)             s_j = y_{j-1} + drop(branch_j(y_{j-1})), y_{-1} = embeddings
 *
 * So the sum behind branch j is fused into norm j+1 in pre-norm and into norm j in post-norm.
 */

#include "core/rng.h"
#include "internal.h"

enum aur_gpt_tensor {
	AUR_LN_1_WEIGHT,
	AUR_LN_1_BIAS,
	AUR_C_ATTN_WEIGHT,
	AUR_C_ATTN_BIAS,
	AUR_ATTN_PROJ_WEIGHT,
	AUR_ATTN_PROJ_BIAS,
	AUR_LN_2_WEIGHT,
	AUR_LN_2_BIAS,
	AUR_C_FC_WEIGHT,
	AUR_C_FC_BIAS,
	AUR_MLP_PROJ_WEIGHT,
	AUR_MLP_PROJ_BIAS,
	AUR_GPT_TENSORS
};

enum aur_gpt_outer {
	AUR_LM_HEAD_WEIGHT,
	AUR_LM_HEAD_BIAS,
	AUR_LN_F_WEIGHT,
	AUR_LN_F_BIAS,
	AUR_WPE,
	AUR_WTE,
	AUR_GPT_OUTERS
};

/* Indices into the parameter table; -1 where the model has no such tensor. */
struct aur_gpt {
	int64_t outer[AUR_GPT_OUTERS];
	int64_t (*layers)[AUR_GPT_TENSORS]; /* owned [n_layer] */
};

/* What one norm computes. Where it is not kept for the backward pass, norms share its memory. */
struct aur_gpt_norm {
	void *s, *y;        /* [N, C] */
	float *mean, *rstd; /* [N] */
};

/* What the two branches of one block compute. Where it is not kept for the backward pass all blocks share one, and
 * without training `activated` is `hidden`. */
struct aur_gpt_block {
	void *qkv;                /* [N, 3C] */
	void *mixed;              /* [N, C] attention's output before its projection */
	float *lse;               /* [B, H, T] */
	void *hidden, *activated; /* [N, F] before and after the activation */
};

/* All of them but the statistics, which are fp32, are numbers of `dtype`. */
struct aur_gpt_activations {
	enum aur_dtype dtype;         /* AUR_F32 or AUR_BF16 */
	struct aur_gpt_norm *norms;   /* owned [aur_gpt_norms] */
	struct aur_gpt_block *blocks; /* owned [n_layer] */
	void *embedded;               /* [N, C] */
	void *branch;                 /* [N, C] a branch's output, until the next norm has added it */
	/* The backward pass, reused by every branch; NULL without training. */
	void *d_stream; /* [N, C] gradient along the residual stream */
	void *d_input;  /* [N, C] gradient of a branch's input */
	void *d_branch; /* [N, C] gradient of a branch's output; NULL without dropout, where it is d_stream */
	void *d_wide;   /* [N, max(3C, F)] gradient inside a branch */
};

/* Keys and values of one text. */
struct aur_gpt_cache {
	struct aur_gpt_activations activations; /* fp32, of `rows` positions */
	int64_t rows;                           /* a prompt goes through in pieces of this many tokens */
	int32_t *tokens;                        /* [rows] */
	float *logits;                          /* [V] */
	float **keys, **values;                 /* owned [n_layer] of [H, block_size, D] */
	int64_t past;
};

/* One pass over one micro-batch or one piece of a text. */
struct aur_gpt_pass {
	const struct aur_model *model;
	struct aur_backend *backend;
	const struct aur_gpt_activations *activations;
	int64_t batch, positions;
	struct aur_weights weights;         /* whose type is the activations' */
	const struct aur_step_state *state; /* NULL: dropout off */
	const struct aur_gpt_cache *cache;  /* NULL: the pass begins at position 0 */
	int overwrite;                      /* gradients of matrices are written, not added to */
};

/* Where a norm's parameters are. */
struct aur_gpt_norm_place {
	int layer;            /* -1: the final norm */
	int64_t weight, bias; /* indices into the parameter table */
};

aur_status aur_gpt_describe(struct aur_model *model);
double aur_gpt_flops_per_token(const struct aur_model *model, int64_t positions);

int64_t aur_gpt_branches(const struct aur_model *model);
int64_t aur_gpt_norms(const struct aur_model *model);
struct aur_gpt_norm_place aur_gpt_norm_place_of(const struct aur_model *model, int64_t norm);

/* The norm that adds branch j to the stream; the one whose y branch j reads, -1 where it reads the embeddings. */
int64_t aur_gpt_norm_after(const struct aur_model *model, int64_t branch);
int64_t aur_gpt_norm_before(const struct aur_model *model, int64_t branch);

/* s_j, and what branch j reads. */
void *aur_gpt_stream(const struct aur_gpt_pass *pass, int64_t norm);
void *aur_gpt_branch_input(const struct aur_gpt_pass *pass, int64_t branch);
float aur_gpt_attention_scale(const struct aur_model *model);

/* Dropout of one site: the rate, or none at all where the pass has no state. */
struct aur_dropout aur_gpt_dropout(const struct aur_gpt_pass *pass, uint32_t site, int64_t layer);
struct aur_dropout aur_gpt_branch_dropout(const struct aur_gpt_pass *pass, int64_t branch);

/* Activations [N, columns] of a pass. */
struct aur_tensor aur_gpt_rows(const struct aur_gpt_pass *pass, void *data, int64_t columns);

aur_status aur_gpt_activations_create(
	const struct aur_model *model, enum aur_dtype dtype, struct aur_gpt_activations *activations);
void aur_gpt_activations_clear(struct aur_gpt_activations *activations);
void aur_gpt_activations_carve(const struct aur_model *model, int64_t batch, int64_t positions, int training,
	struct aur_gpt_activations *activations, struct aur_arena *arena);

/* Whether norm(s) of a kept s is the y of the forward pass. In bf16 it is not: there y comes from the sum before s was
 * rounded. */
int aur_gpt_norm_repeats(const struct aur_gpt_activations *activations);

/* Tokens to the last norm's output [N, C], which is given in *hidden. */
aur_status aur_gpt_trunk(const struct aur_gpt_pass *pass, const int32_t *tokens, void **hidden);

/* Computes again what the backward pass of branch j reads and was not kept. Branches come from the last to the first.
 */
aur_status aur_gpt_recompute(const struct aur_gpt_pass *pass, int64_t branch);

aur_status aur_gpt_forward(struct aur_workspace *workspace, const struct aur_micro_batch *batch);
aur_status aur_gpt_backward(struct aur_workspace *workspace, const struct aur_micro_batch *batch);
struct aur_gpt_pass aur_gpt_pass_of(const struct aur_workspace *workspace, const struct aur_micro_batch *batch);
aur_status aur_gpt_head_loss(const struct aur_gpt_pass *pass, const struct aur_micro_batch *batch, void *d_hidden);

aur_status aur_gpt_decoder_prepare(struct aur_decoder *decoder);
void aur_gpt_decoder_carve(struct aur_decoder *decoder, struct aur_arena *arena);
void aur_gpt_decoder_discard(struct aur_decoder *decoder);
aur_status aur_gpt_decoder_append(struct aur_decoder *decoder, const int32_t *tokens, int64_t count);

#endif
