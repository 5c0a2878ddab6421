#ifndef AUR_CUDA_ATTENTION_CUDNN_CUH
#define AUR_CUDA_ATTENTION_CUDNN_CUH

/* Attention by cuDNN's fused kernels, where they serve: bf16, no dropout, head sizes that are multiples of 8 up to 128,
 * and a plan that cuDNN can make for the shape on this GPU. Where they do not, the functions say so and do nothing, and
 * the caller runs its own kernels.
 *
 * Plans are made when a shape first comes, or ahead by prepare(), which takes up to some seconds and may not fall into
 * the capture of a graph; 16 shapes are kept, later ones are not served. Operations are asynchronous on the compute
 * stream and use cuda->scratch from its start. */

#include "internal.cuh"

struct aur_cudnn_attention;

#if defined(AUR_WITH_CUDNN) && !defined(AURELIUS_EMULATED)

/* Opens cuDNN. Where that fails *attention is NULL and `why` gets the reason, one line: that is no error.
 * `deterministic`: equal inputs give equal bits, also in the backward pass, which then keeps a matrix of gradients of
 * scores for some sequences at a time (at most 512 MB); 0: faster, and on Hopper other bits on a rerun. Destroy accepts
 * NULL and sets *attention to NULL. */
aur_status aur_cudnn_attention_create(
	struct aur_cuda *cuda, int deterministic, struct aur_cudnn_attention **attention, char *why, size_t bytes);
void aur_cudnn_attention_destroy(struct aur_cudnn_attention **attention);

/* "cuDNN 9.19.0", once it is open. */
void aur_cudnn_attention_name(char *name, size_t bytes);

/* 1 when this shape is served, forward and, with `training`, backward; *scratch_bytes is then what both need at most.
 * `count_only`: no plan is made for a shape that differs in its batch alone from one that has a plan, and what it takes
 * is reckoned from that. */
int aur_cudnn_attention_prepare(struct aur_cudnn_attention *attention, int64_t batch, int64_t positions, int64_t n_head,
	int64_t head_size, int training, int count_only, size_t *scratch_bytes);

/* As in backend.h; shapes are checked by the caller. *served is 0, and nothing is done, where cuDNN does not serve the
 * shape or the scratch memory is too small for it. `attention` may be NULL: not served. */
aur_status aur_cudnn_attention_forward(
	struct aur_cudnn_attention *attention, const struct aur_attention_forward *op, int *served);
aur_status aur_cudnn_attention_backward(
	struct aur_cudnn_attention *attention, const struct aur_attention_backward *op, int *served);

#else

static inline aur_status aur_cudnn_attention_create(
	struct aur_cuda *, int, struct aur_cudnn_attention **attention, char *why, size_t bytes)
{
	static const char text[] = "this program was built without it";
	for (size_t i = 0; i < bytes; i++)
		why[i] = i + 1 < bytes && i < sizeof text ? text[i] : '\0';
	*attention = NULL;
	return AUR_OK;
}

static inline void aur_cudnn_attention_destroy(struct aur_cudnn_attention **)
{
}

static inline void aur_cudnn_attention_name(char *name, size_t)
{
	name[0] = '\0';
}

static inline int aur_cudnn_attention_prepare(
	struct aur_cudnn_attention *, int64_t, int64_t, int64_t, int64_t, int, int, size_t *)
{
	return 0;
}

static inline aur_status aur_cudnn_attention_forward(
	struct aur_cudnn_attention *, const struct aur_attention_forward *, int *served)
{
	*served = 0;
	return AUR_OK;
}

static inline aur_status aur_cudnn_attention_backward(
	struct aur_cudnn_attention *, const struct aur_attention_backward *, int *served)
{
	*served = 0;
	return AUR_OK;
}

#endif

#endif
