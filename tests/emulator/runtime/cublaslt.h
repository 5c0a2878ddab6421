#ifndef AUR_EMULATOR_CUBLASLT_H
#define AUR_EMULATOR_CUBLASLT_H

/* What stands behind cuBLASLt's opaque descriptors in the emulator. */

#include <cublasLt.h>
#include <stdint.h>

struct lt_layout {
	int32_t type, order;
	uint64_t rows, columns;
	int64_t pitch;
	int32_t batches, mode;
	int64_t batch_stride;
};

struct lt_description {
	int32_t compute, scale;
	int32_t transpose_a, transpose_b;
	int32_t epilogue, bias_type; /* -1: the output's */
	const void *bias;
	int64_t bias_stride;
	int32_t pointer_mode;
};

enum { LT_A, LT_B, LT_C, LT_D, LT_OPERANDS };

struct lt_preference {
	uint64_t workspace;
	uint32_t alignment[LT_OPERANDS];
	uint32_t reductions;
};

/* What an algorithm was asked for: it may not be run with less. */
struct lt_algorithm {
	uint64_t mark;
	uint64_t workspace;
	int32_t id;
	uint32_t alignment[LT_OPERANDS];
};

/* The documented rules that do not depend on memory. NOT_SUPPORTED also stands for what cuBLASLt may do and this twin
 * does not. */
cublasStatus_t lt_check(const struct lt_description *description, const struct lt_layout *const layouts[LT_OPERANDS]);

struct lt_operands {
	const void *a, *b, *c;
	void *d;
	float alpha, beta;
	int backwards; /* along k */
};

/* cublaslt_product.cpp: computes all batches; accumulates in fp32, in the order of k or against it. */
void lt_multiply(const struct lt_description *description, const struct lt_layout *const layouts[LT_OPERANDS],
	const struct lt_operands *operands);

#endif
