#include "forward.h"
#include "libraries.h"

#include <cublasLt.h>

/* cuBLASLt, opened when a GPU is (libraries.h). */

#define NAME_OF(major) NAME_OF_(major)
#define NAME_OF_(major) "libcublasLt.so." #major
static const char library_name[] = NAME_OF(CUBLAS_VER_MAJOR);

static void *library;

aur_status aur_cublaslt_open(void)
{
	if (!library)
		library = dlopen(library_name, RTLD_NOW | RTLD_LOCAL);
	if (!library)
		return aur_fail(
			AUR_DEVICE, "cuda: cuBLASLt is missing: %s; install CUDA's libraries or set LD_LIBRARY_PATH", dlerror());
	return AUR_OK;
}

#define FORWARD(name, parameters, arguments)                                                                           \
	AUR_FORWARD(library, cublasStatus_t, name, parameters, arguments, CUBLAS_STATUS_NOT_INITIALIZED)

AUR_FORWARD(library, size_t, cublasLtGetVersion, (void), (), 0)
AUR_FORWARD(library, const char *, cublasLtGetStatusName, (cublasStatus_t status), (status), "cuBLASLt is not open")
AUR_FORWARD(library, const char *, cublasLtGetStatusString, (cublasStatus_t status), (status), "cuBLASLt is not open")
FORWARD(cublasLtCreate, (cublasLtHandle_t * handle), (handle))
FORWARD(cublasLtDestroy, (cublasLtHandle_t handle), (handle))

FORWARD(cublasLtMatmulDescInit_internal,
	(cublasLtMatmulDesc_t description, size_t size, cublasComputeType_t compute, cudaDataType_t scale),
	(description, size, compute, scale))
FORWARD(cublasLtMatmulDescCreate,
	(cublasLtMatmulDesc_t * description, cublasComputeType_t compute, cudaDataType_t scale),
	(description, compute, scale))
FORWARD(cublasLtMatmulDescDestroy, (cublasLtMatmulDesc_t description), (description))
FORWARD(cublasLtMatmulDescSetAttribute,
	(cublasLtMatmulDesc_t description, cublasLtMatmulDescAttributes_t name, const void *value, size_t size),
	(description, name, value, size))
FORWARD(cublasLtMatmulDescGetAttribute,
	(cublasLtMatmulDesc_t description, cublasLtMatmulDescAttributes_t name, void *value, size_t size, size_t *written),
	(description, name, value, size, written))

FORWARD(cublasLtMatrixLayoutInit_internal,
	(cublasLtMatrixLayout_t layout, size_t size, cudaDataType type, uint64_t rows, uint64_t columns, int64_t pitch),
	(layout, size, type, rows, columns, pitch))
FORWARD(cublasLtMatrixLayoutCreate,
	(cublasLtMatrixLayout_t * layout, cudaDataType type, uint64_t rows, uint64_t columns, int64_t pitch),
	(layout, type, rows, columns, pitch))
FORWARD(cublasLtMatrixLayoutDestroy, (cublasLtMatrixLayout_t layout), (layout))
FORWARD(cublasLtMatrixLayoutSetAttribute,
	(cublasLtMatrixLayout_t layout, cublasLtMatrixLayoutAttribute_t name, const void *value, size_t size),
	(layout, name, value, size))
FORWARD(cublasLtMatrixLayoutGetAttribute,
	(cublasLtMatrixLayout_t layout, cublasLtMatrixLayoutAttribute_t name, void *value, size_t size, size_t *written),
	(layout, name, value, size, written))

FORWARD(cublasLtMatmulPreferenceInit_internal, (cublasLtMatmulPreference_t preference, size_t size), (preference, size))
FORWARD(cublasLtMatmulPreferenceCreate, (cublasLtMatmulPreference_t * preference), (preference))
FORWARD(cublasLtMatmulPreferenceDestroy, (cublasLtMatmulPreference_t preference), (preference))
FORWARD(cublasLtMatmulPreferenceSetAttribute,
	(cublasLtMatmulPreference_t preference, cublasLtMatmulPreferenceAttributes_t name, const void *value, size_t size),
	(preference, name, value, size))

FORWARD(cublasLtMatmulAlgoGetHeuristic,
	(cublasLtHandle_t handle, cublasLtMatmulDesc_t description, cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
		cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d, cublasLtMatmulPreference_t preference, int asked,
		cublasLtMatmulHeuristicResult_t *results, int *found),
	(handle, description, a, b, c, d, preference, asked, results, found))
FORWARD(cublasLtMatmulAlgoInit,
	(cublasLtHandle_t handle, cublasComputeType_t compute, cudaDataType_t scale, cudaDataType_t a, cudaDataType_t b,
		cudaDataType_t c, cudaDataType_t d, int id, cublasLtMatmulAlgo_t *algorithm),
	(handle, compute, scale, a, b, c, d, id, algorithm))
FORWARD(cublasLtMatmulAlgoCheck,
	(cublasLtHandle_t handle, cublasLtMatmulDesc_t description, cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
		cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d, const cublasLtMatmulAlgo_t *algorithm,
		cublasLtMatmulHeuristicResult_t *result),
	(handle, description, a, b, c, d, algorithm, result))
FORWARD(cublasLtMatmulAlgoConfigGetAttribute,
	(const cublasLtMatmulAlgo_t *algorithm, cublasLtMatmulAlgoConfigAttributes_t name, void *value, size_t size,
		size_t *written),
	(algorithm, name, value, size, written))
FORWARD(cublasLtMatmulAlgoConfigSetAttribute,
	(cublasLtMatmulAlgo_t * algorithm, cublasLtMatmulAlgoConfigAttributes_t name, const void *value, size_t size),
	(algorithm, name, value, size))
FORWARD(cublasLtMatmul,
	(cublasLtHandle_t handle, cublasLtMatmulDesc_t description, const void *alpha, const void *a,
		cublasLtMatrixLayout_t a_layout, const void *b, cublasLtMatrixLayout_t b_layout, const void *beta,
		const void *c, cublasLtMatrixLayout_t c_layout, void *d, cublasLtMatrixLayout_t d_layout,
		const cublasLtMatmulAlgo_t *algorithm, void *workspace, size_t workspace_bytes, cudaStream_t stream),
	(handle, description, alpha, a, a_layout, b, b_layout, beta, c, c_layout, d, d_layout, algorithm, workspace,
		workspace_bytes, stream))
