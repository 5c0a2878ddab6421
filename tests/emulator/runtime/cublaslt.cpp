#include "cublaslt.h"
#include "internal.h"

#include <stdlib.h>
#include <string.h>

/* cuBLASLt's calls by a plain product (cublaslt_product.cpp). It serves what the CUDA backend uses and answers
 * CUBLAS_STATUS_NOT_SUPPORTED to everything else, as cuBLASLt does where it has no kernel. */

static const uint64_t mark = 0x61757265;
enum { ALGORITHMS = 3, VERSION = CUBLAS_VERSION };

template <typename T> static T *in_place(void *memory)
{
	return static_cast<T *>(memory);
}

static const struct lt_layout *layout_of(cublasLtMatrixLayout_t layout)
{
	static_assert(sizeof(struct lt_layout) <= sizeof *layout, "descriptors lie in cuBLASLt's own");
	return in_place<const struct lt_layout>(layout);
}

static struct lt_description *description_of(cublasLtMatmulDesc_t description)
{
	static_assert(sizeof(struct lt_description) <= sizeof *description, "descriptors lie in cuBLASLt's own");
	return in_place<struct lt_description>(description);
}

static struct lt_preference *preference_of(cublasLtMatmulPreference_t preference)
{
	static_assert(sizeof(struct lt_preference) <= sizeof *preference, "descriptors lie in cuBLASLt's own");
	return in_place<struct lt_preference>(preference);
}

/* Copies an attribute of the size it is documented with. */
template <typename T> static cublasStatus_t set(T *member, const void *value, size_t size)
{
	if (!value || size != sizeof *member)
		return CUBLAS_STATUS_INVALID_VALUE;
	memcpy(member, value, size);
	return CUBLAS_STATUS_SUCCESS;
}

struct cublasLtContext {
	int open;
};

cublasStatus_t cublasLtCreate(cublasLtHandle_t *handle)
{
	*handle = new cublasLtContext{1};
	return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle)
{
	delete handle;
	return CUBLAS_STATUS_SUCCESS;
}

size_t cublasLtGetVersion(void)
{
	return VERSION;
}

const char *cublasLtGetStatusName(cublasStatus_t status)
{
	switch (status) {
	case CUBLAS_STATUS_SUCCESS:
		return "CUBLAS_STATUS_SUCCESS";
	case CUBLAS_STATUS_NOT_INITIALIZED:
		return "CUBLAS_STATUS_NOT_INITIALIZED";
	case CUBLAS_STATUS_ALLOC_FAILED:
		return "CUBLAS_STATUS_ALLOC_FAILED";
	case CUBLAS_STATUS_INVALID_VALUE:
		return "CUBLAS_STATUS_INVALID_VALUE";
	case CUBLAS_STATUS_EXECUTION_FAILED:
		return "CUBLAS_STATUS_EXECUTION_FAILED";
	case CUBLAS_STATUS_NOT_SUPPORTED:
		return "CUBLAS_STATUS_NOT_SUPPORTED";
	default:
		return "CUBLAS_STATUS_UNKNOWN";
	}
}

const char *cublasLtGetStatusString(cublasStatus_t status)
{
	return cublasLtGetStatusName(status);
}

