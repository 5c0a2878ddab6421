#ifndef AUR_CUDA_INTERNAL_CUH
#define AUR_CUDA_INTERNAL_CUH

/* Inside of the CUDA backend, for the files of operations. */

extern "C" {
#include "backend/backend.h"
#include "backend/check.h"
}

#include "launch.cuh"

#include <cublasLt.h>
#include <stddef.h>
#include <stdint.h>

/* What cuBLASLt may use of its own, a constant: bits depend on it. */
enum { AUR_CUBLAS_WORKSPACE = 32 << 20 };

/* Compute capability 8.0: bf16 in tensor cores. */
enum { AUR_LEAST_CAPABILITY = 80 };

struct aur_cuda_products; /* product.cu: descriptors and algorithms by shape */
struct aur_cuda_staging;  /* memory.cuh: pinned memory */
struct aur_cudnn_attention;

struct aur_cuda {
	struct aur_backend base; /* first, so that the handle is this struct */
	int device;
	int multiprocessors;
	size_t shared_bytes; /* the most shared memory that a block may ask for */
	int capability;      /* 90 for 9.0 */
	cudaStream_t stream; /* of all operations */
	struct aur_backend_limits limits;
	size_t scratch_bytes; /* as reserved */
	char *scratch;        /* owned, device memory, 256-byte aligned; one operation at a time uses it, from its start */
	int32_t *fault; /* owned, device: 0, or what a kernel found wrong (enum aur_cuda_fault); read by synchronise */
	cublasLtHandle_t cublas;
	void *cublas_workspace; /* owned, device, AUR_CUBLAS_WORKSPACE bytes */
	struct aur_cuda_products *products;
	struct aur_cuda_staging *staging;
	struct aur_cudnn_attention *cudnn; /* owned, attention_choice.cu; NULL: not asked for, or not there */
	int cudnn_deterministic;           /* what it was opened for */
	int cudnn_serves; /* 1: its attention gave what the own kernels give, and computes the shape of `limits` */
};

/* What a kernel can find wrong with numbers that the host has not seen: X(name, text). A kernel that finds it writes
 * the code to `fault` and goes on without touching wild memory; synchronise() then fails with AUR_INPUT and the text.
 */
#define AUR_FAULT_TABLE(X)                                                                                             \
	X(AUR_FAULT_NONE, "")                                                                                              \
	X(AUR_FAULT_EMBEDDING_TOKEN, "embedding_forward: a token")                                                         \
	X(AUR_FAULT_EMBEDDING_BACKWARD_TOKEN, "embedding_backward: a token")                                               \
	X(AUR_FAULT_TABLE_TOKEN, "table_loss: a token")                                                                    \
	X(AUR_FAULT_TABLE_TARGET, "table_loss: a target")                                                                  \
	X(AUR_FAULT_HEAD_TARGET, "head_loss: a target")

#define AUR_FAULT_MEMBER(name, text) name,
enum aur_cuda_fault { AUR_FAULT_TABLE(AUR_FAULT_MEMBER) AUR_FAULT_COUNT };
#undef AUR_FAULT_MEMBER

static inline struct aur_cuda *aur_cuda_of(struct aur_backend *backend)
{
	return reinterpret_cast<struct aur_cuda *>(backend);
}

/* backend.cu: how many devices there are, at least one; AUR_ON_DEVICE with what is wrong else. */
aur_status aur_cuda_count_devices(int *count);

/* graph.cu, marks.cu: what `graphs` and `marks` are; NULL with AURELIUS_GRAPHS=off, and without NVTX's headers. */
const struct aur_backend_graphs *aur_cuda_graphs(void);
const struct aur_backend_marks *aur_cuda_marks(void);

/* survey.cu */
void aur_cuda_survey(struct aur_survey *survey);

/* streams.cu: what `streams` of the backend is. */
extern const struct aur_backend_streams aur_cuda_streams;

/* product_text.cu: what `choices` is. */
extern const struct aur_backend_choices aur_cuda_choices;

/* error.cu: AUR_OK, or the device's error with CUDA's own text, `who: ...`; AUR_MEMORY when memory ran out, else
 * AUR_ON_DEVICE. */
aur_status aur_cuda_check(cudaError_t error, const char *who);
aur_status aur_cublas_check(cublasStatus_t status, const char *who);

/* More shared memory than 48 KB has to be allowed, once for a kernel and device: `bytes` has to be the same at each
 * call for a kernel, the first alone counts. */
template <auto KERNEL>
static inline aur_status aur_cuda_allow_shared(const aur_cuda *cuda, const char *who, size_t bytes)
{
	static int device = -1;
	if (device == cuda->device)
		return AUR_OK;
	AUR_TRY(aur_cuda_check(cudaFuncSetAttribute(reinterpret_cast<const void *>(KERNEL),
							   cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)),
		who));
	device = cuda->device;
	return AUR_OK;
}

/* Fails with AUR_SHAPE when more scratch memory is needed than reserve() sized. */
aur_status aur_cuda_check_scratch(const struct aur_cuda *cuda, const char *who, size_t bytes);

