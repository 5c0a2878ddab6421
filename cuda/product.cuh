#ifndef AUR_CUDA_PRODUCT_CUH
#define AUR_CUDA_PRODUCT_CUH

/* Inside of the product_*.cu files: how C = A B (+ bias) (+ C) is computed for one shape, chosen once and kept. */

#include "internal.cuh"

/* Biases are fp32 and a bf16 result is rounded once (backend.h), but cuBLASLt's bias has the type of its output: it
 * states no kernel for an fp32 bias with a bf16 output. So a product has one of these forms, the first that is served:
 *
 *   LIBRARY   one call; the bias, if any, in its epilogue, in fp32
 *   SPLIT     one call; bias = high + low, two bf16 numbers that together hold it to 2^-17 of its size: high goes into
 *             the epilogue, low comes as the input C of beta = 1, one row that all rows share (leading dimension 0)
 *   BATCHED   the same, rows in batches that share low as one small matrix (stride 0)
 *   ROUNDED   rows in chunks, fp32 into scratch memory, then one pass that adds the bias and rounds them
 *   OWN       the kernel of product_fallback.cu, for shapes that cuBLASLt refuses
 *
 * cublasLt.h wants leading dimensions that keep a matrix's elements apart; the documentation of cublasLtMatmul allows 0
 * for a C that is not D. Where the library does not keep to that, BATCHED does the same by what is allowed everywhere.
 */
enum aur_product_form : int32_t {
	AUR_PRODUCT_LIBRARY,
	AUR_PRODUCT_SPLIT,
	AUR_PRODUCT_BATCHED,
	AUR_PRODUCT_ROUNDED,
	AUR_PRODUCT_OWN
};

static inline int aur_product_splits(enum aur_product_form form)
{
	return form == AUR_PRODUCT_SPLIT || form == AUR_PRODUCT_BATCHED;
}

/* Less aligned, a bias is read by own kernels alone: nothing is documented of how the library's read it. */
enum { AUR_PRODUCT_BIAS_ALIGNMENT = 16 };

/* What a choice holds for. All bytes are set, so that keys compare as bytes. */
struct aur_product_key {
	int64_t m, n, k, lda, ldb, ldc;
	int32_t transpose_a, transpose_b, type, c_type, accumulate, bias, tf32;
	int32_t align_a, align_b, align_c; /* what the pointers are multiples of: 1, 2, 4, 8, 16 or 256 bytes */
};

/* cuBLASLt computes the transpose, whose columns are our rows: its A is our B, and the other way round. */
struct aur_product_plan {
	struct aur_product_key key;
	int used;
	enum aur_product_form form;
	cublasLtMatmulDesc_t description; /* these are owned, NULL in forms without cuBLASLt */
	cublasLtMatrixLayout_t a, b, d;
	cublasLtMatrixLayout_t c; /* NULL: D's. Where C is D, so must their descriptors be */
	cublasLtMatmulAlgo_t algorithm;
};

/* The shapes of a run are some twenty; a generator that is fed prompts of many lengths makes more. A shape that finds
 * the table full goes through `spare`, described anew each time and never timed. */
enum { AUR_PRODUCT_PLANS = 1024 };

struct aur_cuda_products {
	int count;
	int measure; /* 1: several algorithms are timed when a shape is first used. 0: the first that works is taken */
	struct aur_product_plan spare;
	struct aur_product_plan plans[AUR_PRODUCT_PLANS]; /* open addressing */
};

/* Pointers of one call of cuBLASLt, in our order. `c` is what is added with beta = 1. */
struct aur_product_operands {
	const void *a, *b, *c;
	void *d;
	const void *bias;
};

/* product.cu: the plan of a key, its place empty (used == 0) when there is none yet. */
struct aur_product_plan *aur_product_place(struct aur_cuda_products *products, const struct aur_product_key *key);
/* Fails when the library does not run it. In `refused` (may be NULL) 1: it does not do such a thing, nothing was
 * started, and AUR_OK is returned. */
aur_status aur_product_run(struct aur_cuda *cuda, const char *who, const struct aur_product_plan *plan,
	const cublasLtMatmulAlgo_t *algorithm, const struct aur_product_operands *operands, int *refused);

/* Suggestions of the heuristic. */
enum { AUR_PRODUCT_CANDIDATES = 8 };
struct aur_product_candidates {
	cublasLtMatmulHeuristicResult_t results[AUR_PRODUCT_CANDIDATES];
	int count; /* 0: cuBLASLt does not serve this */
};

/* product_measure.cu. Whether a plan may be measured: it is asked for, and the stream is not being captured, which has
 * neither events nor waits. aur_product_measure runs the candidates and takes the time; *best is the one to be used, -1
 * when none runs. Waits for the GPU. A product that accumulates is measured into memory of its own; where there is none
 * to spare *measured is 0. */
int aur_product_is_captured(const struct aur_cuda *cuda);
int aur_product_may_measure(const struct aur_cuda *cuda, const struct aur_product_plan *plan);
aur_status aur_product_measure(struct aur_cuda *cuda, const char *who, const struct aur_product_plan *plan,
	const struct aur_product_candidates *found, struct aur_product_operands operands, int *measured, int *best);

/* product_choice.cu. aur_product_describe fills the descriptors of plan->form; aur_product_choose decides form and
 * algorithm for the pointers of `product`. aur_product_is_refusal: the library does not do such a thing, which is no
 * failure. aur_product_check asks it whether it can run an algorithm. aur_product_forget frees descriptors and empties
 * the place. */
int aur_product_is_refusal(cublasStatus_t status);
aur_status aur_product_check(struct aur_cuda *cuda, const char *who, const struct aur_product_plan *plan,
	const cublasLtMatmulAlgo_t *algorithm, int *works);
aur_status aur_product_describe(const char *who, struct aur_product_plan *plan);
aur_status aur_product_choose(
	struct aur_cuda *cuda, const char *who, struct aur_product_plan *plan, const struct aur_cuda_product *product);
void aur_product_forget(struct aur_product_plan *plan);

/* product_bias.cu: rows of a batch, 0 when m has no such divisor; the operands of the forms that split a bias, prepared
 * in scratch memory, where the high part lies first; the ROUNDED form. */
int64_t aur_product_batch_rows(int64_t m);
aur_status aur_product_split_bias(struct aur_cuda *cuda, const char *who, enum aur_product_form form,
	const struct aur_cuda_product *product, struct aur_product_operands *operands);
aur_status aur_product_multiply_rounded(struct aur_cuda *cuda, const char *who, const struct aur_cuda_product *product);

/* product_fallback.cu: any shape, pitch and alignment. */
aur_status aur_product_multiply_own(struct aur_cuda *cuda, const char *who, const struct aur_cuda_product *product);

#endif
