#include "product.cuh"
#include "vector.cuh"

enum { TILE = 64, DEPTH = 16, EDGE = 4, THREADS = 256, PAD = 1 };

struct own_product {
	int64_t m, n, k;
	int64_t a_row, a_depth; /* elements from a(i,l) to a(i+1,l) and to a(i,l+1) */
	int64_t b_depth, b_column;
	int64_t c_row;
	int accumulate;
};

/* tile[l][i] = x(first_row + i, first_depth + l), 0 outside. Neighbouring threads follow whichever index is contiguous
 * in memory. */
template <typename T>
AUR_ON_DEVICE void load_tile(float (*tile)[TILE + PAD], const T *x, int64_t first_row, int64_t rows, int64_t row_step,
	int64_t first_depth, int64_t depths, int64_t depth_step)
{
	for (int e = threadIdx.x; e < TILE * DEPTH; e += THREADS) {
		const int i = depth_step == 1 ? e / DEPTH : e % TILE;
		const int l = depth_step == 1 ? e % DEPTH : e / TILE;
		const int64_t row = first_row + i, depth = first_depth + l;
		tile[l][i] = row < rows && depth < depths ? aur_widen(x[row * row_step + depth * depth_step]) : 0.0f;
	}
}

template <typename C>
AUR_ON_DEVICE void store_element(const struct own_product &p, const C *bias, C *c, int64_t i, int64_t j, float sum)
{
	if (i >= p.m || j >= p.n)
		return;
	C *at = c + i * p.c_row + j;
	if (bias)
		sum += aur_widen(bias[j]);
	*at = aur_narrow<C>(p.accumulate ? aur_widen(*at) + sum : sum);
}

/* c[i,j] = (c[i,j] +) sum over l, ascending, of a(i,l) b(l,j) (+ bias[j])
 *
 * 256 threads a tile of 64 x 64, 4 x 4 sums a thread, 16 deep at a time through shared memory: each element is read
 * n / 64 or m / 64 times from memory. It is there for shapes and alignments that cuBLASLt refuses, which are small; it
 * uses no tensor cores. The pitch of 65 keeps the columns of a tile in different banks. */
template <typename T, typename C>
AUR_KERNEL(THREADS)
multiply_tiles(struct own_product p, const T *a, const T *b, const C *bias, C *c)
{
	AUR_SHARED(float, a_memory, DEPTH *(TILE + PAD));
	AUR_SHARED(float, b_memory, DEPTH *(TILE + PAD));
	float(*a_tile)[TILE + PAD] = reinterpret_cast<float(*)[TILE + PAD]>(a_memory);
	float(*b_tile)[TILE + PAD] = reinterpret_cast<float(*)[TILE + PAD]>(b_memory);
	const int64_t first_i = static_cast<int64_t>(blockIdx.x) * TILE;
	const int64_t first_j = static_cast<int64_t>(blockIdx.y) * TILE;
	const int y = threadIdx.x / (TILE / EDGE), x = threadIdx.x % (TILE / EDGE);
	float sums[EDGE][EDGE] = {};
	for (int64_t l = 0; l < p.k; l += DEPTH) {
		load_tile(a_tile, a, first_i, p.m, p.a_row, l, p.k, p.a_depth);
		load_tile(b_tile, b, first_j, p.n, p.b_column, l, p.k, p.b_depth);
		__syncthreads();
		for (int d = 0; d < DEPTH; d++)
			for (int i = 0; i < EDGE; i++)
				for (int j = 0; j < EDGE; j++)
					sums[i][j] = fmaf(a_tile[d][y + i * (TILE / EDGE)], b_tile[d][x + j * (TILE / EDGE)], sums[i][j]);
		__syncthreads();
	}
	for (int i = 0; i < EDGE; i++)
		for (int j = 0; j < EDGE; j++)
			store_element(p, bias, c, first_i + y + i * (TILE / EDGE), first_j + x + j * (TILE / EDGE), sums[i][j]);
}

template <typename T, typename C>
static aur_status launch(struct aur_cuda *cuda, const char *who, const struct aur_cuda_product *product)
{
	struct own_product p = {};
	p.m = product->m;
	p.n = product->n;
	p.k = product->k;
	p.a_row = product->transpose_a ? 1 : product->lda;
	p.a_depth = product->transpose_a ? product->lda : 1;
	p.b_depth = product->transpose_b ? 1 : product->ldb;
	p.b_column = product->transpose_b ? product->ldb : 1;
	p.c_row = product->ldc;
	p.accumulate = product->accumulate;
	const int64_t across = (product->n + TILE - 1) / TILE;
	if (across > 65535)
		return aur_fail(AUR_SHAPE, "%s: %lld columns are more than the kernel for odd shapes has room for", who,
			static_cast<long long>(product->n));
	const dim3 grid(static_cast<unsigned>((product->m + TILE - 1) / TILE), static_cast<unsigned>(across));
	return AUR_LAUNCH(who, (multiply_tiles<T, C>), grid, THREADS, 0, cuda->stream, p,
		static_cast<const T *>(product->a), static_cast<const T *>(product->b), static_cast<const C *>(product->bias),
		static_cast<C *>(product->c));
}

aur_status aur_product_multiply_own(struct aur_cuda *cuda, const char *who, const struct aur_cuda_product *product)
{
	if (product->type == AUR_F32)
		return launch<float, float>(cuda, who, product);
	if (product->c_type == AUR_F32)
		return launch<__nv_bfloat16, float>(cuda, who, product);
	return launch<__nv_bfloat16, __nv_bfloat16>(cuda, who, product);
}
