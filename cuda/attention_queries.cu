#include "attention_warp.cuh"

/* dQ on the tensor cores, the first half of the backward pass. With P = exp(scale Q K^T - lse), the weights anew:
 *
 *   delta = sum(d_out * out)      dP = dropout(d_out V^T)      dS = P (dP - delta)      dQ = scale dS K
 *
 * A block of 128 threads owns 64 queries of one head, a warp 16, and walks over blocks of keys up to its last query: of
 * 64, above heads of 64 of 32, 32 keys at a time so that three or four blocks fit on a multiprocessor. Q and d_out stay
 * in registers as operands; dS goes from sums to operand there, rounded to bf16. delta and the logarithms, in base 2,
 * are left in call.stats for the kernel of dK and dV. K and V of the next block are copied while this one is worked on.
 *
 * Reads Q, out and d_out once, K and V once for each block of queries that sees them (from the second-level cache after
 * the first); writes dQ and 8 bytes of statistics: 12 D + 12 bytes a query and head of memory traffic. 3 T^2 D FLOPs a
 * head.
 *
 * GPT-2 124M, B = 64, T = 1024: 155 GFLOP and 0.61 GB a layer. On an H100 the memory takes 0.18 ms; the products
 * 0.27 ms at 600 TFLOP/s; shared memory, K twice and V once for 16 queries, 0.34 ms; exponentials 0.11 ms; all
 * instructions, twelve a weight, 0.17 ms: 0.45 to 0.55 ms in all, 280 to 340 TFLOP/s. Dropout adds sixteen
 * instructions a weight, 0.22 ms.
 *
 * Registers (nvcc 13.0, head 64, without and with dropout; none spills): 8.0 133, 158; 9.0 128, 158; 12.0 162, 157. */

