#include "attention_plain.cuh"

/* dQ in fp32, the first half of the backward pass (formulas in attention_queries.cu), 256 threads for 64 queries of a
 * head against blocks of 64 keys (attention_plain.cuh). Q, K and then d_out, V pass through two tiles, dS through a
 * third on its way to the last product.
 *
 * Memory traffic 24 D + 12 bytes a query and head, 3 T^2 D FLOPs, and 2 T^2 D more a chunk of the head beyond the
 * first. GPT-2 124M, B = 64, T = 1024 in fp32: 155 GFLOP and 1.2 GB a layer: 5.8 ms on an H100 at 40% of 67 TFLOP/s. */

namespace
{

/* s, d_p: scores and d_out V^T become dS / scale, in s. */
template <bool DROPPED>
AUR_ON_DEVICE void differentiate(aur_plain_weights &s, const aur_plain_weights &d_p, const aur_plain_weights &factors,
	float scale, const float2 *stats, int first, int key)
{
	for (int i = 0; i < 4; i++) {
		const int query = first + aur_plain_row() + i;
		const float2 row = stats[aur_plain_row() + i];
		for (int j = 0; j < 4; j++) {
			const float p = aur_exp2(fmaf(s.v[i][j] * scale, AUR_LOG2_E, -row.x));
			const float d_s = p * ((DROPPED ? d_p.v[i][j] * factors.v[i][j] : d_p.v[i][j]) - row.y);
			s.v[i][j] = key + aur_plain_column() + 16 * j <= query ? d_s : 0.0f;
		}
	}
}

/* The last blocks of queries see the most keys and come first. */
template <class T, int W, bool DROPPED> AUR_KERNEL(256) queries_gradient(aur_attention_call call, int blocks)
{
	AUR_SHARED(float2, stats, AUR_PLAIN_TILE);
	AUR_SHARED(aur_dropout_sequence, dropout, 1);
	AUR_SHARED_DYNAMIC(float, a);
	float *const b = a + aur_plain_floats<W>, *const d_s = b + aur_plain_floats<W>;
	const aur_attention_place place = aur_attention_place_of(call, blocks);
	const int first = (blocks - 1 - place.block) * AUR_PLAIN_TILE, end = min(first + AUR_PLAIN_TILE, call.queries);
	if (DROPPED)
		aur_attention_begin_dropout(call, place, dropout);
	aur_attention_find_stats<T, AUR_PLAIN_TILE, AUR_PLAIN_THREADS>(call, place, first, blockIdx.y == 0, stats);
	aur_plain_sums<W> sums = {};
	for (int key = 0; key < end; key += AUR_PLAIN_TILE) {
		aur_plain_weights factors = {};
		const aur_plain_weights d_p = aur_plain_products<T, W>(call, place, call.d_out, first, call.v, key, end, a, b);
		aur_plain_weights s = aur_plain_products<T, W>(call, place, call.q, first, call.k, key, end, a, b);
		if (DROPPED)
			factors = aur_plain_draw(*dropout, call.queries, first, key);
		differentiate<DROPPED>(s, d_p, factors, call.scale, stats, first, key);
		aur_plain_put(s, d_s);
		aur_plain_fill<T, W>(call, place, call.k, key, end, static_cast<int>(blockIdx.y) * W, b);
		__syncthreads();
		aur_plain_gather<W>(sums, d_s, b);
		__syncthreads();
	}
	const float factor[4] = {call.scale, call.scale, call.scale, call.scale};
	aur_plain_store<T, W>(call, place, call.d_q, first, sums, factor);
}

template <class T, int W, bool DROPPED>
aur_status launch(aur_cuda *cuda, const char *who, const aur_attention_call &call)
{
	const size_t bytes = sizeof(float) * (2 * aur_plain_floats<W> + aur_plain_weights_floats);
	AUR_TRY((aur_cuda_allow_shared<queries_gradient<T, W, DROPPED>>(cuda, who, bytes)));
	return AUR_LAUNCH(who, (queries_gradient<T, W, DROPPED>),
		aur_attention_grid(call, AUR_PLAIN_TILE, aur_plain_chunks(call, W)), AUR_PLAIN_THREADS, bytes, cuda->stream,
		call, aur_attention_blocks(call, AUR_PLAIN_TILE));
}

} // namespace

aur_status aur_attention_queries_plain(
	aur_cuda *cuda, const char *who, const aur_attention_call &call, enum aur_dtype type)
{
	return aur_plain_for(type, call.size, [&](auto element, auto chunk) {
		using T = std::remove_const_t<std::remove_pointer_t<decltype(element)>>;
		constexpr int w = decltype(chunk)::value;
		return call.mask.state ? launch<T, w, true>(cuda, who, call) : launch<T, w, false>(cuda, who, call);
	});
}
