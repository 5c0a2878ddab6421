#include "cublaslt.h"
#include "internal.h"

#include <algorithm>
#include <cuda_bf16.h>
#include <math.h>
#include <string.h>
#include <vector>

/* D = epilogue(alpha op(A) op(B) + beta C + bias), each element rounded once when it is stored. */

static int is_type(int32_t type)
{
	return type == CUDA_R_32F || type == CUDA_R_16BF;
}

static int has_bias(const struct lt_description *description)
{
	return (description->epilogue & CUBLASLT_EPILOGUE_BIAS) != 0;
}

static int32_t bias_type(const struct lt_description *description, const struct lt_layout *d)
{
	return description->bias_type < 0 ? d->type : description->bias_type;
}

static cublasStatus_t check_types(
	const struct lt_description *description, const struct lt_layout *const layouts[LT_OPERANDS])
{
	const int32_t a = layouts[LT_A]->type, d = layouts[LT_D]->type;
	const int computes =
		description->compute == CUBLAS_COMPUTE_32F || description->compute == CUBLAS_COMPUTE_32F_FAST_TF32;
	const int epilogue = description->epilogue & ~CUBLASLT_EPILOGUE_BIAS;
	if (!computes || description->scale != CUDA_R_32F || description->pointer_mode != CUBLASLT_POINTER_MODE_HOST)
		return CUBLAS_STATUS_NOT_SUPPORTED;
	if (!is_type(a) || layouts[LT_B]->type != a || !is_type(d) || layouts[LT_C]->type != d)
		return CUBLAS_STATUS_NOT_SUPPORTED;
	if (a == CUDA_R_32F && d != CUDA_R_32F)
		return CUBLAS_STATUS_NOT_SUPPORTED;
	if (description->compute == CUBLAS_COMPUTE_32F_FAST_TF32 && a != CUDA_R_32F)
		return CUBLAS_STATUS_NOT_SUPPORTED;
	/* The documentation's table of types has the bias in the output's type alone; this is what version 13.1 answers. */
	if (has_bias(description) && bias_type(description, layouts[LT_D]) != d)
		return CUBLAS_STATUS_INVALID_VALUE;
	if (epilogue != 0 && epilogue != CUBLASLT_EPILOGUE_DEFAULT && epilogue != CUBLASLT_EPILOGUE_RELU &&
		epilogue != CUBLASLT_EPILOGUE_GELU)
		return CUBLAS_STATUS_NOT_SUPPORTED;
	return CUBLAS_STATUS_SUCCESS;
}

/* The documentation of cublasLtMatmul lets a C that is not D have the leading dimension 0, cublasLt.h does not, and the
 * library computes something else with it: refused as every matrix whose elements overlap. */
static int is_whole(const struct lt_layout *layout)
{
	const uint64_t length = layout->order == CUBLASLT_ORDER_COL ? layout->rows : layout->columns;
	return layout->rows > 0 && layout->columns > 0 && layout->pitch >= static_cast<int64_t>(length) &&
		   layout->batches >= 1 && layout->batch_stride >= 0 &&
		   (layout->order == CUBLASLT_ORDER_COL || layout->order == CUBLASLT_ORDER_ROW);
}

/* Rows and columns of op(matrix). */
static uint64_t rows_of(const struct lt_layout *layout, int32_t transpose)
{
	return transpose == CUBLAS_OP_N ? layout->rows : layout->columns;
}

static uint64_t columns_of(const struct lt_layout *layout, int32_t transpose)
{
	return transpose == CUBLAS_OP_N ? layout->columns : layout->rows;
}

