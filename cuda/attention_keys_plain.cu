#include "attention_plain.cuh"

/* dK and dV in fp32, the second half of the backward pass (formulas in attention_keys.cu), 256 threads for 64 keys of a
 * head against blocks of 64 queries (attention_plain.cuh). Q, K and then d_out, V pass through two tiles; P and dS
 * through two more, from which the last products read them turned.
 *
 * Memory traffic 24 D + 8 bytes a key and head, 4 T^2 D FLOPs, and 2 T^2 D more a chunk of the head beyond the first.
 * GPT-2 124M, B = 64, T = 1024 in fp32: 206 GFLOP and 1.2 GB a layer: 7.7 ms on an H100 at 40% of 67 TFLOP/s. */

namespace
{

/* s, d_p: scores and d_out V^T of the thread's queries and keys become dropout(P) and dS / scale. */
template <bool DROPPED>
AUR_ON_DEVICE void differentiate(aur_plain_weights &s, aur_plain_weights &d_p, const aur_plain_weights &factors,
	float scale, const float2 *stats, int query, int key)
{
	for (int i = 0; i < 4; i++) {
		const float2 row = stats[aur_plain_row() + i];
		for (int j = 0; j < 4; j++) {
			const bool seen = key + aur_plain_column() + 16 * j <= query + aur_plain_row() + i;
			const float factor = DROPPED ? factors.v[i][j] : 1.0f;
			const float p = seen ? aur_exp2(fmaf(s.v[i][j] * scale, AUR_LOG2_E, -row.x)) : 0.0f;
			s.v[i][j] = p * factor;
			d_p.v[i][j] = seen ? p * (d_p.v[i][j] * factor - row.y) : 0.0f;
		}
	}
}

AUR_ON_DEVICE void fill_stats(
	const aur_attention_call &call, const aur_attention_place &place, int query, float2 *stats)
{
	const int mine = query + static_cast<int>(threadIdx.x);
	if (threadIdx.x < AUR_PLAIN_TILE)
		stats[threadIdx.x] =
			mine < call.queries ? call.stats[place.pair * call.queries + mine] : make_float2(0.0f, 0.0f);
}

/* The first blocks of keys are seen by the most queries and come first. */
template <class T, int W, bool DROPPED> AUR_KERNEL(256) keys_gradient(aur_attention_call call, int blocks)
{
	AUR_SHARED(float2, stats, AUR_PLAIN_TILE);
	AUR_SHARED(aur_dropout_sequence, dropout, 1);
	AUR_SHARED_DYNAMIC(float, a);
	float *const b = a + aur_plain_floats<W>, *const p = b + aur_plain_floats<W>,
				 *const d_s = p + aur_plain_weights_floats;
	const aur_attention_place place = aur_attention_place_of(call, blocks);
	const int first = place.block * AUR_PLAIN_TILE, column = static_cast<int>(blockIdx.y) * W;
	if (DROPPED)
		aur_attention_begin_dropout(call, place, dropout);
	aur_plain_sums<W> d_k = {}, d_v = {};
	for (int query = first; query < call.queries; query += AUR_PLAIN_TILE) {
		aur_plain_weights factors = {};
		fill_stats(call, place, query, stats);
		aur_plain_weights d_p =
			aur_plain_products<T, W>(call, place, call.d_out, query, call.v, first, call.queries, a, b);
		aur_plain_weights s = aur_plain_products<T, W>(call, place, call.q, query, call.k, first, call.queries, a, b);
		if (DROPPED)
			factors = aur_plain_draw(*dropout, call.queries, query, first);
		differentiate<DROPPED>(s, d_p, factors, call.scale, stats, query, first);
		aur_plain_put(s, p);
		aur_plain_put(d_p, d_s);
		aur_plain_fill<T, W>(call, place, call.q, query, call.queries, column, a);
		aur_plain_fill<T, W>(call, place, call.d_out, query, call.queries, column, b);
		__syncthreads();
		aur_plain_scatter<W>(d_k, d_s, a);
		aur_plain_scatter<W>(d_v, p, b);
		__syncthreads();
	}
	const float k_factor[4] = {call.scale, call.scale, call.scale, call.scale}, v_factor[4] = {1.0f, 1.0f, 1.0f, 1.0f};
	aur_plain_store<T, W>(call, place, call.d_k, first, d_k, k_factor);
	aur_plain_store<T, W>(call, place, call.d_v, first, d_v, v_factor);
}

template <class T, int W, bool DROPPED>
aur_status launch(aur_cuda *cuda, const char *who, const aur_attention_call &call)
{
	const size_t bytes = sizeof(float) * 2 * (aur_plain_floats<W> + aur_plain_weights_floats);
	AUR_TRY((aur_cuda_allow_shared<keys_gradient<T, W, DROPPED>>(cuda, who, bytes)));
	return AUR_LAUNCH(who, (keys_gradient<T, W, DROPPED>),
		aur_attention_grid(call, AUR_PLAIN_TILE, aur_plain_chunks(call, W)), AUR_PLAIN_THREADS, bytes, cuda->stream,
		call, aur_attention_blocks(call, AUR_PLAIN_TILE));
}

} // namespace

aur_status aur_attention_keys_plain(
	aur_cuda *cuda, const char *who, const aur_attention_call &call, enum aur_dtype type)
{
	return aur_plain_for(type, call.size, [&](auto element, auto chunk) {
		using T = std::remove_const_t<std::remove_pointer_t<decltype(element)>>;
		constexpr int w = decltype(chunk)::value;
		return call.mask.state ? launch<T, w, true>(cuda, who, call) : launch<T, w, false>(cuda, who, call);
	});
}
