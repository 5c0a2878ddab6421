#include "product.cuh"

#include <string.h>

/* Algorithms that are tried, and runs of each that are timed after one that warms up. */
enum { CANDIDATES = 8, RUNS = 5 };

/* A later suggestion of the heuristic is taken only when it is faster by this factor: what differs by less is noise,
 * and the first is the same on every machine of a kind. */
static const float clearly_faster = 0.97f;

static cudaDataType_t data_type(int32_t type)
{
	return type == AUR_BF16 ? CUDA_R_16BF : CUDA_R_32F;
}

static size_t element_bytes(int32_t type)
{
	return aur_dtype_bytes(static_cast<enum aur_dtype>(type));
}

static aur_status set_attribute(
	const char *who, cublasLtMatmulDesc_t description, cublasLtMatmulDescAttributes_t attribute, int32_t value)
{
	return aur_cublas_check(cublasLtMatmulDescSetAttribute(description, attribute, &value, sizeof value), who);
}

/* The bias's type is left alone where it is the output's, the default. The pointer is set before the heuristic is
 * asked, which reads its alignment. */
static aur_status describe_bias(const char *who, const struct aur_product_plan *plan)
{
	AUR_TRY(set_attribute(who, plan->description, CUBLASLT_MATMUL_DESC_EPILOGUE, CUBLASLT_EPILOGUE_BIAS));
	if (plan->form == AUR_PRODUCT_LIBRARY && plan->key.c_type == AUR_BF16)
		AUR_TRY(set_attribute(who, plan->description, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE, CUDA_R_32F));
	return AUR_OK;
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
	return key->bias ? describe_bias(who, plan) : AUR_OK;
}

/* What is row-major [rows, columns] here is column-major [columns, rows] there. */
static aur_status describe_matrix(
	const char *who, cublasLtMatrixLayout_t *layout, int32_t type, int64_t rows, int64_t columns, int64_t pitch)
{
	return aur_cublas_check(cublasLtMatrixLayoutCreate(layout, data_type(type), static_cast<uint64_t>(columns),
								static_cast<uint64_t>(rows), pitch),
		who);
}

static aur_status set_batch(const char *who, cublasLtMatrixLayout_t layout, int64_t batches, int64_t stride)
{
	const int32_t count = static_cast<int32_t>(batches);
	AUR_TRY(aur_cublas_check(
		cublasLtMatrixLayoutSetAttribute(layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count, sizeof count), who));
	return aur_cublas_check(
		cublasLtMatrixLayoutSetAttribute(layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &stride, sizeof stride),
		who);
}

static aur_status set_batches(const char *who, const struct aur_product_plan *plan, int64_t rows)
{
	const struct aur_product_key *key = &plan->key;
	const int64_t batches = key->m / rows;
	AUR_TRY(set_batch(who, plan->a, batches, 0));
	AUR_TRY(set_batch(who, plan->b, batches, rows * key->lda));
	AUR_TRY(set_batch(who, plan->c, batches, 0));
	return set_batch(who, plan->d, batches, rows * key->ldc);
}

aur_status aur_product_describe(const char *who, struct aur_product_plan *plan)
{
	const struct aur_product_key *key = &plan->key;
	const int split = plan->form == AUR_PRODUCT_SPLIT;
	const int64_t rows = split ? aur_product_split_rows(key->m) : key->m;
	AUR_TRY(describe_operation(who, plan));
	AUR_TRY(describe_matrix(
		who, &plan->a, key->type, key->transpose_b ? key->n : key->k, key->transpose_b ? key->k : key->n, key->ldb));
	AUR_TRY(describe_matrix(
		who, &plan->b, key->type, key->transpose_a ? key->k : rows, key->transpose_a ? rows : key->k, key->lda));
	AUR_TRY(describe_matrix(who, &plan->c, key->c_type, rows, key->n, split ? key->n : key->ldc));
	AUR_TRY(describe_matrix(who, &plan->d, key->c_type, rows, key->n, key->ldc));
	return split ? set_batches(who, plan, rows) : AUR_OK;
}

