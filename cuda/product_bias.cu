#include "product.cuh"

enum { SPLIT_THREADS = 256, ROUND_THREADS = 256 };

/* Memory of one chunk of the ROUNDED form in fp32: small enough to be found in a second-level cache by the pass that
 * rounds it, large enough to fill a GPU with tiles. The emulator's is small so that its tests see several chunks. */
#ifdef AURELIUS_EMULATED
enum { ROUNDED_BYTES = 1 << 14, ROUNDED_UNIT = 16 };
#else
enum { ROUNDED_BYTES = 32 << 20, ROUNDED_UNIT = 128 };
#endif

/* Two tiles' rows, or one's. */
int64_t aur_product_batch_rows(int64_t m)
{
	return m % 256 == 0 ? 256 : m % 128 == 0 ? 128 : 0;
}

static size_t padded(size_t bytes)
{
	return (bytes + 255) / 256 * 256;
}

/* Equal rows of the matrix that the low part of the bias is. */
static int64_t low_rows(enum aur_product_form form, int64_t m)
{
	return form == AUR_PRODUCT_BATCHED ? aur_product_batch_rows(m) : 1;
}

static size_t split_bytes(int64_t rows, int64_t n)
{
	return padded(static_cast<size_t>(n) * 2) + static_cast<size_t>(rows * n) * 2;
}

static int64_t rounded_rows(int64_t m, int64_t n)
{
	const int64_t unit = ROUNDED_UNIT;
	const int64_t rows = ROUNDED_BYTES / 4 / n / unit * unit;
	const int64_t most = rows > unit ? rows : unit;
	return m < most ? m : most;
}

static size_t rounded_bytes(int64_t m, int64_t n)
{
	return static_cast<size_t>(rounded_rows(m, n) * n) * sizeof(float);
}

size_t aur_cuda_product_scratch(int64_t m, int64_t n)
{
	const int64_t batch_rows = aur_product_batch_rows(m);
	const size_t split = split_bytes(batch_rows > 0 ? batch_rows : 1, n);
	const size_t rounded = n > 0 ? rounded_bytes(m, n) : 0;
	return split > rounded ? split : rounded;
}

/* high[j] = bf16(bias[j])          low[i, j] = bf16(bias[j] - high[j]) in each of `rows` rows
 *
 * One thread a column, which lies next to its neighbours' in every row: 4 bytes read and 2 (rows + 1) written a column,
 * 25 KB for 3072 columns of one row, 1.6 MB of 256, all of it in the second-level cache: some 2 us beside a product of
 * 400. */
AUR_KERNEL(SPLIT_THREADS)
split_bias(const float *bias, int64_t columns, int64_t rows, __nv_bfloat16 *high, __nv_bfloat16 *low)
{
	const int64_t j = static_cast<int64_t>(blockIdx.x) * SPLIT_THREADS + threadIdx.x;
	if (j >= columns)
		return;
	const __nv_bfloat16 rounded = __float2bfloat16(bias[j]);
	const __nv_bfloat16 rest = __float2bfloat16(bias[j] - __bfloat162float(rounded));
	if (blockIdx.y == 0)
		high[j] = rounded;
	for (int64_t i = blockIdx.y; i < rows; i += gridDim.y)
		low[i * columns + j] = rest;
}

aur_status aur_product_split_bias(struct aur_cuda *cuda, const char *who, enum aur_product_form form,
	const struct aur_cuda_product *product, struct aur_product_operands *operands)
{
	const int64_t rows = low_rows(form, product->m);
	AUR_TRY(aur_cuda_check_scratch(cuda, who, split_bytes(rows, product->n)));
	__nv_bfloat16 *high = reinterpret_cast<__nv_bfloat16 *>(cuda->scratch);
	__nv_bfloat16 *low = reinterpret_cast<__nv_bfloat16 *>(cuda->scratch + padded(static_cast<size_t>(product->n) * 2));
	const dim3 grid(static_cast<unsigned>((product->n + SPLIT_THREADS - 1) / SPLIT_THREADS), rows > 1 ? 32 : 1);
	AUR_TRY(AUR_LAUNCH(
		who, (split_bias), grid, SPLIT_THREADS, 0, cuda->stream, product->bias, product->n, rows, high, low));
	operands->bias = high;
	operands->c = low;
	return AUR_OK;
}

/* c = bf16(x + bias), rows of `columns` elements, `pitch` from one row of c to the next: 8 bytes read, mostly from the
 * second-level cache, and 2 written. One thread an element, for any width: this form is the exception. */
AUR_KERNEL(ROUND_THREADS)
round_rows(const float *x, const float *bias, int64_t columns, __nv_bfloat16 *c, int64_t pitch)
{
	const int64_t j = static_cast<int64_t>(blockIdx.y) * ROUND_THREADS + threadIdx.x;
	const int64_t i = blockIdx.x;
	if (j < columns)
		c[i * pitch + j] = __float2bfloat16(x[i * columns + j] + bias[j]);
}

aur_status aur_product_multiply_rounded(struct aur_cuda *cuda, const char *who, const struct aur_cuda_product *product)
{
	AUR_TRY(aur_cuda_check_scratch(cuda, who, rounded_bytes(product->m, product->n)));
	const int64_t step = rounded_rows(product->m, product->n);
	const unsigned across = static_cast<unsigned>((product->n + ROUND_THREADS - 1) / ROUND_THREADS);
	const char *a = static_cast<const char *>(product->a);
	__nv_bfloat16 *c = static_cast<__nv_bfloat16 *>(product->c);
	float *sums = reinterpret_cast<float *>(cuda->scratch);
	for (int64_t i = 0; i < product->m; i += step) {
		struct aur_cuda_product part = *product;
		part.m = product->m - i < step ? product->m - i : step;
		part.a =
			a + i * (product->transpose_a ? 1 : product->lda) * static_cast<int64_t>(aur_dtype_bytes(product->type));
		part.c = sums;
		part.c_type = AUR_F32;
		part.ldc = product->n;
		part.bias = NULL;
		AUR_TRY(aur_cuda_multiply(cuda, who, &part));
		const dim3 grid(static_cast<unsigned>(part.m), across);
		AUR_TRY(AUR_LAUNCH(who, (round_rows), grid, ROUND_THREADS, 0, cuda->stream, sums, product->bias, product->n,
			c + i * product->ldc, product->ldc));
	}
	return AUR_OK;
}