/* The operations of backend.h, one .cu each, named as the twin in src/cpu. */
aur_status aur_embedding_forward_cuda(struct aur_backend *, const struct aur_embedding_forward *);
aur_status aur_embedding_backward_cuda(struct aur_backend *, const struct aur_embedding_backward *);
aur_status aur_residual_norm_forward_cuda(struct aur_backend *, const struct aur_residual_norm_forward *);
aur_status aur_residual_norm_backward_cuda(struct aur_backend *, const struct aur_residual_norm_backward *);
aur_status aur_linear_forward_cuda(struct aur_backend *, const struct aur_linear_forward *);
aur_status aur_linear_backward_cuda(struct aur_backend *, const struct aur_linear_backward *);
aur_status aur_activation_forward_cuda(struct aur_backend *, const struct aur_activation_forward *);
aur_status aur_activation_backward_cuda(struct aur_backend *, const struct aur_activation_backward *);
aur_status aur_attention_forward_cuda(struct aur_backend *, const struct aur_attention_forward *);
aur_status aur_attention_backward_cuda(struct aur_backend *, const struct aur_attention_backward *);
aur_status aur_attention_cached_cuda(struct aur_backend *, const struct aur_attention_cached *);
aur_status aur_head_loss_cuda(struct aur_backend *, const struct aur_head_loss *);
aur_status aur_table_loss_cuda(struct aur_backend *, const struct aur_table_loss *);
aur_status aur_adamw_cuda(struct aur_backend *, const struct aur_adamw *);
aur_status aur_sum_of_squares_cuda(struct aur_backend *, const struct aur_sum_of_squares *);
aur_status aur_clip_cuda(struct aur_backend *, const struct aur_clip *);
aur_status aur_tree_add_cuda(struct aur_backend *, const struct aur_tree_add *);
aur_status aur_cast_cuda(struct aur_backend *, const struct aur_cast *);

/* Scratch memory each file needs for the model's largest shapes, in bytes (scratch.cu takes the largest). */
size_t aur_embedding_scratch_cuda(const struct aur_backend_limits *limits);
size_t aur_residual_norm_scratch_cuda(const struct aur_backend_limits *limits);
size_t aur_linear_scratch_cuda(const struct aur_backend_limits *limits);
size_t aur_attention_scratch_cuda(const struct aur_backend_limits *limits);
size_t aur_head_loss_scratch_cuda(const struct aur_backend_limits *limits);
size_t aur_table_loss_scratch_cuda(const struct aur_backend_limits *limits);
size_t aur_adamw_scratch_cuda(const struct aur_backend_limits *limits);
size_t aur_clip_scratch_cuda(const struct aur_backend_limits *limits);

/* product.cu: C = alpha A B (+ C) by cuBLASLt, row-major as everywhere here; the algorithm is chosen once per shape. */
struct aur_cuda_product {
	int transpose_a, transpose_b; /* A is [k,m], B is [n,k] */
	int64_t m, n, k;
	const void *a, *b;
	void *c;
	int64_t lda, ldb, ldc; /* elements from one row to the next */
	enum aur_dtype type;   /* of A and B: fp32 or bf16; accumulated in fp32 */
	enum aur_dtype c_type; /* of C */
	int accumulate;        /* C += */
	const void *bias;      /* [n] of C's type, added to each row; NULL: none. Not together with `accumulate` */
};

/* Where the library's kernels may read a bias. One that lies elsewhere is served too, by our own kernel, which is far
 * slower. */
enum { AUR_PRODUCT_BIAS_ALIGNMENT = 16 };

/* C may not overlap A or B. The sum and the bias are added in fp32, a bf16 C is rounded once. The first product of a
 * shape may run several times, and waits for the GPU where algorithms are measured (choices.h); later ones are
 * asynchronous on the compute stream. No scratch memory is used. */
aur_status aur_cuda_multiply(struct aur_cuda *cuda, const char *who, const struct aur_cuda_product *product);
aur_status aur_cuda_products_create(struct aur_cuda *cuda);
void aur_cuda_products_destroy(struct aur_cuda *cuda);

/* sequence_losses.cu: loss[b] = sum over t, ascending, of row_loss[b * positions + t]; device memory. */
aur_status aur_cuda_sum_sequences(const struct aur_cuda *cuda, const char *who, const double *row_loss,
	int64_t sequences, int64_t positions, double *loss);

/* column_sums.cu: sums[j] += sum over rows of x[i * pitch + j], in a fixed order; x fp32 or bf16, device memory.
 * `partial` is scratch of aur_cuda_column_sums_bytes(rows, columns). */
size_t aur_cuda_column_sums_bytes(int64_t rows, int64_t columns);
aur_status aur_cuda_column_sums(struct aur_cuda *cuda, const char *who, const void *x, enum aur_dtype type,
	int64_t rows, int64_t columns, int64_t pitch, float *sums, void *partial);

#endif
