#include "memory.cuh"

#include <algorithm>

/* Scratch memory: one piece that one operation at a time uses from its start, as large as the largest asks. */

static size_t largest_scratch(const struct aur_backend_limits *limits)
{
	return std::max({aur_embedding_scratch_cuda(limits), aur_residual_norm_scratch_cuda(limits),
		aur_linear_scratch_cuda(limits), aur_attention_scratch_cuda(limits), aur_head_loss_scratch_cuda(limits),
		aur_table_loss_scratch_cuda(limits), aur_adamw_scratch_cuda(limits), aur_clip_scratch_cuda(limits)});
}

/* A larger one takes the place of the one before, which operations under way may still use. */
static aur_status take_scratch(struct aur_cuda *cuda, size_t bytes)
{
	void *memory = NULL;
	if (bytes <= cuda->scratch_bytes)
		return AUR_OK;
	AUR_TRY(aur_cuda_check(cudaStreamSynchronize(cuda->stream), "cuda: reserve"));
	AUR_TRY(aur_cuda_check(cudaFree(cuda->scratch), "cuda: reserve"));
	cuda->scratch = NULL;
	cuda->scratch_bytes = 0;
	AUR_TRY(aur_cuda_allocate(&cuda->base, bytes, &memory));
	cuda->scratch = static_cast<char *>(memory);
	cuda->scratch_bytes = bytes;
	return AUR_OK;
}

aur_status aur_cuda_reserve(struct aur_backend *backend, const struct aur_backend_limits *limits, size_t *bytes)
{
	struct aur_cuda *cuda = aur_cuda_of(backend);
	const size_t scratch = largest_scratch(limits);
	if (bytes)
		*bytes = scratch + AUR_CUBLAS_WORKSPACE;
	if (limits->count_only)
		return AUR_OK;
	cuda->limits = *limits;
	return take_scratch(cuda, scratch);
}

aur_status aur_cuda_check_scratch(const struct aur_cuda *cuda, const char *who, size_t bytes)
{
	if (bytes <= cuda->scratch_bytes)
		return AUR_OK;
	return aur_fail(
		AUR_SHAPE, "%s: needs %zu bytes of scratch memory, %zu are reserved", who, bytes, cuda->scratch_bytes);
}