cublasStatus_t lt_check(const struct lt_description *description, const struct lt_layout *const layouts[LT_OPERANDS])
{
	const struct lt_layout *a = layouts[LT_A], *b = layouts[LT_B], *c = layouts[LT_C], *d = layouts[LT_D];
	const int32_t ta = description->transpose_a, tb = description->transpose_b;
	for (int i = 0; i < LT_OPERANDS; i++)
		if (!is_whole(layouts[i]) || layouts[i]->batches != d->batches)
			return CUBLAS_STATUS_INVALID_VALUE;
	if (has_bias(description) && !description->bias)
		return CUBLAS_STATUS_INVALID_VALUE;
	if ((ta != CUBLAS_OP_N && ta != CUBLAS_OP_T) || (tb != CUBLAS_OP_N && tb != CUBLAS_OP_T))
		return CUBLAS_STATUS_INVALID_VALUE;
	if (rows_of(a, ta) != d->rows || columns_of(b, tb) != d->columns || columns_of(a, ta) != rows_of(b, tb) ||
		c->rows != d->rows || c->columns != d->columns)
		return CUBLAS_STATUS_INVALID_VALUE;
	return check_types(description, layouts);
}

static uint64_t offset_of(const struct lt_layout *layout, uint64_t row, uint64_t column)
{
	const uint64_t pitch = static_cast<uint64_t>(layout->pitch);
	return layout->order == CUBLASLT_ORDER_COL ? column * pitch + row : row * pitch + column;
}

static float load(const void *base, int32_t type, uint64_t at)
{
	return type == CUDA_R_16BF ? __bfloat162float(static_cast<const __nv_bfloat16 *>(base)[at])
							   : static_cast<const float *>(base)[at];
}

static void store(void *base, int32_t type, uint64_t at, float value)
{
	if (type == CUDA_R_16BF)
		static_cast<__nv_bfloat16 *>(base)[at] = __float2bfloat16(value);
	else
		static_cast<float *>(base)[at] = value;
}

/* To ten bits behind the point, to nearest, as the tensor cores' TF32. */
static float round_to_tf32(float value)
{
	uint32_t bits;
	memcpy(&bits, &value, sizeof bits);
	if (isfinite(value))
		bits = (bits + 0x1000u) & ~0x1fffu;
	memcpy(&value, &bits, sizeof value);
	return value;
}

static const char *batch_of(const void *base, const struct lt_layout *layout, int batch)
{
	const int64_t element = layout->type == CUDA_R_16BF ? 2 : 4;
	return static_cast<const char *>(base) + batch * layout->batch_stride * element;
}

/* Rows and columns of D that are computed at once: their sums stay in registers. */
enum { TILE_ROWS = 16, TILE_COLUMNS = 4 };

/* op(matrix) in fp32 as strips of `tile` columns of op(B), or rows of op(A): [strip][k][tile], so that the innermost
 * loop reads one piece of memory. Zero beyond the matrix's own numbers. */
static std::vector<float> unpack(const struct lt_description *description, const struct lt_layout *layout,
	const char *base, int32_t transpose, int by_row)
{
	const uint64_t rows = rows_of(layout, transpose), columns = columns_of(layout, transpose);
	const uint64_t depth = by_row ? rows : columns, width = by_row ? columns : rows;
	const uint64_t tile = by_row ? TILE_COLUMNS : TILE_ROWS;
	std::vector<float> out((width + tile - 1) / tile * tile * depth);
	for (uint64_t i = 0; i < rows; i++)
		for (uint64_t j = 0; j < columns; j++) {
			const uint64_t at = transpose == CUBLAS_OP_N ? offset_of(layout, i, j) : offset_of(layout, j, i);
			const uint64_t k = by_row ? i : j, along = by_row ? j : i;
			const float value = load(base, layout->type, at);
			out[(along / tile * depth + k) * tile + along % tile] =
				description->compute == CUBLAS_COMPUTE_32F_FAST_TF32 ? round_to_tf32(value) : value;
		}
	return out;
}

/* Eight rows, of an address that need not be a multiple of their size. */
typedef float eight __attribute__((vector_size(32), aligned(4), may_alias));

struct tile {
	eight sums[TILE_COLUMNS][TILE_ROWS / 8];
};

/* The operands of one tile. */
struct strips {
	const float *a, *b;
	uint64_t depth;
	int backwards; /* along k */
};

/* A program measures itself with products of millions of numbers before it trains, which with the checks of sanitizers
 * in this loop took most of the tests' time. It reads what unpack wrote. */
#define UNCHECKED __attribute__((no_sanitize("address", "undefined")))

/* Each sum by itself, in the order of k: the same bits whatever the vectors. On x86-64 a product is rounded before it
 * is added; elsewhere the compiler may fuse the two. */