cublasStatus_t cublasLtMatmulDescInit_internal(
	cublasLtMatmulDesc_t description, size_t size, cublasComputeType_t compute, cudaDataType_t scale)
{
	if (size != sizeof *description)
		return CUBLAS_STATUS_INVALID_VALUE;
	memset(description, 0, size);
	struct lt_description *made = description_of(description);
	made->compute = compute;
	made->scale = scale;
	made->transpose_a = made->transpose_b = CUBLAS_OP_N;
	made->epilogue = CUBLASLT_EPILOGUE_DEFAULT;
	made->bias_type = -1;
	made->pointer_mode = CUBLASLT_POINTER_MODE_HOST;
	return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescCreate(
	cublasLtMatmulDesc_t *description, cublasComputeType_t compute, cudaDataType_t scale)
{
	*description = new cublasLtMatmulDescOpaque_t;
	return cublasLtMatmulDescInit(*description, compute, scale);
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t description)
{
	delete description;
	return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescSetAttribute(
	cublasLtMatmulDesc_t description, cublasLtMatmulDescAttributes_t name, const void *value, size_t size)
{
	struct lt_description *of = description_of(description);
	switch (name) {
	case CUBLASLT_MATMUL_DESC_COMPUTE_TYPE:
		return set(&of->compute, value, size);
	case CUBLASLT_MATMUL_DESC_SCALE_TYPE:
		return set(&of->scale, value, size);
	case CUBLASLT_MATMUL_DESC_POINTER_MODE:
		return set(&of->pointer_mode, value, size);
	case CUBLASLT_MATMUL_DESC_TRANSA:
		return set(&of->transpose_a, value, size);
	case CUBLASLT_MATMUL_DESC_TRANSB:
		return set(&of->transpose_b, value, size);
	case CUBLASLT_MATMUL_DESC_EPILOGUE:
		return set(&of->epilogue, value, size);
	case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
		return set(&of->bias, value, size);
	case CUBLASLT_MATMUL_DESC_BIAS_BATCH_STRIDE:
		return set(&of->bias_stride, value, size);
	case CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE:
		return set(&of->bias_type, value, size);
	default:
		return CUBLAS_STATUS_NOT_SUPPORTED;
	}
}

cublasStatus_t cublasLtMatrixLayoutInit_internal(
	cublasLtMatrixLayout_t layout, size_t size, cudaDataType type, uint64_t rows, uint64_t columns, int64_t pitch)
{
	if (size != sizeof *layout)
		return CUBLAS_STATUS_INVALID_VALUE;
	memset(layout, 0, size);
	*in_place<struct lt_layout>(layout) = {type, CUBLASLT_ORDER_COL, rows, columns, pitch, 1, 0, 0};
	return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutCreate(
	cublasLtMatrixLayout_t *layout, cudaDataType type, uint64_t rows, uint64_t columns, int64_t pitch)
{
	*layout = new cublasLtMatrixLayoutOpaque_t;
	return cublasLtMatrixLayoutInit(*layout, type, rows, columns, pitch);
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t layout)
{
	delete layout;
	return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutSetAttribute(
	cublasLtMatrixLayout_t layout, cublasLtMatrixLayoutAttribute_t name, const void *value, size_t size)
{
	struct lt_layout *of = in_place<struct lt_layout>(layout);
	switch (name) {
	case CUBLASLT_MATRIX_LAYOUT_TYPE:
		return set(&of->type, value, size);
	case CUBLASLT_MATRIX_LAYOUT_ORDER:
		return set(&of->order, value, size);
	case CUBLASLT_MATRIX_LAYOUT_ROWS:
		return set(&of->rows, value, size);
	case CUBLASLT_MATRIX_LAYOUT_COLS:
		return set(&of->columns, value, size);
	case CUBLASLT_MATRIX_LAYOUT_LD:
		return set(&of->pitch, value, size);
	case CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT:
		return set(&of->batches, value, size);
	case CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET:
		return set(&of->batch_stride, value, size);
	default:
		return CUBLAS_STATUS_NOT_SUPPORTED;
	}
}

cublasStatus_t cublasLtMatmulPreferenceInit_internal(cublasLtMatmulPreference_t preference, size_t size)
{
	if (size != sizeof *preference)
		return CUBLAS_STATUS_INVALID_VALUE;
	memset(preference, 0, size);
	*preference_of(preference) = {0, {256, 256, 256, 256}, CUBLASLT_REDUCTION_SCHEME_MASK};
	return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *preference)
{
	*preference = new cublasLtMatmulPreferenceOpaque_t;
	return cublasLtMatmulPreferenceInit(*preference);
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference)
{
	delete preference;
	return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(
	cublasLtMatmulPreference_t preference, cublasLtMatmulPreferenceAttributes_t name, const void *value, size_t size)
{
	struct lt_preference *of = preference_of(preference);
	switch (name) {
	case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES:
		return set(&of->workspace, value, size);
	case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK:
		return set(&of->reductions, value, size);
	case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES:
		return set(&of->alignment[LT_A], value, size);
	case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES:
		return set(&of->alignment[LT_B], value, size);
	case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES:
		return set(&of->alignment[LT_C], value, size);
	case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES:
		return set(&of->alignment[LT_D], value, size);
	default:
		return CUBLAS_STATUS_NOT_SUPPORTED;
	}
}

/* The first suggestion is not the fastest. */
static const uint64_t workspaces[ALGORITHMS] = {1 << 16, 0, 1 << 20};
static const double milliseconds[ALGORITHMS] = {0.3, 0.1, 0.2};

/* AURELIUS_EMULATOR_ALGORITHM: 0 to 2, the one that is suggested first, as timing would find another the fastest. The
 * last gives other bits. */
static int first_algorithm(void)
{
	const char *set = getenv("AURELIUS_EMULATOR_ALGORITHM");
	return set && *set >= '0' && *set < '0' + ALGORITHMS ? *set - '0' : 0;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t description,
	cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
	cublasLtMatmulPreference_t preference, int asked, cublasLtMatmulHeuristicResult_t *results, int *found)
{
	const struct lt_layout *const layouts[] = {layout_of(a), layout_of(b), layout_of(c), layout_of(d)};
	const struct lt_preference *of = preference_of(preference);
	*found = 0;
	if (!handle || asked <= 0)
		return CUBLAS_STATUS_INVALID_VALUE;
	const cublasStatus_t status = lt_check(description_of(description), layouts);
	if (status != CUBLAS_STATUS_SUCCESS)
		return status;
	const int first = first_algorithm();
	for (int i = 0; i < ALGORITHMS && *found < asked; i++) {
		const int id = (first + i) % ALGORITHMS;
		if (workspaces[id] > of->workspace)
			continue;
		struct lt_algorithm made = {mark, workspaces[id], id, {}};
		memcpy(made.alignment, of->alignment, sizeof made.alignment);
		cublasLtMatmulHeuristicResult_t *result = &results[(*found)++];
		static_assert(sizeof made <= sizeof result->algo, "an algorithm lies in cuBLASLt's own");
		memset(result, 0, sizeof *result);
		memcpy(&result->algo, &made, sizeof made);
		result->workspaceSize = workspaces[id];
		result->wavesCount = 1.0f;
	}
	return *found ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
}

static int read_algorithm(const cublasLtMatmulAlgo_t *algorithm, struct lt_algorithm *read)
{
	memcpy(read, algorithm, sizeof *read);
	return read->mark == mark && read->id >= 0 && read->id < ALGORITHMS && read->workspace == workspaces[read->id];
}

cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t handle, cublasLtMatmulDesc_t description,
	cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
	const cublasLtMatmulAlgo_t *algorithm, cublasLtMatmulHeuristicResult_t *result)
{
	const struct lt_layout *const layouts[] = {layout_of(a), layout_of(b), layout_of(c), layout_of(d)};
	struct lt_algorithm read;
	if (!handle || !read_algorithm(algorithm, &read))
		return CUBLAS_STATUS_INVALID_VALUE;
	const cublasStatus_t status =
		inject_refusal("check", read.id) ? CUBLAS_STATUS_NOT_SUPPORTED : lt_check(description_of(description), layouts);
	memset(result, 0, sizeof *result);
	result->algo = *algorithm;
	result->workspaceSize = read.workspace;
	result->state = status;
	return status;
}

/* Bytes from the first element to behind the last, over all batches. */
static size_t extent(const struct lt_layout *layout)
{
	const size_t element = layout->type == CUDA_R_16BF ? 2 : 4;
	const uint64_t lines = layout->order == CUBLASLT_ORDER_COL ? layout->columns : layout->rows;
	const uint64_t length = layout->order == CUBLASLT_ORDER_COL ? layout->rows : layout->columns;
	const uint64_t before = static_cast<uint64_t>(layout->batch_stride) * static_cast<uint64_t>(layout->batches - 1);
	return (before + (lines - 1) * static_cast<uint64_t>(layout->pitch) + length) * element;
}

static int overlap(const void *a, size_t a_bytes, const void *b, size_t b_bytes)
{
	const uintptr_t x = reinterpret_cast<uintptr_t>(a), y = reinterpret_cast<uintptr_t>(b);
	return x < y + b_bytes && y < x + a_bytes;
}

/* What would be an illegal access, or undefined, on a device. */
static const char *find_wrong_memory(const struct lt_description *description,
	const struct lt_layout *const layouts[LT_OPERANDS], const void *const pointers[LT_OPERANDS], float beta,
	const struct lt_algorithm *algorithm)
{
	static const char *const outside[] = {"A lies outside of an allocation", "B lies outside of an allocation",
		"C lies outside of an allocation", "D lies outside of an allocation"};
	for (int i = 0; i < LT_OPERANDS; i++) {
		if (i == LT_C && beta == 0.0f)
			continue;
		const struct allocation *found = memory_find(pointers[i], extent(layouts[i]));
		if (!found || found->type != cudaMemoryTypeDevice)
			return outside[i];
		if (reinterpret_cast<uintptr_t>(pointers[i]) % algorithm->alignment[i])
			return "an operand is less aligned than the algorithm was asked for";
	}
	if ((description->epilogue & CUBLASLT_EPILOGUE_BIAS) && !memory_find(description->bias, layouts[LT_D]->rows * 2))
		return "the bias lies outside of an allocation";
	if ((description->epilogue & CUBLASLT_EPILOGUE_BIAS) && reinterpret_cast<uintptr_t>(description->bias) % 16)
		return "the bias is less aligned than 16 bytes";
	for (int i = LT_A; i <= LT_B; i++)
		if (overlap(pointers[LT_D], extent(layouts[LT_D]), pointers[i], extent(layouts[i])))
			return "D overlaps A or B";
	if (pointers[LT_C] == pointers[LT_D] && layouts[LT_C] != layouts[LT_D])
		return "C is D in place, and their descriptors differ";
	return nullptr;
}

static cublasStatus_t refuse(const char *what)
{
	message_set("cublasLtMatmul: %s", what);
	return CUBLAS_STATUS_INVALID_VALUE;
}

static int has_workspace(const void *workspace, size_t bytes, const struct lt_algorithm *algorithm)
{
	return algorithm->workspace == 0 ||
		   (bytes >= algorithm->workspace && memory_find(workspace, algorithm->workspace) != nullptr);
}

/* All that a product needs, so that it may come later: descriptors are the caller's again when its call returns. */
struct lt_multiplication {
	struct lt_description description;
	struct lt_layout layouts[LT_OPERANDS];
	struct lt_operands operands;
	void *workspace;
	struct lt_algorithm algorithm;
};

/* The workspace is used up as on a device: what lay there is lost. C in place of D is told by its descriptor. */
static void multiply(const struct lt_multiplication &all)
{
	const struct lt_layout *const layouts[] = {
		&all.layouts[LT_A], &all.layouts[LT_B], &all.layouts[LT_C], &all.layouts[LT_D]};
	if (all.algorithm.workspace > 0)
		memset(all.workspace, 0xff, all.algorithm.workspace);
	lt_multiply(&all.description, layouts, &all.operands);
	stream_spend(milliseconds[all.algorithm.id]);
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t description, const void *alpha,
	const void *a, cublasLtMatrixLayout_t a_layout, const void *b, cublasLtMatrixLayout_t b_layout, const void *beta,
	const void *c, cublasLtMatrixLayout_t c_layout, void *d, cublasLtMatrixLayout_t d_layout,
	const cublasLtMatmulAlgo_t *algorithm, void *workspace, size_t workspace_bytes, cudaStream_t stream)
{
	const std::lock_guard<std::recursive_mutex> guard(emulator_lock());
	const struct lt_layout *const layouts[] = {
		layout_of(a_layout), layout_of(b_layout), layout_of(c_layout), layout_of(d_layout)};
	const void *const pointers[] = {a, b, c, d};
	struct lt_algorithm read = {mark, 0, 1, {1, 1, 1, 1}};
	struct lt_operands operands = {a, b, c, d, 0, 0, 0};
	if (inject_failure("matmul"))
		error_set_sticky(cudaErrorIllegalAddress);
	if (error_sticky() != cudaSuccess)
		return CUBLAS_STATUS_EXECUTION_FAILED;
	if (!handle || !stream_is_known(stream) || (algorithm && !read_algorithm(algorithm, &read)))
		return refuse("no handle, stream or algorithm that it made");
	const cublasStatus_t status = lt_check(description_of(description), layouts);
	if (status != CUBLAS_STATUS_SUCCESS)
		return status;
	operands.backwards = read.id == ALGORITHMS - 1;
	if (inject_refusal("matmul", read.id))
		return CUBLAS_STATUS_NOT_SUPPORTED;
	memcpy(&operands.alpha, alpha, sizeof operands.alpha);
	memcpy(&operands.beta, beta, sizeof operands.beta);
	const char *wrong = find_wrong_memory(description_of(description), layouts, pointers, operands.beta, &read);
	if (wrong)
		return refuse(wrong);
	if (!has_workspace(workspace, workspace_bytes, &read))
		return refuse("less workspace than the algorithm needs");
	const struct lt_multiplication all = {*description_of(description),
		{*layouts[LT_A], *layouts[LT_B], *layouts[LT_C], *layouts[LT_D]}, operands, workspace, read};
	if (graph_records(stream, [all] { multiply(all); }))
		return CUBLAS_STATUS_SUCCESS;
	stream_ask(stream);
	multiply(all);
	return CUBLAS_STATUS_SUCCESS;
}