static void free_descriptors(struct aur_product_plan *plan)
{
	const cublasLtMatrixLayout_t layouts[] = {plan->a, plan->b, plan->c, plan->d};
	for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++)
		if (layouts[i])
			(void)cublasLtMatrixLayoutDestroy(layouts[i]);
	if (plan->description)
		(void)cublasLtMatmulDescDestroy(plan->description);
	plan->description = NULL;
	plan->a = plan->b = plan->c = plan->d = NULL;
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
	AUR_TRY(set_preference(who, preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
		plan->form == AUR_PRODUCT_SPLIT ? 256 : key->align_c));
	return set_preference(who, preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, key->align_c);
}

struct candidates {
	cublasLtMatmulHeuristicResult_t results[CANDIDATES];
	int count; /* 0: cuBLASLt does not serve this */
};

/* Refusing is no failure: the next form is tried. */
static aur_status ask(
	struct aur_cuda *cuda, const char *who, const struct aur_product_plan *plan, struct candidates *found)
{
	cublasLtMatmulPreference_t preference = NULL;
	found->count = 0;
	AUR_TRY(aur_cublas_check(cublasLtMatmulPreferenceCreate(&preference), who));
	aur_status status = prefer(who, plan, preference);
	if (status == AUR_OK) {
		const cublasStatus_t answer = cublasLtMatmulAlgoGetHeuristic(cuda->cublas, plan->description, plan->a, plan->b,
			plan->c, plan->d, preference, CANDIDATES, found->results, &found->count);
		const int refused = answer == CUBLAS_STATUS_NOT_SUPPORTED || answer == CUBLAS_STATUS_INVALID_VALUE ||
							answer == CUBLAS_STATUS_ARCH_MISMATCH;
		found->count = answer == CUBLAS_STATUS_SUCCESS ? found->count : 0;
		status = refused ? AUR_OK : aur_cublas_check(answer, who);
	}
	(void)cublasLtMatmulPreferenceDestroy(preference);
	return status;
}

/* Timing needs events and a wait, which a stream that is being captured does not have; the first suggestion is then
 * taken, so a shape should have run once before. */
static int may_measure(const struct aur_cuda *cuda, const struct aur_product_plan *plan)
{
#ifdef AURELIUS_EMULATED
	(void)cuda, (void)plan;
	return 0;
#else
	cudaStreamCaptureStatus capture = cudaStreamCaptureStatusActive;
	const cudaError_t error = cudaStreamIsCapturing(cuda->stream, &capture);
	return cuda->products->measure && plan != &cuda->products->spare && error == cudaSuccess &&
		   capture == cudaStreamCaptureStatusNone;
#endif
}

struct stopwatch {
	cudaEvent_t start, stop;
};

static aur_status take_time(struct aur_cuda *cuda, const char *who, const struct aur_product_plan *plan,
	const cublasLtMatmulAlgo_t *algorithm, const struct aur_product_operands *operands, struct stopwatch watch,
	float *milliseconds)
{
	AUR_TRY(aur_product_run(cuda, who, plan, algorithm, operands));
	AUR_TRY(aur_cuda_check(cudaEventRecord(watch.start, cuda->stream), who));
	for (int i = 0; i < RUNS; i++)
		AUR_TRY(aur_product_run(cuda, who, plan, algorithm, operands));
	AUR_TRY(aur_cuda_check(cudaEventRecord(watch.stop, cuda->stream), who));
	AUR_TRY(aur_cuda_check(cudaEventSynchronize(watch.stop), who));
	return aur_cuda_check(cudaEventElapsedTime(milliseconds, watch.start, watch.stop), who);
}

/* An algorithm that the library then refuses to run is passed over; a failure of the device shows at the wait of the
 * next one, or at the next operation. */
static int fastest(struct aur_cuda *cuda, const char *who, const struct aur_product_plan *plan,
	const struct candidates *found, const struct aur_product_operands *operands, struct stopwatch watch)
{
	int best = 0;
	float best_time = 3.4e38f;
	for (int i = 0; i < found->count; i++) {
		float time = 0.0f;
		if (found->results[i].state != CUBLAS_STATUS_SUCCESS ||
			take_time(cuda, who, plan, &found->results[i].algo, operands, watch, &time) != AUR_OK) {
			aur_error_clear();
			continue;
		}
		if (time < best_time * clearly_faster) {
			best = i;
			best_time = time;
		}
	}
	return best;
}