namespace
{

constexpr int QUERIES = AUR_ATTENTION_WARPS * 16, STEP = 32;
template <int D> constexpr int keys_of = D <= 64 ? 64 : STEP;

/* Of one warp's 16 queries, rows g and g + 8 of a lane. */
template <int D> struct gradient {
	aur_mma_a q[1][D / 16], d_out[1][D / 16];
	aur_mma_c sums[1][D / 8];
	float lse[2], delta[2];
	float scale; /* of scores, to base 2 */
	int query;   /* of the lane's first row */
};

template <int D>
AUR_ON_DEVICE void begin(
	gradient<D> &state, const __nv_bfloat16 *q_tile, const __nv_bfloat16 *d_out_tile, const float2 *stats)
{
	const int warp_row = static_cast<int>(threadIdx.x / 32) * 16, group = static_cast<int>(threadIdx.x % 32) / 4;
	aur_attention_operands<D, 1>(state.q, q_tile + warp_row * aur_attention_pitch<D>());
	aur_attention_operands<D, 1>(state.d_out, d_out_tile + warp_row * aur_attention_pitch<D>());
	AUR_UNROLL
	for (int n = 0; n < D / 8; n++)
		state.sums[0][n] = {};
	AUR_UNROLL
	for (int i = 0; i < 2; i++) {
		state.lse[i] = stats[warp_row + group + 8 * i].x;
		state.delta[i] = stats[warp_row + group + 8 * i].y;
	}
}

/* dP from d_out V^T: what dropout took away had no share in out. */
AUR_ON_DEVICE void drop(
	aur_mma_c (&d_p)[1][STEP / 8], const aur_dropout_sequence &dropout, const aur_attention_kept<STEP> (&kept)[2])
{
	const int mine = static_cast<int>(threadIdx.x % 4) * 2;
	AUR_UNROLL
	for (int n = 0; n < STEP / 8; n++) {
		AUR_UNROLL
		for (int i = 0; i < 4; i++)
			d_p[0][n].v[i] *= aur_attention_is_kept(kept[i / 2], 8 * n + mine + i % 2) ? dropout.scale : 0.0f;
	}
}

/* s becomes dS / scale. */
template <int D>
AUR_ON_DEVICE void differentiate(
	const gradient<D> &state, aur_mma_c (&s)[1][STEP / 8], const aur_mma_c (&d_p)[1][STEP / 8])
{
	AUR_UNROLL
	for (int n = 0; n < STEP / 8; n++) {
		AUR_UNROLL
		for (int i = 0; i < 4; i++) {
			const float p = aur_exp2(fmaf(s[0][n].v[i], state.scale, -state.lse[i / 2]));
			s[0][n].v[i] = p * (d_p[0][n].v[i] - state.delta[i / 2]);
		}
	}
}

/* Keys after the query are not seen. `key` is the lane's first. */
AUR_ON_DEVICE void hide(aur_mma_c (&s)[1][STEP / 8], int query, int key)
{
	AUR_UNROLL
	for (int n = 0; n < STEP / 8; n++) {
		AUR_UNROLL
		for (int i = 0; i < 4; i++)
			if (key + 8 * n + i % 2 > query + i / 2 * 8)
				s[0][n].v[i] = 0.0f;
	}
}

/* 32 keys from `key` on, whose K and V begin there. */
template <int D, bool DROPPED>
AUR_ON_DEVICE void add_keys(gradient<D> &state, const aur_attention_call &call, const aur_dropout_sequence &dropout,
	int key, const __nv_bfloat16 *k_rows, const __nv_bfloat16 *v_rows)
{
	aur_mma_c s[1][STEP / 8], d_p[1][STEP / 8];
	aur_mma_a d_s[1][STEP / 16];
	aur_attention_kept<STEP> kept[2];
	if (DROPPED)
		for (int i = 0; i < 2; i++)
			kept[i] = aur_attention_draw_row<STEP>(dropout, call.queries, state.query + 8 * i, key);
	aur_attention_scores<D, 1>(s, state.q, k_rows);
	aur_attention_scores<D, 1>(d_p, state.d_out, v_rows);
	if (DROPPED)
		drop(d_p, dropout, kept);
	differentiate(state, s, d_p);
	if (key + STEP - 1 > state.query - static_cast<int>(threadIdx.x % 32) / 4)
		hide(s, state.query, key + static_cast<int>(threadIdx.x % 4) * 2);
	aur_attention_narrow(d_s, s);
	aur_attention_gather<D, 1>(state.sums, d_s, k_rows);
}

/* K and V of the block of keys from `key` on; `keys` there are. */
template <int D>
AUR_ON_DEVICE void fill_keys(
	const aur_attention_call &call, const aur_attention_place &place, int key, int keys, __nv_bfloat16 *tile)
{
	constexpr int KEYS = keys_of<D>;
	aur_attention_fill_rows<D, KEYS>(call, place, call.k, key, keys, tile);
	aur_attention_fill_rows<D, KEYS>(call, place, call.v, key, keys, tile + KEYS * aur_attention_pitch<D>());
	aur_copy_async_commit();
}

/* The last blocks of queries see the most keys and come first. */
template <int D, bool DROPPED> AUR_KERNEL(128) queries_gradient(aur_attention_call call, int blocks)
{
	AUR_SHARED(float2, stats, QUERIES);
	AUR_SHARED(aur_dropout_sequence, dropout, 1);
	AUR_SHARED_DYNAMIC(__nv_bfloat16, q_tile);
	constexpr int KEYS = keys_of<D>, pitch = D + 8;
	__nv_bfloat16 *const d_out_tile = q_tile + QUERIES * pitch, *const kv_tile = d_out_tile + QUERIES * pitch;
	const aur_attention_place place = aur_attention_place_of(call, blocks);
	const int first = (blocks - 1 - place.block) * QUERIES, end = min(first + QUERIES, call.queries);
	const int warp_row = static_cast<int>(threadIdx.x / 32) * 16;
	if (DROPPED)
		aur_attention_begin_dropout(call, place, dropout);
	aur_attention_fill_rows<D, QUERIES>(call, place, call.q, first, end, q_tile);
	aur_attention_fill_rows<D, QUERIES>(call, place, call.d_out, first, end, d_out_tile);
	fill_keys<D>(call, place, 0, end, kv_tile);
	aur_attention_find_stats<__nv_bfloat16, QUERIES, AUR_ATTENTION_THREADS>(call, place, first, 1, stats);
	gradient<D> state;
	state.scale = call.scale * AUR_LOG2_E;
	state.query = first + warp_row + static_cast<int>(threadIdx.x % 32) / 4;
	for (int key = 0; key < end; key += KEYS) {
		aur_copy_async_wait();
		__syncthreads();
		if (key == 0)
			begin(state, q_tile, d_out_tile, stats);
		if (key + KEYS < end)
			fill_keys<D>(call, place, key + KEYS, end, kv_tile + (key / KEYS + 1) % 2 * 2 * KEYS * pitch);
		for (int step = 0; step < KEYS; step += STEP) {
			const __nv_bfloat16 *rows = kv_tile + (key / KEYS % 2 * 2 * KEYS + step) * pitch;
			if (key + step <= first + warp_row + 15)
				add_keys<D, DROPPED>(state, call, *dropout, key + step, rows, rows + KEYS * pitch);
		}
	}
	const float factor[2] = {call.scale, call.scale};
	aur_attention_store<D>(state.sums[0], factor, q_tile + warp_row * pitch,
		aur_attention_at<__nv_bfloat16>(call.d_q, place, first + warp_row), call.d_q.pitch,
		call.queries - first - warp_row, call.size, call.wide);
}

template <int D, bool DROPPED> aur_status launch(aur_cuda *cuda, const char *who, const aur_attention_call &call)
{
	const size_t bytes = sizeof(__nv_bfloat16) * (D + 8) * (2 * QUERIES + 4 * keys_of<D>);
	AUR_TRY((aur_cuda_allow_shared<queries_gradient<D, DROPPED>>(cuda, who, bytes)));
	return AUR_LAUNCH(who, (queries_gradient<D, DROPPED>), aur_attention_grid(call, QUERIES), AUR_ATTENTION_THREADS,
		bytes, cuda->stream, call, aur_attention_blocks(call, QUERIES));
}

} // namespace

aur_status aur_attention_queries_mma(aur_cuda *cuda, const char *who, const aur_attention_call &call)
{
	return aur_attention_for_size(call.size, [&](auto size) {
		constexpr int d = decltype(size)::value;
		return call.mask.state ? launch<d, true>(cuda, who, call) : launch<d, false>(cuda, who, call);
	});
}
