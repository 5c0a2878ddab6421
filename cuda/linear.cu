#include "internal.cuh"

#include <algorithm>

static int64_t most(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* A copy of a bias, or the partial sums of a bias's gradient. */
size_t aur_linear_scratch_cuda(const struct aur_backend_limits *limits)
{
	const int64_t rows = limits->batch * limits->positions;
	const int64_t outputs = most(3 * limits->width, limits->mlp_width);
	const size_t bias = static_cast<size_t>(most(outputs, limits->vocabulary)) * sizeof(float);
	return std::max({bias, aur_cuda_column_sums_bytes(rows, outputs), aur_cuda_column_sums_bytes(rows, limits->width)});
}

/* Where the product reads the bias: a copy of one that the library's kernels may not read where it lies. */
static aur_status place_bias(struct aur_cuda *cuda, const char *who, const struct aur_tensor *bias, const void **place)
{
	*place = bias->data;
	if (reinterpret_cast<uintptr_t>(bias->data) % AUR_PRODUCT_BIAS_ALIGNMENT == 0)
		return AUR_OK;
	const size_t bytes = static_cast<size_t>(aur_tensor_count(bias)) * aur_dtype_bytes(bias->dtype);
	AUR_TRY(aur_cuda_check_scratch(cuda, who, bytes));
	*place = cuda->scratch;
	return aur_cuda_check(
		cudaMemcpyAsync(cuda->scratch, bias->data, bytes, cudaMemcpyDeviceToDevice, cuda->stream), who);
}

aur_status aur_linear_forward_cuda(struct aur_backend *backend, const struct aur_linear_forward *op)
{
	static const char who[] = "linear_forward";
	struct aur_cuda *cuda = aur_cuda_of(backend);
	struct aur_cuda_product product = {};
	AUR_TRY(aur_check_linear_forward(op));
	AUR_TRY(place_bias(cuda, who, &op->bias, &product.bias));
	product.transpose_b = 1;
	product.m = aur_rows(&op->x);
	product.n = aur_rows(&op->w);
	product.k = aur_columns(&op->x);
	product.a = op->x.data;
	product.lda = product.k;
	product.b = op->w.data;
	product.ldb = product.k;
	product.c = op->y.data;
	product.ldc = product.n;
	product.type = op->x.dtype;
	product.c_type = op->y.dtype;
	return aur_cuda_multiply(cuda, who, &product);
}

/* d_x = d_y w */
static aur_status input_gradient(struct aur_cuda *cuda, const char *who, const struct aur_linear_backward *op)
{
	struct aur_cuda_product product = {};
	product.m = aur_rows(&op->d_y);
	product.n = aur_columns(&op->d_w);
	product.k = aur_columns(&op->d_y);
	product.a = op->d_y.data;
	product.lda = product.k;
	product.b = op->w.data;
	product.ldb = product.n;
	product.c = op->d_x.data;
	product.ldc = product.n;
	product.type = op->d_y.dtype;
	product.c_type = op->d_x.dtype;
	return aur_cuda_multiply(cuda, who, &product);
}

/* d_w = or += d_y^T x, in fp32 */
static aur_status weight_gradient(struct aur_cuda *cuda, const char *who, const struct aur_linear_backward *op)
{
	struct aur_cuda_product product = {};
	product.transpose_a = 1;
	product.accumulate = !op->overwrite;
	product.m = aur_columns(&op->d_y);
	product.n = aur_columns(&op->d_w);
	product.k = aur_rows(&op->d_y);
	product.a = op->d_y.data;
	product.lda = product.m;
	product.b = op->x.data;
	product.ldb = product.n;
	product.c = op->d_w.data;
	product.ldc = product.n;
	product.type = op->d_y.dtype;
	product.c_type = AUR_F32;
	return aur_cuda_multiply(cuda, who, &product);
}

aur_status aur_linear_backward_cuda(struct aur_backend *backend, const struct aur_linear_backward *op)
{
	static const char who[] = "linear_backward";
	struct aur_cuda *cuda = aur_cuda_of(backend);
	AUR_TRY(aur_check_linear_backward(op));
	const int64_t rows = aur_rows(&op->d_y), outputs = aur_columns(&op->d_y);
	if (op->d_bias.data)
		AUR_TRY(aur_cuda_check_scratch(cuda, who, aur_cuda_column_sums_bytes(rows, outputs)));
	AUR_TRY(weight_gradient(cuda, who, op)); /* before d_x is written, which may lie where x did */
	if (op->d_x.data)
		AUR_TRY(input_gradient(cuda, who, op));
	if (!op->d_bias.data)
		return AUR_OK;
	return aur_cuda_column_sums(cuda, who, op->d_y.data, op->d_y.dtype, rows, outputs, outputs,
		static_cast<float *>(op->d_bias.data), cuda->scratch);
}
