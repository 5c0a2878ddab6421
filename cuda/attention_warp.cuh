#ifndef AUR_CUDA_ATTENTION_WARP_CUH
#define AUR_CUDA_ATTENTION_WARP_CUH

/* Pieces of attention on the tensor cores. Tiles of Q, K, V and d_out lie in shared memory as [rows][D + 8] bf16, D the
 * head size rounded up (zeros fill it): rows are then an odd number of sixteen bytes apart, so that the eight rows of a
 * matrix that a warp loads touch all 32 banks once. */

#include "attention.cuh"

enum { AUR_ATTENTION_THREADS = 128, AUR_ATTENTION_WARPS = AUR_ATTENTION_THREADS / 32 };

template <int D> AUR_ON_DEVICE constexpr int aur_attention_pitch()
{
	return D + 8;
}

/* Rows that do not lie on sixteen bytes, number by number. */
template <int D>
AUR_ON_DEVICE void aur_attention_fill_slowly(
	__nv_bfloat16 *to, const __nv_bfloat16 *from, int64_t pitch, int rows, int filled, int size)
{
	for (int i = static_cast<int>(threadIdx.x); i < rows * D; i += AUR_ATTENTION_THREADS) {
		const int row = i / D, d = i % D;
		to[row * aur_attention_pitch<D>() + d] =
			row < filled && d < size ? from[row * pitch + d] : aur_narrow<__nv_bfloat16>(0.0f);
	}
}

/* Begins to fill a tile of ROWS rows from the first `filled` rows of `from`; zeros beyond them and beyond `size`. */
template <int D, int ROWS>
AUR_ON_DEVICE void aur_attention_fill(
	__nv_bfloat16 *to, const __nv_bfloat16 *from, int64_t pitch, int filled, int size, int wide)
{
	if (!wide) {
		aur_attention_fill_slowly<D>(to, from, pitch, ROWS, filled, size);
		return;
	}
	constexpr int at_once = D == 96 ? 8 : AUR_ATTENTION_THREADS / (D / 8), to_pitch = aur_attention_pitch<D>();
	const int row = static_cast<int>(threadIdx.x) / (D / 8), d = static_cast<int>(threadIdx.x) % (D / 8) * 8;
	if (row >= at_once)
		return;
	from += row * pitch + d;
	to += row * to_pitch + d;
	filled = d < size ? filled - row : 0;
	AUR_UNROLL
	for (int i = 0; i < ROWS; i += at_once)
		aur_copy_async<16>(to + i * to_pitch, from + i * pitch, i < filled);
}

/* Rows of a head, as far as there are, from `first` on. */
template <int D, int ROWS>
AUR_ON_DEVICE void aur_attention_fill_rows(const aur_attention_call &call, const aur_attention_place &place,
	const aur_attention_rows &rows, int first, int end, __nv_bfloat16 *to)
{
	aur_attention_fill<D, ROWS>(
		to, aur_attention_at<const __nv_bfloat16>(rows, place, first), rows.pitch, end - first, call.size, call.wide);
}

/* Operands of TILES times 16 rows, over all of D. */
template <int D, int TILES>
AUR_ON_DEVICE void aur_attention_operands(aur_mma_a (&a)[TILES][D / 16], const __nv_bfloat16 *rows)
{
	constexpr int pitch = aur_attention_pitch<D>();
	AUR_UNROLL
	for (int m = 0; m < TILES; m++) {
		AUR_UNROLL
		for (int k = 0; k < D / 16; k++)
			a[m][k] = aur_mma_a_at(rows + m * 16 * pitch + k * 16, pitch);
	}
}

/* s = a rows^T, for N times 8 rows of shared memory. */
template <int D, int TILES, int N>
AUR_ON_DEVICE void aur_attention_scores(
	aur_mma_c (&s)[TILES][N], const aur_mma_a (&a)[TILES][D / 16], const __nv_bfloat16 *rows)
{
	constexpr int pitch = aur_attention_pitch<D>();
	AUR_UNROLL
	for (int m = 0; m < TILES; m++) {
		AUR_UNROLL
		for (int n = 0; n < N; n++)
			s[m][n] = {};
	}
	AUR_UNROLL
	for (int k = 0; k < D / 16; k++) {
		AUR_UNROLL
		for (int n = 0; n < N; n += 2) {
			const aur_mma_b2 b = aur_mma_b2_of_rows(rows + n * 8 * pitch + k * 16, pitch);
			AUR_UNROLL
			for (int m = 0; m < TILES; m++) {
				aur_mma(&s[m][n], &a[m][k], b.r[0], b.r[1]);
				aur_mma(&s[m][n + 1], &a[m][k], b.r[2], b.r[3]);
			}
		}
	}
}

