#include "attention_warp.cuh"

/* dK and dV on the tensor cores, the second half of the backward pass. All is turned: rows are keys, columns queries.
 *
 *   P^T = exp(scale K Q^T - lse)      dP^T = dropout(V d_out^T)      dS^T = P^T (dP^T - delta)
 *   dV = dropout(P)^T d_out           dK = scale dS^T Q
 *
 * A block of 128 threads owns 64 keys of one head, a warp 16, and walks over blocks of queries from its first key on:
 * of 64, above heads of 64 of 32, in both cases 32 at a time for want of registers. K and V stay in registers as
 * operands (above heads of 64 they are read from shared memory again and again); P^T and dS^T go from sums to operands
 * there, rounded to bf16, so that nothing but Q and d_out is read from shared memory, each once as it is and once
 * turned. The logarithms and delta come from the kernel of dQ. Dropout's bits are drawn once each, a query's by one
 * lane, and handed round; the scale of what is kept is applied to dV at the end.
 *
 * Reads K and V once, Q, d_out and the statistics once for each block of keys that they see (from the second-level
 * cache after the first); writes dK and dV: 12 D + 8 bytes a key and head of memory traffic. 4 T^2 D FLOPs a head.
 *
 * GPT-2 124M, B = 64, T = 1024: 206 GFLOP and 0.61 GB a layer. On an H100 the memory takes 0.18 ms; the products
 * 0.36 ms at 600 TFLOP/s; shared memory, Q and d_out twice for 16 keys, 0.45 ms and the limit; exponentials 0.11 ms;
 * all instructions, sixteen a weight, 0.22 ms: 0.6 to 0.75 ms in all, 275 to 340 TFLOP/s. With dQ's kernel the backward
 * pass takes 1.05 to 1.3 ms a layer, of which only five of seven products count: 200 to 245 TFLOP/s. Dropout adds
 * twenty instructions a weight, 0.28 ms.
 *
 * Registers (nvcc 13.0, head 64, without and with dropout; none spills): 8.0 190, 206; 9.0 198, 206; 12.0 215, 231. */

