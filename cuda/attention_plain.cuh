#ifndef AUR_CUDA_ATTENTION_PLAIN_CUH
#define AUR_CUDA_ATTENTION_PLAIN_CUH

/* Pieces of attention on the plain arithmetic units, in fp32 throughout. A block of 256 threads, as 16 x 16, works on
 * 64 queries against 64 keys; thread (ty, tx) holds rows 4 ty .. 4 ty + 3 and columns tx, tx + 16, tx + 32, tx + 48 of
 * a matrix of weights, and of a result [64, W] the same rows and W / 16 neighbouring columns. Heads are cut into chunks
 * of W numbers: products over D add up chunk after chunk, and of a result each block makes the chunk that blockIdx.y
 * names, so that a head may be of any size. Heads of more than one chunk pay for it with weights that are computed once
 * a chunk.
 *
 * Tiles lie in shared memory as [64][W + 4]: sixteen-byte accesses of eight threads to neighbouring rows, or of one
 * row, touch all 32 banks once. Each number read from there is used four times. */

#include "attention.cuh"

enum { AUR_PLAIN_THREADS = 256, AUR_PLAIN_TILE = 64, AUR_PLAIN_WEIGHTS = AUR_PLAIN_TILE + 4 };

template <int W> constexpr int aur_plain_pitch = W + 4;
template <int W> constexpr int aur_plain_floats = AUR_PLAIN_TILE *(W + 4);
constexpr int aur_plain_weights_floats = AUR_PLAIN_TILE * AUR_PLAIN_WEIGHTS;

/* A thread's share of weights and of results. */
struct aur_plain_weights {
	float v[4][4];
};
template <int W> struct aur_plain_sums {
	float v[4][W / 16];
};

/* The thread's columns of a row of a tile, read at once. */
template <int W> struct alignas(W / 4) aur_plain_part {
	float v[W / 16];
};

AUR_ON_DEVICE int aur_plain_row()
{
	return static_cast<int>(threadIdx.x / 16) * 4;
}

AUR_ON_DEVICE int aur_plain_column()
{
	return static_cast<int>(threadIdx.x % 16);
}

/* Numbers [first, first + W) of 64 rows of a head from `row` on; zeros beyond row `end` and beyond the head. */
template <class T, int W>
AUR_ON_DEVICE void aur_plain_fill(const aur_attention_call &call, const aur_attention_place &place,
	const aur_attention_rows &rows, int row, int end, int first, float *tile)
{
	for (int piece = static_cast<int>(threadIdx.x); piece < AUR_PLAIN_TILE * W / 8; piece += AUR_PLAIN_THREADS) {
		const int i = piece / (W / 8), d = piece % (W / 8) * 8;
		const int left = row + i < end ? call.size - first - d : 0;
		float x[8];
		aur_load8(aur_attention_at<const T>(rows, place, row + i) + first + d, left, call.wide, x);
		float4 *to = reinterpret_cast<float4 *>(tile + i * aur_plain_pitch<W> + d);
		to[0] = make_float4(x[0], x[1], x[2], x[3]);
		to[1] = make_float4(x[4], x[5], x[6], x[7]);
	}
}

AUR_ON_DEVICE float4 aur_plain_four(const float *at)
{
	return *reinterpret_cast<const float4 *>(at);
}

/* s += a b^T over the first n numbers of the tiles' rows, n a multiple of 4. */
template <int W> AUR_ON_DEVICE void aur_plain_scores(aur_plain_weights &s, const float *a, const float *b, int n)
{
	a += aur_plain_row() * aur_plain_pitch<W>;
	b += aur_plain_column() * aur_plain_pitch<W>;
	for (int d = 0; d < n; d += 4) {
		float4 y[4];
		for (int j = 0; j < 4; j++)
			y[j] = aur_plain_four(b + 16 * j * aur_plain_pitch<W> + d);
		for (int i = 0; i < 4; i++) {
			const float4 x = aur_plain_four(a + i * aur_plain_pitch<W> + d);
			for (int j = 0; j < 4; j++)
				s.v[i][j] += x.x * y[j].x + x.y * y[j].y + x.z * y[j].z + x.w * y[j].w;
		}
	}
}

/* sums of row i += weight times the thread's columns of row `k` of b. */
template <int W>
AUR_ON_DEVICE void aur_plain_add(aur_plain_sums<W> &sums, const float (&weight)[4], const float *b, int k)
{
	const aur_plain_part<W> part =
		*reinterpret_cast<const aur_plain_part<W> *>(b + k * aur_plain_pitch<W> + aur_plain_column() * (W / 16));
	for (int c = 0; c < W / 16; c++)
		for (int i = 0; i < 4; i++)
			sums.v[i][c] += weight[i] * part.v[c];
}