/* s = a_rows rows^T, for 16 rows of a_rows, where there are no registers to hold them as operands. */
template <int D, int N>
AUR_ON_DEVICE void aur_attention_scores_of_rows(
	aur_mma_c (&s)[1][N], const __nv_bfloat16 *a_rows, const __nv_bfloat16 *rows)
{
	constexpr int pitch = aur_attention_pitch<D>();
	AUR_UNROLL
	for (int n = 0; n < N; n++)
		s[0][n] = {};
	AUR_UNROLL
	for (int k = 0; k < D / 16; k++) {
		const aur_mma_a a = aur_mma_a_at(a_rows + k * 16, pitch);
		AUR_UNROLL
		for (int n = 0; n < N; n += 2) {
			const aur_mma_b2 b = aur_mma_b2_of_rows(rows + n * 8 * pitch + k * 16, pitch);
			aur_mma(&s[0][n], &a, b.r[0], b.r[1]);
			aur_mma(&s[0][n + 1], &a, b.r[2], b.r[3]);
		}
	}
}

/* y += p rows, for K times 16 rows of shared memory. */
template <int D, int TILES, int K>
AUR_ON_DEVICE void aur_attention_gather(
	aur_mma_c (&y)[TILES][D / 8], const aur_mma_a (&p)[TILES][K], const __nv_bfloat16 *rows)
{
	constexpr int pitch = aur_attention_pitch<D>();
	AUR_UNROLL
	for (int k = 0; k < K; k++) {
		AUR_UNROLL
		for (int n = 0; n < D / 8; n += 2) {
			const aur_mma_b2 b = aur_mma_b2_at(rows + k * 16 * pitch + n * 8, pitch);
			AUR_UNROLL
			for (int m = 0; m < TILES; m++) {
				aur_mma(&y[m][n], &p[m][k], b.r[0], b.r[1]);
				aur_mma(&y[m][n + 1], &p[m][k], b.r[2], b.r[3]);
			}
		}
	}
}

/* What products leave as sums is narrowed to operands of the next. */
template <int TILES, int N>
AUR_ON_DEVICE void aur_attention_narrow(aur_mma_a (&p)[TILES][N / 2], const aur_mma_c (&s)[TILES][N])
{
	AUR_UNROLL
	for (int m = 0; m < TILES; m++) {
		AUR_UNROLL
		for (int n = 0; n < N; n += 2)
			p[m][n / 2] = aur_mma_a_of(&s[m][n], &s[m][n + 1]);
	}
}

/* 16 rows of a warp's sums times factor[0] (rows 0 to 7) or factor[1], into its own rows of a tile that it alone uses
 * by now, and from there to `to` by whole sixteen bytes: the first `filled` rows, `size` numbers of each. */
template <int D>
AUR_ON_DEVICE void aur_attention_store(const aur_mma_c (&y)[D / 8], const float (&factor)[2], __nv_bfloat16 *tile,
	__nv_bfloat16 *to, int64_t pitch, int filled, int size, int wide)
{
	const int lane = static_cast<int>(threadIdx.x % 32);
	__syncwarp(); /* what other lanes read of these rows is read */
	AUR_UNROLL
	for (int n = 0; n < D / 8; n++) {
		AUR_UNROLL
		for (int i = 0; i < 2; i++) {
			const uint32_t pair = aur_mma_narrow(y[n].v[2 * i] * factor[i], y[n].v[2 * i + 1] * factor[i]);
			memcpy(static_cast<void *>(tile + (lane / 4 + 8 * i) * aur_attention_pitch<D>() + n * 8 + lane % 4 * 2),
				&pair, sizeof pair);
		}
	}
	__syncwarp();
	for (int piece = lane; piece < 16 * D / 8; piece += 32) {
		const int row = piece / (D / 8), d = piece % (D / 8) * 8;
		const __nv_bfloat16 *from = tile + row * aur_attention_pitch<D>() + d;
		if (row >= filled || d >= size)
			continue;
		if (wide)
			*reinterpret_cast<uint4 *>(to + row * pitch + d) = *reinterpret_cast<const uint4 *>(from);
		for (int i = 0; !wide && i < 8 && d + i < size; i++)
			to[row * pitch + d + i] = from[i];
	}
}

/* Calls run.<D>() with the head size rounded up to what kernels are compiled for. */
template <class Run> static aur_status aur_attention_for_size(int size, Run run)
{
	if (size <= 32)
		return run(std::integral_constant<int, 32>());
	if (size <= 64)
		return run(std::integral_constant<int, 64>());
	if (size <= 96)
		return run(std::integral_constant<int, 96>());
	return run(std::integral_constant<int, 128>());
}

#endif