namespace
{

constexpr int KEYS = AUR_ATTENTION_WARPS * 16, STEP = 32;
template <int D> constexpr int queries_of = D <= 64 ? 64 : STEP;
template <int D> constexpr bool held = D <= 64; /* K and V in registers */

/* Of one warp's 16 keys, rows g and g + 8 of a lane. */
template <int D> struct gradient {
	aur_mma_a k[1][D / 16], v[1][D / 16]; /* where held */
	const __nv_bfloat16 *k_rows, *v_rows; /* in shared memory */
	aur_mma_c d_k[1][D / 8], d_v[1][D / 8];
	float scale; /* of scores, to base 2 */
	int key;     /* of the lane's first row */
	int warp_key;
};

template <int D> AUR_ON_DEVICE void clear(gradient<D> &state)
{
	AUR_UNROLL
	for (int n = 0; n < D / 8; n++)
		state.d_k[0][n] = state.d_v[0][n] = {};
}

template <int D> AUR_ON_DEVICE void load_keys(gradient<D> &state)
{
	if (!held<D>)
		return;
	aur_attention_operands<D, 1>(state.k, state.k_rows);
	aur_attention_operands<D, 1>(state.v, state.v_rows);
}

/* Before scaling and dropout. */
template <int D>
AUR_ON_DEVICE void products_of(const gradient<D> &state, const __nv_bfloat16 *q_rows, const __nv_bfloat16 *d_out_rows,
	aur_mma_c (&s)[1][STEP / 8], aur_mma_c (&d_p)[1][STEP / 8])
{
	if (held<D>) {
		aur_attention_scores<D, 1>(s, state.k, q_rows);
		aur_attention_scores<D, 1>(d_p, state.v, d_out_rows);
	} else {
		aur_attention_scores_of_rows<D>(s, state.k_rows, q_rows);
		aur_attention_scores_of_rows<D>(d_p, state.v_rows, d_out_rows);
	}
}

/* What dropout keeps of the lane's 16 weights: bit 2 n + j + 8 i is of query 8 n + 2 t + j from `first` on and the key
 * of row g + 8 i. Each lane draws one query's sixteen keys, the warp's, and the lanes then hand them round. */
AUR_ON_DEVICE uint32_t draw(const aur_dropout_sequence &dropout, int columns, int first, int key)
{
	const int lane = static_cast<int>(threadIdx.x % 32);
	const uint32_t row = aur_attention_draw(dropout, columns, first + lane, key) |
						 aur_attention_draw(dropout, columns, first + lane, key + 8) << 8;
	uint32_t kept = 0;
	AUR_UNROLL
	for (int i = 0; i < STEP / 4; i++) {
		const uint32_t other = __shfl_sync(0xffffffffu, row, i / 2 * 8 + lane % 4 * 2 + i % 2);
		kept |= (other >> lane / 4 & 0x101u) << i;
	}
	return kept;
}

/* s [16 keys, 8 queries] becomes dropout(P)^T but for its scale, d_p dS^T / scale. stats of the lane's two queries, of
 * which `query` is the first; `kept` has its four weights as bits 0, 1, 8, 9. MASKED: some keys may not be seen. */
template <int D, bool DROPPED, bool MASKED>
AUR_ON_DEVICE void differentiate(const gradient<D> &state, aur_mma_c &s, aur_mma_c &d_p, int query, const float4 &stats,
	float kept_scale, uint32_t kept)
{
	AUR_UNROLL
	for (int i = 0; i < 4; i++) {
		const bool keep = !DROPPED || kept >> (i % 2 + i / 2 * 8) & 1u;
		const bool seen = !MASKED || state.key + i / 2 * 8 <= query + i % 2;
		const float p = aur_exp2(fmaf(s.v[i], state.scale, -(i % 2 ? stats.z : stats.x)));
		const float dropped = DROPPED ? d_p.v[i] * (keep ? kept_scale : 0.0f) : d_p.v[i];
		const float d_s = p * (dropped - (i % 2 ? stats.w : stats.y));
		s.v[i] = seen && keep ? p : 0.0f;
		d_p.v[i] = seen ? d_s : 0.0f;
	}
}

/* 32 queries from `query` on, whose Q, d_out and statistics begin there. */
template <int D, bool DROPPED, bool MASKED>
AUR_ON_DEVICE void add_queries(gradient<D> &state, const aur_attention_call &call, const aur_dropout_sequence &dropout,
	int query, const __nv_bfloat16 *q_rows, const __nv_bfloat16 *d_out_rows, const float2 *stats)
{
	const int mine = static_cast<int>(threadIdx.x % 4) * 2;
	aur_mma_c s[1][STEP / 8], d_p[1][STEP / 8];
	aur_mma_a operand[1][STEP / 16];
	const uint32_t kept = DROPPED ? draw(dropout, call.queries, query, state.warp_key) : 0;
	products_of(state, q_rows, d_out_rows, s, d_p);
	AUR_UNROLL
	for (int n = 0; n < STEP / 8; n++) {
		const float4 pair = *reinterpret_cast<const float4 *>(stats + 8 * n + mine);
		differentiate<D, DROPPED, MASKED>(
			state, s[0][n], d_p[0][n], query + 8 * n + mine, pair, DROPPED ? dropout.scale : 1.0f, kept >> 2 * n);
	}
	aur_attention_narrow(operand, s);
	aur_attention_gather<D, 1>(state.d_v, operand, d_out_rows);
	aur_attention_narrow(operand, d_p);
	aur_attention_gather<D, 1>(state.d_k, operand, q_rows);
}

/* Q, d_out and statistics of the block of queries from `query` on. */
template <int D>
AUR_ON_DEVICE void fill_queries(
	const aur_attention_call &call, const aur_attention_place &place, int query, __nv_bfloat16 *tile, float2 *stats)
{
	constexpr int QUERIES = queries_of<D>;
	const int mine = query + static_cast<int>(threadIdx.x);
	aur_attention_fill_rows<D, QUERIES>(call, place, call.q, query, call.queries, tile);
	aur_attention_fill_rows<D, QUERIES>(
		call, place, call.d_out, query, call.queries, tile + QUERIES * aur_attention_pitch<D>());
	if (threadIdx.x < QUERIES)
		aur_copy_async<8>(stats + threadIdx.x,
			call.stats + place.pair * call.queries + (mine < call.queries ? mine : 0), mine < call.queries);
	aur_copy_async_commit();
}

/* dK and dV of the warp's keys, through its rows of the tiles that held K and V. */
template <int D>
AUR_ON_DEVICE void finish(const aur_attention_call &call, const aur_attention_place &place, const gradient<D> &state,
	float kept_scale, __nv_bfloat16 *k_rows, __nv_bfloat16 *v_rows)
{
	const int filled = call.queries - state.warp_key;
	const float k_factor[2] = {call.scale, call.scale}, v_factor[2] = {kept_scale, kept_scale};
	aur_attention_store<D>(state.d_k[0], k_factor, k_rows,
		aur_attention_at<__nv_bfloat16>(call.d_k, place, state.warp_key), call.d_k.pitch, filled, call.size, call.wide);
	aur_attention_store<D>(state.d_v[0], v_factor, v_rows,
		aur_attention_at<__nv_bfloat16>(call.d_v, place, state.warp_key), call.d_v.pitch, filled, call.size, call.wide);
}

/* The first blocks of keys are seen by the most queries and come first. */
template <int D, bool DROPPED>
AUR_KERNEL_RESIDENT(128, D == 32 ? 3 : 2)
keys_gradient(aur_attention_call call, int blocks)
{
	constexpr int QUERIES = queries_of<D>, pitch = D + 8, stage = 2 * QUERIES * pitch;
	AUR_SHARED(float2, stats, 2 * QUERIES);
	AUR_SHARED(aur_dropout_sequence, dropout, 1);
	AUR_SHARED_DYNAMIC(__nv_bfloat16, k_tile);
	__nv_bfloat16 *const v_tile = k_tile + KEYS * pitch, *const tile = v_tile + KEYS * pitch;
	const aur_attention_place place = aur_attention_place_of(call, blocks);
	const int first = place.block * KEYS, warp_row = static_cast<int>(threadIdx.x / 32) * 16;
	if (DROPPED)
		aur_attention_begin_dropout(call, place, dropout);
	gradient<D> state;
	clear(state);
	state.scale = call.scale * AUR_LOG2_E;
	state.warp_key = first + warp_row;
	state.k_rows = k_tile + warp_row * pitch;
	state.v_rows = v_tile + warp_row * pitch;
	state.key = state.warp_key + static_cast<int>(threadIdx.x % 32) / 4;
	aur_attention_fill_rows<D, KEYS>(call, place, call.k, first, call.queries, k_tile);
	aur_attention_fill_rows<D, KEYS>(call, place, call.v, first, call.queries, v_tile);
	fill_queries<D>(call, place, first, tile, stats);
	for (int query = first, turn = 0; query < call.queries; query += QUERIES, turn ^= 1) {
		aur_copy_async_wait();
		__syncthreads();
		if (query == first)
			load_keys(state);
		if (query + QUERIES < call.queries)
			fill_queries<D>(call, place, query + QUERIES, tile + (turn ^ 1) * stage, stats + (turn ^ 1) * QUERIES);
		for (int step = 0; step < QUERIES; step += STEP) {
			const __nv_bfloat16 *rows = tile + turn * stage + step * pitch;
			const __nv_bfloat16 *const d_out_rows = rows + QUERIES * pitch;
			const float2 *const row_stats = stats + turn * QUERIES + step;
			if (query + step >= state.warp_key + 15 && query + step < call.queries)
				add_queries<D, DROPPED, false>(state, call, *dropout, query + step, rows, d_out_rows, row_stats);
			else if (query + step + STEP > state.warp_key && query + step < call.queries)
				add_queries<D, DROPPED, true>(state, call, *dropout, query + step, rows, d_out_rows, row_stats);
		}
	}
	finish(call, place, state, DROPPED ? dropout->scale : 1.0f, k_tile + warp_row * pitch, v_tile + warp_row * pitch);
}

template <int D, bool DROPPED> aur_status launch(aur_cuda *cuda, const char *who, const aur_attention_call &call)
{
	const size_t bytes = sizeof(__nv_bfloat16) * (D + 8) * (2 * KEYS + 4 * queries_of<D>);
	AUR_TRY((aur_cuda_allow_shared<keys_gradient<D, DROPPED>>(cuda, who, bytes)));
	return AUR_LAUNCH(who, (keys_gradient<D, DROPPED>), aur_attention_grid(call, KEYS), AUR_ATTENTION_THREADS, bytes,
		cuda->stream, call, aur_attention_blocks(call, KEYS));
}

} // namespace

aur_status aur_attention_keys_mma(aur_cuda *cuda, const char *who, const aur_attention_call &call)
{
	return aur_attention_for_size(call.size, [&](auto size) {
		constexpr int d = decltype(size)::value;
		return call.mask.state ? launch<d, true>(cuda, who, call) : launch<d, false>(cuda, who, call);
	});
}