UNCHECKED static inline __attribute__((always_inline)) void add_products(const struct strips *strips, struct tile *out)
{
	struct tile own = {};
	for (uint64_t step = 0; step < strips->depth; step++) {
		const uint64_t l = strips->backwards ? strips->depth - 1 - step : step;
		const eight *a = reinterpret_cast<const eight *>(strips->a + l * TILE_ROWS);
		const float *b = strips->b + l * TILE_COLUMNS;
		for (int j = 0; j < TILE_COLUMNS; j++)
			for (int i = 0; i < TILE_ROWS / 8; i++)
				own.sums[j][i] += a[i] * b[j];
	}
	*out = own;
}

UNCHECKED static void add_products_plain(const struct strips *strips, struct tile *out)
{
	add_products(strips, out);
}

#ifdef __x86_64__
UNCHECKED __attribute__((target("avx2"))) static void add_products_avx2(const struct strips *strips, struct tile *out)
{
	add_products(strips, out);
}
#endif

static void multiply_strips(const struct strips *strips, struct tile *out)
{
#ifdef __x86_64__
	if (__builtin_cpu_supports("avx2")) {
		add_products_avx2(strips, out);
		return;
	}
#endif
	add_products_plain(strips, out);
}

static float finish(const struct lt_description *description, float x)
{
	const int epilogue = description->epilogue & ~CUBLASLT_EPILOGUE_BIAS;
	if (epilogue == CUBLASLT_EPILOGUE_RELU)
		return x > 0.0f ? x : 0.0f;
	if (epilogue == CUBLASLT_EPILOGUE_GELU) /* its tanh form, as documented */
		return 0.5f * x * (1.0f + tanhf(0.7978845608f * (x + 0.044715f * x * x * x)));
	return x;
}

static void store_sum(const struct lt_description *description, const struct lt_layout *const layouts[LT_OPERANDS],
	const struct lt_operands *operands, int batch, uint64_t i, uint64_t j, float sum)
{
	const struct lt_layout *c = layouts[LT_C], *d = layouts[LT_D];
	float x = operands->alpha * sum;
	if (operands->beta != 0.0f)
		x += operands->beta * load(batch_of(operands->c, c, batch), c->type, offset_of(c, i, j));
	if (has_bias(description))
		x += load(
			description->bias, bias_type(description, d), i + static_cast<uint64_t>(description->bias_stride * batch));
	store(const_cast<char *>(batch_of(operands->d, d, batch)), d->type, offset_of(d, i, j), finish(description, x));
}

static void multiply_batch(const struct lt_description *description, const struct lt_layout *const layouts[LT_OPERANDS],
	const struct lt_operands *operands, int batch)
{
	const std::vector<float> a =
		unpack(description, layouts[LT_A], batch_of(operands->a, layouts[LT_A], batch), description->transpose_a, 0);
	const std::vector<float> b =
		unpack(description, layouts[LT_B], batch_of(operands->b, layouts[LT_B], batch), description->transpose_b, 1);
	const uint64_t m = layouts[LT_D]->rows, n = layouts[LT_D]->columns;
	const uint64_t depth = columns_of(layouts[LT_A], description->transpose_a);
	for (uint64_t i = 0; i < m; i += TILE_ROWS)
		for (uint64_t j = 0; j < n; j += TILE_COLUMNS) {
			const struct strips strips = {&a[i * depth], &b[j * depth], depth, operands->backwards};
			struct tile tile;
			multiply_strips(&strips, &tile);
			for (uint64_t jj = j; jj < std::min<uint64_t>(j + TILE_COLUMNS, n); jj++)
				for (uint64_t ii = i; ii < std::min<uint64_t>(i + TILE_ROWS, m); ii++)
					store_sum(
						description, layouts, operands, batch, ii, jj, tile.sums[jj - j][(ii - i) / 8][(ii - i) % 8]);
		}
}

void lt_multiply(const struct lt_description *description, const struct lt_layout *const layouts[LT_OPERANDS],
	const struct lt_operands *operands)
{
	for (int batch = 0; batch < layouts[LT_D]->batches; batch++)
		multiply_batch(description, layouts, operands, batch);
}