/* sums += p b: weights of the thread's rows with all 64 rows of b. */
template <int W> AUR_ON_DEVICE void aur_plain_gather(aur_plain_sums<W> &sums, const float *p, const float *b)
{
	p += aur_plain_row() * AUR_PLAIN_WEIGHTS;
	for (int k = 0; k < AUR_PLAIN_TILE; k += 4) {
		float4 x[4];
		for (int i = 0; i < 4; i++)
			x[i] = aur_plain_four(p + i * AUR_PLAIN_WEIGHTS + k);
		aur_plain_add<W>(sums, {x[0].x, x[1].x, x[2].x, x[3].x}, b, k);
		aur_plain_add<W>(sums, {x[0].y, x[1].y, x[2].y, x[3].y}, b, k + 1);
		aur_plain_add<W>(sums, {x[0].z, x[1].z, x[2].z, x[3].z}, b, k + 2);
		aur_plain_add<W>(sums, {x[0].w, x[1].w, x[2].w, x[3].w}, b, k + 3);
	}
}

/* sums += p^T b: the thread's rows are columns of p. */
template <int W> AUR_ON_DEVICE void aur_plain_scatter(aur_plain_sums<W> &sums, const float *p, const float *b)
{
	for (int k = 0; k < AUR_PLAIN_TILE; k++) {
		const float4 x = aur_plain_four(p + k * AUR_PLAIN_WEIGHTS + aur_plain_row());
		aur_plain_add<W>(sums, {x.x, x.y, x.z, x.w}, b, k);
	}
}

AUR_ON_DEVICE void aur_plain_put(const aur_plain_weights &s, float *p)
{
	for (int i = 0; i < 4; i++)
		for (int j = 0; j < 4; j++)
			p[(aur_plain_row() + i) * AUR_PLAIN_WEIGHTS + aur_plain_column() + 16 * j] = s.v[i][j];
}

/* The thread's share of a mask of 64 queries and 64 keys: 0, or the scale. A warp's eight rows are drawn by four lanes
 * each, and handed to the sixteen that need them. */
AUR_ON_DEVICE aur_plain_weights aur_plain_draw(
	const aur_dropout_sequence &dropout, int columns, int first_query, int first_key)
{
	const int lane = static_cast<int>(threadIdx.x % 32), query = first_query + static_cast<int>(threadIdx.x) / 4;
	const aur_attention_kept<64> mine = aur_attention_draw_row<64>(dropout, columns, query, first_key);
	aur_plain_weights factors;
	for (int i = 0; i < 4; i++) {
		aur_attention_kept<64> kept;
		for (int word = 0; word < 2; word++)
			kept.word[word] = __shfl_sync(0xffffffffu, mine.word[word], lane / 16 * 16 + 4 * i);
		for (int j = 0; j < 4; j++)
			factors.v[i][j] = aur_attention_is_kept(kept, aur_plain_column() + 16 * j) ? dropout.scale : 0.0f;
	}
	return factors;
}

/* Writes the thread's sums times factor[i], as the block's chunk of 64 rows from `first` on. */
template <class T, int W>
AUR_ON_DEVICE void aur_plain_store(const aur_attention_call &call, const aur_attention_place &place,
	const aur_attention_rows &rows, int first, const aur_plain_sums<W> &sums, const float (&factor)[4])
{
	const int d = static_cast<int>(blockIdx.y) * W + aur_plain_column() * (W / 16);
	for (int i = 0; i < 4; i++) {
		const int row = first + aur_plain_row() + i;
		T *to = aur_attention_at<T>(rows, place, row) + d;
		for (int c = 0; row < call.queries && c < W / 16; c++)
			if (d + c < call.size)
				to[c] = aur_narrow<T>(sums.v[i][c] * factor[i]);
	}
}

/* Numbers of chunk `first` that a product has to run over. */
template <int W> AUR_ON_DEVICE int aur_plain_count(const aur_attention_call &call, int first)
{
	return min(W, (call.size - first + 3) / 4 * 4);
}

/* s = a b^T over the whole head, of 64 rows of each; the tiles are free before and hold the last chunk after, behind
 * a barrier. */
template <class T, int W>
AUR_ON_DEVICE aur_plain_weights aur_plain_products(const aur_attention_call &call, const aur_attention_place &place,
	const aur_attention_rows &a_rows, int a_first, const aur_attention_rows &b_rows, int b_first, int b_end, float *a,
	float *b)
{
	aur_plain_weights s = {};
	for (int first = 0; first < call.size; first += W) {
		aur_plain_fill<T, W>(call, place, a_rows, a_first, call.queries, first, a);
		aur_plain_fill<T, W>(call, place, b_rows, b_first, b_end, first, b);
		__syncthreads();
		aur_plain_scores<W>(s, a, b, aur_plain_count<W>(call, first));
		__syncthreads();
	}
	return s;
}

/* Chunks of a head. */
static inline int aur_plain_chunks(const aur_attention_call &call, int chunk)
{
	return (call.size + chunk - 1) / chunk;
}

/* Calls run(type, chunk) with a pointer of the type and the chunk as a constant: 32 for small heads, else 64. */
template <class Run> static aur_status aur_plain_for(enum aur_dtype type, int size, Run run)
{
	const float *fp32 = NULL;
	const __nv_bfloat16 *bf16 = NULL;
	const std::integral_constant<int, 32> narrow = {};
	const std::integral_constant<int, 64> wide = {};
	if (type == AUR_F32)
		return size <= 32 ? run(fp32, narrow) : run(fp32, wide);
	return run(bf16, wide);
}

#endif
