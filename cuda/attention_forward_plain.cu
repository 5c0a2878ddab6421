#include "attention_plain.cuh"

/* Forward in fp32:  x = scale Q K^T, P = softmax(x) running over blocks of keys, out = dropout(P) V.
 *
 * 256 threads own 64 queries of a head and walk over blocks of 64 keys (attention_plain.cuh). A row's maximum is found
 * by the sixteen threads that share it, its sum at the end; P goes through shared memory to the second product, K and V
 * share one tile.
 *
 * Memory traffic 16 D + 4 bytes a query and head, 2 T^2 D FLOPs, and T^2 D more a chunk of the head beyond the first.
 * GPT-2 124M, B = 64, T = 1024 in fp32: 103 GFLOP and 0.8 GB a layer. On an H100 at 67 TFLOP/s, of which each
 * multiply-add's shared-memory reads leave some 40%: 3.9 ms. */

namespace
{

struct softmax {
	float largest[4], total[4];
};

/* Scores of four rows become weights; returns in `shrink` what earlier sums are multiplied with. */
AUR_ON_DEVICE void weigh(softmax &state, aur_plain_weights &s, float scale, int query, int key, float (&shrink)[4])
{
	for (int i = 0; i < 4; i++) {
		float largest = state.largest[i];
		for (int j = 0; j < 4; j++) {
			const bool seen = key + 16 * j <= query + i;
			s.v[i][j] = seen ? s.v[i][j] * scale : -INFINITY;
			largest = fmaxf(largest, s.v[i][j]);
		}
		for (int distance = 8; distance > 0; distance /= 2)
			largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, distance));
		shrink[i] = aur_exp2((state.largest[i] - largest) * AUR_LOG2_E);
		state.total[i] *= shrink[i];
		for (int j = 0; j < 4; j++) {
			s.v[i][j] = aur_exp2((s.v[i][j] - largest) * AUR_LOG2_E);
			state.total[i] += s.v[i][j];
		}
		state.largest[i] = largest;
	}
}

AUR_ON_DEVICE float total_of_row(float total)
{
	for (int distance = 8; distance > 0; distance /= 2)
		total += __shfl_xor_sync(0xffffffffu, total, distance);
	return total;
}

template <class T, int W>
AUR_ON_DEVICE void finish(const aur_attention_call &call, const aur_attention_place &place, const softmax &state,
	const aur_plain_sums<W> &sums, int first)
{
	float factor[4];
	for (int i = 0; i < 4; i++) {
		const int query = first + aur_plain_row() + i;
		const float total = total_of_row(state.total[i]);
		factor[i] = 1.0f / total;
		if (call.lse && blockIdx.y == 0 && aur_plain_column() == 0 && query < call.queries)
			call.lse[place.pair * call.queries + query] = state.largest[i] + logf(total);
	}
	aur_plain_store<T, W>(call, place, call.out, first, sums, factor);
}

/* The last blocks of queries see the most keys and come first. */
template <class T, int W, bool DROPPED> AUR_KERNEL(256) forward(aur_attention_call call, int blocks)
{
	AUR_SHARED(aur_dropout_sequence, dropout, 1);
	AUR_SHARED_DYNAMIC(float, q_tile);
	float *const kv_tile = q_tile + aur_plain_floats<W>, *const p = kv_tile + aur_plain_floats<W>;
	const aur_attention_place place = aur_attention_place_of(call, blocks);
	const int first = (blocks - 1 - place.block) * AUR_PLAIN_TILE,
			  keys = call.past + min(first + AUR_PLAIN_TILE, call.queries);
	if (DROPPED)
		aur_attention_begin_dropout(call, place, dropout);
	softmax state;
	for (int i = 0; i < 4; i++) {
		state.largest[i] = -INFINITY;
		state.total[i] = 0.0f;
	}
	aur_plain_sums<W> sums = {};
	for (int key = 0; key < keys; key += AUR_PLAIN_TILE) {
		float shrink[4];
		aur_plain_weights s = aur_plain_products<T, W>(call, place, call.q, first, call.k, key, keys, q_tile, kv_tile);
		weigh(state, s, call.scale, call.past + first + aur_plain_row(), key + aur_plain_column(), shrink);
		if (DROPPED) {
			const aur_plain_weights factors = aur_plain_draw(*dropout, call.queries, first, key);
			for (int i = 0; i < 16; i++)
				s.v[i / 4][i % 4] *= factors.v[i / 4][i % 4];
		}
		for (int i = 0; i < 4; i++)
			for (int c = 0; c < W / 16; c++)
				sums.v[i][c] *= shrink[i];
		aur_plain_put(s, p);
		aur_plain_fill<T, W>(call, place, call.v, key, keys, static_cast<int>(blockIdx.y) * W, kv_tile);
		__syncthreads();
		aur_plain_gather<W>(sums, p, kv_tile);
		__syncthreads();
	}
	finish<T, W>(call, place, state, sums, first);
}

template <class T, int W, bool DROPPED>
aur_status launch(aur_cuda *cuda, const char *who, const aur_attention_call &call)
{
	const size_t bytes = sizeof(float) * (2 * aur_plain_floats<W> + aur_plain_weights_floats);
	AUR_TRY((aur_cuda_allow_shared<forward<T, W, DROPPED>>(cuda, who, bytes)));
	return AUR_LAUNCH(who, (forward<T, W, DROPPED>),
		aur_attention_grid(call, AUR_PLAIN_TILE, aur_plain_chunks(call, W)), AUR_PLAIN_THREADS, bytes, cuda->stream,
		call, aur_attention_blocks(call, AUR_PLAIN_TILE));
}

} // namespace

aur_status aur_attention_forward_plain(
	aur_cuda *cuda, const char *who, const aur_attention_call &call, enum aur_dtype type)
{
	return aur_plain_for(type, call.size, [&](auto element, auto chunk) {
		using T = std::remove_const_t<std::remove_pointer_t<decltype(element)>>;
		constexpr int w = decltype(chunk)::value;
		return call.mask.state ? launch<T, w, true>(cuda, who, call) : launch<T, w, false>(cuda, who, call);
	});
}
