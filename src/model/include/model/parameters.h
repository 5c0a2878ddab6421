#ifndef AUR_MODEL_PARAMETERS_H
#define AUR_MODEL_PARAMETERS_H

#include "core/dtype.h"
#include "core/status.h"

#include <stdint.h>

/* The parameter table: every tensor of a model in one flat arena. Weights, gradients, m and v are such arenas with
 * equal offsets, ordered by when the backward pass completes them (the head first, the embeddings last). Offsets are
 * multiples of 64 floats (256 bytes); what lies between tensors is zero and stays zero. */

enum { AUR_PARAMETER_DIMS = 2, AUR_PARAMETER_NAME = 64 };

enum aur_parameter_role {
	AUR_ROLE_WEIGHT,
	AUR_ROLE_BIAS,
	AUR_ROLE_NORM_WEIGHT,
	AUR_ROLE_NORM_BIAS,
	AUR_ROLE_EMBEDDING
};

struct aur_parameter {
	char name[AUR_PARAMETER_NAME]; /* Hugging Face's name for GPT-2 without the prefix */
	int dims;
	int64_t shape[AUR_PARAMETER_DIMS]; /* [out, in] for weights */
	int64_t offset, count;             /* in floats */
	int layer;                         /* -1: outside the blocks */
	enum aur_parameter_role role;
	int matrix;        /* 1: two dimensions, decayed under train.decay: matrices */
	int row_groups;    /* 3 for Q|K|V stacked in the rows, otherwise 1 */
	int cut_dimension; /* that tensor parallelism would cut; -1: none */
};

struct aur_parameters {
	struct aur_parameter *items; /* owned */
	int64_t n_items;
	int64_t count;    /* floats in the arena, padding included; a multiple of 64 */
	int64_t elements; /* parameters, padding left out */
};

const struct aur_parameter *aur_parameters_find(const struct aur_parameters *parameters, const char *name);
void aur_parameters_clear(struct aur_parameters *parameters);

/* The weights that a pass reads: flat arenas in the backend's memory, borrowed. */
struct aur_weights {
	const float *values;  /* the fp32 weights */
	const void *matrices; /* what products (their biases too) and embeddings read: `values`, or a copy in `dtype` */
	enum aur_dtype dtype; /* AUR_F32 or AUR_BF16 */
};

/* Models reach a layer's weights through acquire and release. They hand out the flat arenas and do nothing else until
 * weights are cut across ranks. layer -1: what lies outside the blocks. */
aur_status aur_parameters_acquire(
	const struct aur_parameters *parameters, int layer, const struct aur_weights *arenas, struct aur_weights *weights);
void aur_parameters_release(const struct aur_parameters *parameters, int layer, const struct aur_weights *weights);

#endif
