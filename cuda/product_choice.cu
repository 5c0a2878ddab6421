#include "product.cuh"

#include <string.h>

static cudaDataType_t data_type(int32_t type)
{
	return type == AUR_BF16 ? CUDA_R_16BF : CUDA_R_32F;
}

static aur_status set_attribute(
	const char *who, cublasLtMatmulDesc_t description, cublasLtMatmulDescAttributes_t attribute, int32_t value)
{
	return aur_cublas_check(cublasLtMatmulDescSetAttribute(description, attribute, &value, sizeof value), who);
}

static aur_status describe_operation(const char *who, struct aur_product_plan *plan)
{
	const struct aur_product_key *key = &plan->key;
	AUR_TRY(aur_cublas_check(cublasLtMatmulDescCreate(&plan->description,
								 key->tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F, CUDA_R_32F),
		who));
	AUR_TRY(set_attribute(
		who, plan->description, CUBLASLT_MATMUL_DESC_TRANSA, key->transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N));
	AUR_TRY(set_attribute(
		who, plan->description, CUBLASLT_MATMUL_DESC_TRANSB, key->transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N));
	/* The bias's type is left alone: the output's is the default. */
	return key->bias ? set_attribute(who, plan->description, CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS)
					 : AUR_OK;
}

/* What is row-major [rows, columns] here is column-major [columns, rows] there. */
static aur_status describe_matrix(
	const char *who, cublasLtMatrixLayout_t *layout, int32_t type, int64_t rows, int64_t columns, int64_t pitch)
{
	return aur_cublas_check(cublasLtMatrixLayoutCreate(layout, data_type(type), static_cast<uint64_t>(columns),
								static_cast<uint64_t>(rows), pitch),
		who);
}

aur_status aur_product_describe(const char *who, struct aur_product_plan *plan)
{
	const struct aur_product_key *key = &plan->key;
	AUR_TRY(describe_operation(who, plan));
	AUR_TRY(describe_matrix(
		who, &plan->a, key->type, key->transpose_b ? key->n : key->k, key->transpose_b ? key->k : key->n, key->ldb));
	AUR_TRY(describe_matrix(
		who, &plan->b, key->type, key->transpose_a ? key->k : key->m, key->transpose_a ? key->m : key->k, key->lda));
	return describe_matrix(who, &plan->c, key->c_type, key->m, key->n, key->ldc);
}

aur_status aur_product_point_at_bias(const char *who, const struct aur_product_plan *plan, const void *bias)
{
	if (!bias)
		return AUR_OK;
	return aur_cublas_check(
		cublasLtMatmulDescSetAttribute(plan->description, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof bias), who);
}

static void free_descriptors(struct aur_product_plan *plan)
{
	const cublasLtMatrixLayout_t layouts[] = {plan->a, plan->b, plan->c};
	for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++)
		if (layouts[i])
			(void)cublasLtMatrixLayoutDestroy(layouts[i]);
	if (plan->description)
		(void)cublasLtMatmulDescDestroy(plan->description);
	plan->description = NULL;
	plan->a = plan->b = plan->c = NULL;
}

void aur_product_forget(struct aur_product_plan *plan)
{
	free_descriptors(plan);
	plan->used = 0;
}

static aur_status set_preference(const char *who, cublasLtMatmulPreference_t preference,
	cublasLtMatmulPreferenceAttributes_t attribute, int32_t value)
{
	const uint32_t number = static_cast<uint32_t>(value);
	return aur_cublas_check(cublasLtMatmulPreferenceSetAttribute(preference, attribute, &number, sizeof number), who);
}

/* Parts of a sum over k that is split are added in fp32 from the workspace, in a fixed order: the other schemes add in
 * the output, where each addition would round to bf16. */
