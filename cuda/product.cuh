#ifndef AUR_CUDA_PRODUCT_CUH
#define AUR_CUDA_PRODUCT_CUH

/* Inside of the product_*.cu files: how C = A B (+ bias) (+ C) is computed for one shape, chosen once and kept. */

#include "internal.cuh"

/* A product has one of these forms, the first that is served. In both the bias has the type of the output, the one that
 * cuBLASLt has kernels for, and is added in fp32 before a bf16 result is rounded.
 *
 *   LIBRARY   one call of cuBLASLt; the bias, if any, in its epilogue
 *   OWN       the kernel of product_fallback.cu, for shapes that cuBLASLt refuses and for a bias that is not aligned:
 *             nothing is documented of how the library reads such a one
 *
 * The numbers are those of the text that checkpoints keep (choices.h). */
enum aur_product_form : int32_t {
	AUR_PRODUCT_LIBRARY = 0,
	AUR_PRODUCT_OWN = 4 /* 1 to 3 were forms of earlier versions */
};

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
	cublasLtMatmulDesc_t description; /* these are owned, NULL in OWN */
	cublasLtMatrixLayout_t a, b, c;   /* C's is D's too: where they are one, so must their descriptors be */
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

/* Pointers of one call of cuBLASLt, in our order. `c` is what is added where the product accumulates. */
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

/* product_choice.cu. aur_product_describe fills the descriptors; aur_product_choose decides form and algorithm for the
 * pointers of `product`. aur_product_point_at_bias tells the descriptors where it lies. aur_product_is_refusal: the
 * library does not do such a thing, which is no failure. aur_product_check asks it whether it can run an algorithm.
 * aur_product_forget frees descriptors and empties the place. */
int aur_product_is_refusal(cublasStatus_t status);
aur_status aur_product_check(struct aur_cuda *cuda, const char *who, const struct aur_product_plan *plan,
	const cublasLtMatmulAlgo_t *algorithm, int *works);
aur_status aur_product_describe(const char *who, struct aur_product_plan *plan);
aur_status aur_product_point_at_bias(const char *who, const struct aur_product_plan *plan, const void *bias);
aur_status aur_product_choose(
	struct aur_cuda *cuda, const char *who, struct aur_product_plan *plan, const struct aur_cuda_product *product);
void aur_product_forget(struct aur_product_plan *plan);

/* product_fallback.cu: any shape, pitch and alignment. */
aur_status aur_product_multiply_own(struct aur_cuda *cuda, const char *who, const struct aur_cuda_product *product);

#endif
