#ifndef AUR_CPU_GEMM_H
#define AUR_CPU_GEMM_H

#include "variant.h"

#include "core/dtype.h"

#include <stddef.h>
#include <stdint.h>

/* Matrix products, in the calling thread alone.
 *
 *   C = alpha op(A) op(B) [+ C] [+ bias]        op(A) [m,k], op(B) [k,n], C [m,n], bias [n] added to each row;
 * row-major
 *
 * A and B are both fp32 or both bf16, C either. lda, ldb, ldc are the row pitches of A, B and C as stored.
 *
 * Every element of C is the sum, in order, of one partial sum for each AUR_GEMM_DEPTH of k, and each partial sum one
 * chain of fused multiply-adds in the order of k (bf16 with the processor's own instruction: of pairs). So its bits
 * depend on k alone: not on m or n, nor on how a product is cut into blocks of rows and columns.
 */
enum {
	AUR_GEMM_DEPTH = 256,  /* steps of k in a partial sum; a step of bf16 is a pair */
	AUR_GEMM_WIDTH = 512,  /* columns of B packed at a time */
	AUR_GEMM_HEIGHT = 512, /* rows of C whose partial sums are kept aside while C is bf16 */
	AUR_GEMM_MOST_ROWS = 16,
	AUR_GEMM_GROUP = 18, /* panels of A packed at a time where A's rows lie across, at most */

	/* Floats of a packed panel of A. Panels begin a cache line more apart than they are large: written side by side,
	 * they would otherwise all want the same few places of a cache. */
	AUR_GEMM_PANEL = AUR_GEMM_DEPTH * AUR_GEMM_MOST_ROWS + 16,
};

/* Memory for packed operands, aligned to 64 bytes, of one thread: a block of B, panels of A, and, last, sums for bf16
 * C, which are not touched while C is fp32. */
#define AUR_GEMM_ROOM_OPERANDS                                                                                         \
	(sizeof(float) * (size_t)(AUR_GEMM_DEPTH * AUR_GEMM_WIDTH + AUR_GEMM_GROUP * AUR_GEMM_PANEL))
#define AUR_GEMM_ROOM (AUR_GEMM_ROOM_OPERANDS + sizeof(float) * (size_t)(AUR_GEMM_HEIGHT * AUR_GEMM_WIDTH))

struct aur_gemm {
	int transpose_a, transpose_b;
	int64_t m, n, k;
	float alpha;
	int accumulate;        /* 1: C is added to */
	enum aur_dtype type;   /* of A and B */
	enum aur_dtype c_type; /* of C */
	const void *a;
	int64_t lda;
	const void *b;
	int64_t ldb;
	void *c;
	int64_t ldc;
	const float *bias; /* NULL: none */
};

/* `room`: AUR_GEMM_ROOM bytes. Never allocates. k = 0 gives C = [C] + bias. */
void aur_gemm(const struct aur_gemm *product, void *room);

#endif