static aur_status prefer(const char *who, const struct aur_product_plan *plan, cublasLtMatmulPreference_t preference)
{
	const struct aur_product_key *key = &plan->key;
	const uint64_t workspace = AUR_CUBLAS_WORKSPACE;
	AUR_TRY(aur_cublas_check(cublasLtMatmulPreferenceSetAttribute(
								 preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace, sizeof workspace),
		who));
	AUR_TRY(set_preference(
		who, preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
	AUR_TRY(set_preference(who, preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, key->align_b));
	AUR_TRY(set_preference(who, preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, key->align_a));
	AUR_TRY(set_preference(who, preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, key->align_c));
	return set_preference(who, preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, key->align_c);
}

int aur_product_is_refusal(cublasStatus_t status)
{
	return status == CUBLAS_STATUS_NOT_SUPPORTED || status == CUBLAS_STATUS_INVALID_VALUE ||
		   status == CUBLAS_STATUS_ARCH_MISMATCH;
}

static aur_status ask(
	struct aur_cuda *cuda, const char *who, const struct aur_product_plan *plan, struct aur_product_candidates *found)
{
	cublasLtMatmulPreference_t preference = NULL;
	found->count = 0;
	AUR_TRY(aur_cublas_check(cublasLtMatmulPreferenceCreate(&preference), who));
	aur_status status = prefer(who, plan, preference);
	if (status == AUR_OK) {
		const cublasStatus_t answer = cublasLtMatmulAlgoGetHeuristic(cuda->cublas, plan->description, plan->a, plan->b,
			plan->c, plan->c, preference, AUR_PRODUCT_CANDIDATES, found->results, &found->count);
		found->count = answer == CUBLAS_STATUS_SUCCESS ? found->count : 0;
		status = aur_product_is_refusal(answer) ? AUR_OK : aur_cublas_check(answer, who);
	}
	(void)cublasLtMatmulPreferenceDestroy(preference);
	return status;
}

aur_status aur_product_check(struct aur_cuda *cuda, const char *who, const struct aur_product_plan *plan,
	const cublasLtMatmulAlgo_t *algorithm, int *works)
{
	cublasLtMatmulHeuristicResult_t result = {}; /* `state` is documented for the heuristic's answers alone */
	const cublasStatus_t answer = cublasLtMatmulAlgoCheck(
		cuda->cublas, plan->description, plan->a, plan->b, plan->c, plan->c, algorithm, &result);
	*works = answer == CUBLAS_STATUS_SUCCESS && result.state == CUBLAS_STATUS_SUCCESS &&
			 result.workspaceSize <= AUR_CUBLAS_WORKSPACE;
	return aur_product_is_refusal(answer) ? AUR_OK : aur_cublas_check(answer, who);
}

/* What passes the library's check may still be refused when it is run, so it is run where twice is as good as once. */
static aur_status try_algorithm(struct aur_cuda *cuda, const char *who, const struct aur_product_plan *plan,
	const cublasLtMatmulAlgo_t *algorithm, const struct aur_product_operands *operands, int *works)
{
	AUR_TRY(aur_product_check(cuda, who, plan, algorithm, works));
	if (!*works || plan->key.accumulate || plan == &cuda->products->spare || aur_product_is_captured(cuda))
		return AUR_OK;
	int refused = 0;
	AUR_TRY(aur_product_run(cuda, who, plan, algorithm, operands, &refused));
	*works = !refused;
	return AUR_OK;
}

/* -1: none works. */
static aur_status first_that_works(struct aur_cuda *cuda, const char *who, const struct aur_product_plan *plan,
	const struct aur_product_candidates *found, const struct aur_product_operands *operands, int *first)
{
	*first = -1;
	for (int i = 0; i < found->count; i++) {
		int works = 0;
		if (found->results[i].state == CUBLAS_STATUS_SUCCESS)
			AUR_TRY(try_algorithm(cuda, who, plan, &found->results[i].algo, operands, &works));
		if (works) {
			*first = i;
			return AUR_OK;
		}
	}
	return AUR_OK;
}

/* *served is 0 when none of the candidates runs. */
static aur_status choose_algorithm(struct aur_cuda *cuda, const char *who, struct aur_product_plan *plan,
	const struct aur_product_candidates *found, const struct aur_cuda_product *product, int *served)
{
	const struct aur_product_operands operands = {product->a, product->b, product->c, product->c, product->bias};
	int best = -1, measured = 0;
	*served = 0;
	if (found->count == 0)
		return AUR_OK;
	if (found->count > 1 && aur_product_may_measure(cuda, plan))
		AUR_TRY(aur_product_measure(cuda, who, plan, found, operands, &measured, &best));
	if (!measured)
		AUR_TRY(first_that_works(cuda, who, plan, found, &operands, &best));
	*served = best >= 0;
	if (*served)
		plan->algorithm = found->results[best].algo;
	return AUR_OK;
}

/* Whether cuBLASLt serves the product; when it does, the plan is complete. The heuristic and the check read the bias's
 * alignment from its pointer. */
static aur_status try_library(struct aur_cuda *cuda, const char *who, struct aur_product_plan *plan,
	const struct aur_cuda_product *product, int *served)
{
	struct aur_product_candidates found;
	AUR_TRY(aur_product_describe(who, plan));
	AUR_TRY(aur_product_point_at_bias(who, plan, product->bias));
	AUR_TRY(ask(cuda, who, plan, &found));
	AUR_TRY(choose_algorithm(cuda, who, plan, &found, product, served));
	if (!*served)
		free_descriptors(plan);
	return AUR_OK;
}

aur_status aur_product_choose(
	struct aur_cuda *cuda, const char *who, struct aur_product_plan *plan, const struct aur_cuda_product *product)
{
	int served = 0;
	if (!product->bias || plan->key.bias >= AUR_PRODUCT_BIAS_ALIGNMENT)
		AUR_TRY(try_library(cuda, who, plan, product, &served));
	plan->form = served ? AUR_PRODUCT_LIBRARY : AUR_PRODUCT_OWN;
	return AUR_OK;
}
