#include "internal.h"
#include "product.h"
#include "rows.h"

static int64_t most(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* A bf16 bias, widened: products add biases in fp32. */
struct aur_cpu_scratch aur_linear_scratch(const struct aur_backend_limits *limits)
{
	const int64_t outputs = most(most(3 * limits->width, limits->mlp_width), limits->vocabulary);
	if (limits->activations != AUR_BF16)
		return (struct aur_cpu_scratch){0, 0};
	return (struct aur_cpu_scratch){.shared = (size_t)outputs * sizeof(float)};
}

/* The bias as products add it; a bf16 one is widened into scratch memory. */
static aur_status read_bias(struct aur_cpu *cpu, const struct aur_tensor *bias, const float **read)
{
	*read = bias->data;
	if (!bias->data || bias->dtype == AUR_F32)
		return AUR_OK;
	const int64_t outputs = aur_tensor_count(bias);
	AUR_TRY(aur_check_scratch(&cpu->base, "linear_forward", (size_t)outputs * sizeof(float), 0));
	float *widened = (float *)(void *)cpu->shared;
#pragma omp simd
	for (int64_t i = 0; i < outputs; i++)
		widened[i] = aur_element(bias->data, i, AUR_BF16);
	*read = widened;
	return AUR_OK;
}

aur_status aur_linear_forward_cpu(struct aur_backend *backend, const struct aur_linear_forward *op)
{
	struct aur_cpu *cpu = aur_cpu_of(backend);
	const enum aur_dtype type = aur_compute_type(&op->x);
	const int64_t n = aur_rows(&op->x);
	const int64_t inputs = aur_columns(&op->x);
	const int64_t outputs = aur_rows(&op->w);
	const float *bias = NULL;
	AUR_TRY(aur_check_linear_forward(op));
	AUR_TRY(read_bias(cpu, &op->bias, &bias));
	return aur_cpu_multiply(cpu, &(struct aur_gemm){.transpose_b = 1,
									 .m = n,
									 .n = outputs,
									 .k = inputs,
									 .alpha = 1.0f,
									 .type = type,
									 .c_type = type,
									 .a = op->x.data,
									 .lda = inputs,
									 .b = op->w.data,
									 .ldb = inputs,
									 .c = op->y.data,
									 .ldc = outputs,
									 .bias = bias});
}

/* d_x = d_y w */
static aur_status input_gradient(struct aur_cpu *cpu, const struct aur_linear_backward *op)
{
	const int64_t outputs = aur_columns(&op->d_y), inputs = aur_columns(&op->d_w);
	return aur_cpu_multiply(cpu, &(struct aur_gemm){.m = aur_rows(&op->d_y),
									 .n = inputs,
									 .k = outputs,
									 .alpha = 1.0f,
									 .type = op->d_y.dtype,
									 .c_type = op->d_x.dtype,
									 .a = op->d_y.data,
									 .lda = outputs,
									 .b = op->w.data,
									 .ldb = inputs,
									 .c = op->d_x.data,
									 .ldc = inputs});
}

/* d_w = or += d_y^T x */
static aur_status weight_gradient(struct aur_cpu *cpu, const struct aur_linear_backward *op)
{
	const int64_t outputs = aur_columns(&op->d_y), inputs = aur_columns(&op->d_w);
	return aur_cpu_multiply(cpu, &(struct aur_gemm){.transpose_a = 1,
									 .m = outputs,
									 .n = inputs,
									 .k = aur_rows(&op->d_y),
									 .alpha = 1.0f,
									 .accumulate = !op->overwrite,
									 .type = op->d_y.dtype,
									 .a = op->d_y.data,
									 .lda = outputs,
									 .b = op->x.data,
									 .ldb = inputs,
									 .c = op->d_w.data,
									 .ldc = inputs});
}

aur_status aur_linear_backward_cpu(struct aur_backend *backend, const struct aur_linear_backward *op)
{
	struct aur_cpu *cpu = aur_cpu_of(backend);
	AUR_TRY(aur_check_linear_backward(op));
	AUR_TRY(weight_gradient(cpu, op)); /* before d_x is written, which may lie where x did */
	if (op->d_x.data)
		AUR_TRY(input_gradient(cpu, op));
	if (op->d_bias.data)
		aur_column_sums(&op->d_y, aur_f32(&op->d_bias));
	return AUR_OK;
}
