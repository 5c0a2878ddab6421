#include "attention_choice.cuh"
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

/* A library's attention that takes more than there is gives way to the own kernels. */
static aur_status reserve(struct aur_cuda *cuda, const struct aur_backend_limits *limits,
	struct aur_attention_plan *plan, size_t own, size_t *scratch)
{
	cuda->limits = *limits;
	aur_status status = take_scratch(cuda, *scratch);
	if (status == AUR_MEMORY && *scratch > own) {
		aur_error_clear();
		aur_attention_give_up(plan, "there is no memory for it");
		*scratch = own;
		status = take_scratch(cuda, own);
	}
	AUR_TRY(status);
	return aur_attention_choose(cuda, plan);
}

aur_status aur_cuda_reserve(struct aur_backend *backend, const struct aur_backend_limits *limits, size_t *bytes)
{
	struct aur_cuda *cuda = aur_cuda_of(backend);
	const size_t own = largest_scratch(limits);
	struct aur_attention_plan plan;
	aur_attention_plan_for(cuda, limits, &plan);
	size_t scratch = std::max(own, plan.scratch_bytes);
	if (!limits->count_only)
		AUR_TRY(reserve(cuda, limits, &plan, own, &scratch));
	if (bytes)
		*bytes = scratch + AUR_CUBLAS_WORKSPACE;
	return AUR_OK;
}

aur_status aur_cuda_check_scratch(const struct aur_cuda *cuda, const char *who, size_t bytes)
{
	if (bytes <= cuda->scratch_bytes)
		return AUR_OK;
	return aur_fail(
		AUR_SHAPE, "%s: needs %zu bytes of scratch memory, %zu are reserved", who, bytes, cuda->scratch_bytes);
}
