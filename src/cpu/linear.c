#include "internal.h"
#include "product.h"

struct aur_cpu_scratch aur_linear_scratch(const struct aur_backend_limits *limits)
{
	(void)limits;
	return (struct aur_cpu_scratch){0, 0};
}

aur_status aur_linear_forward_cpu(struct aur_backend *backend, const struct aur_linear_forward *op)
{
	static const char name[] = "linear_forward";
	(void)backend;
	const int64_t n = aur_rows(&op->x);
	const int64_t inputs = aur_columns(&op->x);
	const int64_t outputs = aur_rows(&op->w);
	AUR_TRY(aur_check_matrix(name, "x", &op->x, AUR_F32, n, inputs));
	AUR_TRY(aur_check_matrix(name, "w", &op->w, AUR_F32, outputs, inputs));
	AUR_TRY(aur_check_matrix(name, "y", &op->y, AUR_F32, n, outputs));
	if (op->bias.data)
		AUR_TRY(aur_check_matrix(name, "bias", &op->bias, AUR_F32, 1, outputs));
	aur_cpu_product_blocks(&(struct aur_gemm){.transpose_b = 1,
							   .m = n,
							   .n = outputs,
							   .k = inputs,
							   .alpha = 1.0f,
							   .a = aur_f32(&op->x),
							   .lda = inputs,
							   .b = aur_f32(&op->w),
							   .ldb = inputs,
							   .c = aur_f32(&op->y),
							   .ldc = outputs},
		aur_f32(&op->bias));
	return AUR_OK;
}

static aur_status check_backward(const struct aur_linear_backward *op, int64_t n, int64_t inputs, int64_t outputs)
{
	static const char name[] = "linear_backward";
	AUR_TRY(aur_check_matrix(name, "d_y", &op->d_y, AUR_F32, n, outputs));
	AUR_TRY(aur_check_matrix(name, "x", &op->x, AUR_F32, n, inputs));
	AUR_TRY(aur_check_matrix(name, "d_w", &op->d_w, AUR_F32, outputs, inputs));
	if (op->d_x.data) {
		AUR_TRY(aur_check_matrix(name, "w", &op->w, AUR_F32, outputs, inputs));
		AUR_TRY(aur_check_matrix(name, "d_x", &op->d_x, AUR_F32, n, inputs));
		if (op->d_x.data == op->d_y.data)
			return aur_fail(AUR_SHAPE, "%s: d_x may not be d_y", name);
	}
	if (op->d_bias.data)
		AUR_TRY(aur_check_matrix(name, "d_bias", &op->d_bias, AUR_F32, 1, outputs));
	return AUR_OK;
}

aur_status aur_linear_backward_cpu(struct aur_backend *backend, const struct aur_linear_backward *op)
{
	(void)backend;
	const int64_t n = aur_rows(&op->d_y);
	const int64_t outputs = aur_columns(&op->d_y);
	const int64_t inputs = aur_columns(&op->d_w);
	AUR_TRY(check_backward(op, n, inputs, outputs));
	if (op->d_x.data)
		aur_cpu_product_blocks(&(struct aur_gemm){.m = n,
								   .n = inputs,
								   .k = outputs,
								   .alpha = 1.0f,
								   .a = aur_f32(&op->d_y),
								   .lda = outputs,
								   .b = aur_f32(&op->w),
								   .ldb = inputs,
								   .c = aur_f32(&op->d_x),
								   .ldc = inputs},
			NULL);
	aur_cpu_product_blocks(&(struct aur_gemm){.transpose_a = 1,
							   .m = outputs,
							   .n = inputs,
							   .k = n,
							   .alpha = 1.0f,
							   .beta = 1.0f,
							   .a = aur_f32(&op->d_y),
							   .lda = outputs,
							   .b = aur_f32(&op->x),
							   .ldb = inputs,
							   .c = aur_f32(&op->d_w),
							   .ldc = inputs},
		NULL);
	if (op->d_bias.data)
		aur_column_sums(aur_f32(&op->d_y), n, outputs, aur_f32(&op->d_bias));
	return AUR_OK;
}