/* A product that accumulates may not run several times into its output. It is timed into memory taken for this moment
 * alone; where there is none to spare the first suggestion is good enough. */
static int take_spare_output(const struct aur_product_plan *plan, void **spare)
{
	const struct aur_product_key *key = &plan->key;
	const size_t bytes = static_cast<size_t>((key->m - 1) * key->ldc + key->n) * element_bytes(key->c_type);
	if (cudaMalloc(spare, bytes) == cudaSuccess)
		return 1;
	(void)cudaGetLastError(); /* forgotten: the next check would find it */
	*spare = NULL;
	return 0;
}

static aur_status measure(struct aur_cuda *cuda, const char *who, const struct aur_product_plan *plan,
	const struct candidates *found, struct aur_product_operands operands, int *best)
{
	struct stopwatch watch = {NULL, NULL};
	void *spare = NULL;
	if (plan->key.accumulate && !take_spare_output(plan, &spare))
		return AUR_OK;
	if (spare)
		operands.d = spare;
	aur_status status = aur_cuda_check(cudaEventCreate(&watch.start), who);
	if (status == AUR_OK)
		status = aur_cuda_check(cudaEventCreate(&watch.stop), who);
	if (status == AUR_OK)
		*best = fastest(cuda, who, plan, found, &operands, watch);
	if (watch.stop)
		(void)cudaEventDestroy(watch.stop);
	if (watch.start)
		(void)cudaEventDestroy(watch.start);
	(void)cudaFree(spare);
	return status;
}

static aur_status choose_algorithm(struct aur_cuda *cuda, const char *who, struct aur_product_plan *plan,
	const struct candidates *found, const struct aur_cuda_product *product)
{
	struct aur_product_operands operands = {product->a, product->b, product->c, product->c, product->bias};
	int best = 0;
	if (found->count > 1 && may_measure(cuda, plan)) {
		if (plan->form == AUR_PRODUCT_SPLIT)
			AUR_TRY(aur_product_split_bias(cuda, who, product, &operands));
		AUR_TRY(measure(cuda, who, plan, found, operands, &best));
	}
	plan->algorithm = found->results[best].algo;
	return AUR_OK;
}

/* Whether cuBLASLt serves the product in this form; when it does, the plan is complete. */
static aur_status try_form(struct aur_cuda *cuda, const char *who, struct aur_product_plan *plan,
	enum aur_product_form form, const struct aur_cuda_product *product, int *served)
{
	struct candidates found;
	plan->form = form;
	AUR_TRY(aur_product_describe(who, plan));
	if (product->bias)
		AUR_TRY(aur_cublas_check(cublasLtMatmulDescSetAttribute(plan->description, CUBLASLT_MATMUL_DESC_BIAS_POINTER,
									 &product->bias, sizeof product->bias),
			who));
	AUR_TRY(ask(cuda, who, plan, &found));
	*served = found.count > 0;
	if (*served)
		return choose_algorithm(cuda, who, plan, &found, product);
	free_descriptors(plan);
	return AUR_OK;
}

aur_status aur_product_choose(
	struct aur_cuda *cuda, const char *who, struct aur_product_plan *plan, const struct aur_cuda_product *product)
{
	const int rounded = product->bias && product->c_type == AUR_BF16;
	int served = 0;
	AUR_TRY(try_form(cuda, who, plan, AUR_PRODUCT_LIBRARY, product, &served));
	if (!served && rounded && aur_product_split_rows(product->m) && product->n % 8 == 0)
		AUR_TRY(try_form(cuda, who, plan, AUR_PRODUCT_SPLIT, product, &served));
	if (!served)
		plan->form = rounded ? AUR_PRODUCT_ROUNDED : AUR_PRODUCT_OWN;
	return AUR_OK;
}
