#ifndef AUR_CUDA_HEAD_ROWS_CUH
#define AUR_CUDA_HEAD_ROWS_CUH

#include "internal.cuh"

/* What the head does with rows of logits, between its products. */
struct aur_head_rows {
	float *logits;                        /* [rows, pitch], 16-byte aligned, pitch a multiple of 8 */
	int64_t rows, columns, padded, pitch; /* padded: columns of gradients, those beyond `columns` zero */
	const int32_t *targets;
	double *row_loss;
	float scale;
	int with_gradient;
	enum aur_dtype gradient; /* fp32 or bf16 */
};

/* row_loss[i] = -log softmax(x_i)[target_i], and with a gradient x_i = (softmax(x_i) - onehot(target_i)) * scale where
 * it lies; bf16 takes the first half of a row's place. */
aur_status aur_cuda_head_rows(struct aur_cuda *cuda, const char *who, const struct aur_head_rows *rows);

#endif
