#include "attention_warp.cuh"

/* Forward on the tensor cores:  S = scale Q K^T, P = softmax(S) running over blocks of keys, out = dropout(P) V.
 *
 * A block of 128 threads owns 64 * TILES queries of one head, a warp 16 * TILES of them, and walks over blocks of 64
 * keys. A warp's Q, sums and statistics stay in registers; P never leaves them, as the sums of the first product are
 * laid out as an operand of the second is. K and V of the next block are copied while this one is worked on, so there
 * is one barrier a block of keys. Two tiles a warp halve what it reads of K and V from shared memory for a product,
 * which at one tile would take as long as the product itself (512 bytes at 128 a clock for two of 2,048 multiply-adds);
 * heads above 64 have no registers for two, and dropout, which is bound by arithmetic, gains more from a third block on
 * the multiprocessor. A query's maximum and sum are of fp32 weights before dropout; the weights are rounded to bf16 for
 * the second product. The scale of what dropout keeps is applied at the end.
 *
 * Reads Q once, K and V once for each block of queries that sees them (from the second-level cache after the first);
 * writes out and lse: 8 D + 4 bytes a query and head of memory traffic. 2 T^2 D FLOPs a head, half of 4 T^2 D, as
 * blocks of keys after the last query are left out.
 *
 * GPT-2 124M, B = 64, T = 1024: 103 GFLOP and 0.41 GB a layer, 403 million weights. On an H100 (132 multiprocessors at
 * 1.7 GHz) the memory takes 0.13 ms; the products 0.17 ms at the 600 TFLOP/s that mma.sync is capable of; shared memory
 * 0.11 ms; an exponential a weight 0.11 ms at 16 a clock; all instructions, nine a weight, 0.12 ms. A warp's products
 * and its softmax take turns, which the eight warps of a multiprocessor hide in part: 0.3 to 0.4 ms, 260 to 340 TFLOP/s
 * or 26 to 34% of the chip's 989. Dropout adds sixteen instructions a weight, 0.22 ms.
 *
 * Registers (nvcc 13.0, head 64, without and with dropout; none spills): 8.0 231, 162; 9.0 237, 168; 12.0 255, 167. */

namespace
{

constexpr int KEYS = 64;

/* Of one warp: for each tile of 16 queries, rows g and g + 8 of a lane. `largest` is of scores not yet scaled. */
template <int D, int TILES> struct softmax {
	aur_mma_a q[TILES][D / 16];
	aur_mma_c sums[TILES][D / 8];
	float largest[TILES][2], total[TILES][2];
	float scale; /* of scores, to base 2, not negative */
	int query;   /* of the lane's first row */
};

template <int D, int TILES> AUR_ON_DEVICE void begin(softmax<D, TILES> &state)
{
	AUR_UNROLL
	for (int m = 0; m < TILES; m++) {
		AUR_UNROLL
		for (int n = 0; n < D / 8; n++)
			state.sums[m][n] = {};
		AUR_UNROLL
		for (int i = 0; i < 2; i++) {
			state.largest[m][i] = -INFINITY;
			state.total[m][i] = 0.0f;
		}
	}
}

/* The largest score is found before scaling, so the scale must not turn their order round: the sign goes to Q. A scale
 * of zero becomes one too small to matter, which still sends a masked score to minus infinity. */
template <int D, int TILES>
AUR_ON_DEVICE void load_queries(softmax<D, TILES> &state, const __nv_bfloat16 *rows, float scale)
{
	const uint32_t turned = scale < 0.0f ? 0x80008000u : 0u;
	aur_attention_operands<D, TILES>(state.q, rows);
	AUR_UNROLL
	for (int m = 0; m < TILES; m++) {
		AUR_UNROLL
		for (int k = 0; k < D / 16; k++) {
			AUR_UNROLL
			for (int i = 0; i < 4; i++)
				state.q[m][k].r[i] ^= turned;
		}
	}
	state.scale = fmaxf(fabsf(scale) * AUR_LOG2_E, 1e-30f);
}

/* Keys after the query are not seen. `key` is the lane's first. */
template <int TILES> AUR_ON_DEVICE void hide(aur_mma_c (&s)[TILES][KEYS / 8], int query, int key)
{
	AUR_UNROLL
	for (int m = 0; m < TILES; m++) {
		AUR_UNROLL
		for (int n = 0; n < KEYS / 8; n++) {
			AUR_UNROLL
			for (int i = 0; i < 4; i++)
				if (key + 8 * n + i % 2 > query + 16 * m + i / 2 * 8)
					s[m][n].v[i] = -INFINITY;
		}
	}
}

/* The larger of a lane's maximum so far and all scores of row i of a tile, of which four lanes hold a quarter each. */
AUR_ON_DEVICE float largest_of(const aur_mma_c (&s)[KEYS / 8], int i, float largest)
{
	AUR_UNROLL
	for (int n = 0; n < KEYS / 8; n++)
		largest = fmaxf(largest, fmaxf(s[n].v[2 * i], s[n].v[2 * i + 1]));
	largest = fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, 1));
	return fmaxf(largest, __shfl_xor_sync(0xffffffffu, largest, 2));
}

/* Row i of tile m: scores become weights. Returns what has been summed up so far is to be multiplied with for the new
 * maximum. Totals are of the lane's own quarter until the end. */
template <int D, int TILES>
AUR_ON_DEVICE float weigh_row(softmax<D, TILES> &state, aur_mma_c (&s)[KEYS / 8], int m, int i)
{
	const float largest = largest_of(s, i, state.largest[m][i]);
	const float shrink = aur_exp2((state.largest[m][i] - largest) * state.scale), zero = largest * state.scale;
	float total = state.total[m][i] * shrink;
	AUR_UNROLL
	for (int n = 0; n < KEYS / 8; n++) {
		AUR_UNROLL
		for (int j = 2 * i; j < 2 * i + 2; j++) {
			s[n].v[j] = aur_exp2(fmaf(s[n].v[j], state.scale, -zero));
			total += s[n].v[j];
		}
	}
	state.largest[m][i] = largest;
	state.total[m][i] = total;
	return shrink;
}

/* Most blocks of keys bring no row of the warp a new maximum. */
template <int D, int TILES> AUR_ON_DEVICE void weigh(softmax<D, TILES> &state, aur_mma_c (&s)[TILES][KEYS / 8])
{
	float shrink[TILES][2];
	bool any = false;
	AUR_UNROLL
	for (int m = 0; m < TILES; m++) {
		AUR_UNROLL
		for (int i = 0; i < 2; i++) {
			shrink[m][i] = weigh_row(state, s[m], m, i);
			any = any || shrink[m][i] != 1.0f;
		}
	}
	if (!__any_sync(0xffffffffu, any))
		return;
	AUR_UNROLL
	for (int m = 0; m < TILES; m++) {
		AUR_UNROLL
		for (int n = 0; n < D / 8; n++) {
			AUR_UNROLL
			for (int i = 0; i < 4; i++)
				state.sums[m][n].v[i] *= shrink[m][i / 2];
		}
	}
}

/* What dropout keeps of the lane's rows. Drawn before the scores are there, when registers are free. */
template <int TILES> struct kept_rows {
	aur_attention_kept<KEYS> row[TILES][2];
};

template <int TILES>
AUR_ON_DEVICE kept_rows<TILES> draw(const aur_dropout_sequence &dropout, int columns, int query, int key)
{
	kept_rows<TILES> kept;
	AUR_UNROLL
	for (int m = 0; m < TILES; m++) {
		AUR_UNROLL
		for (int i = 0; i < 2; i++)
			kept.row[m][i] = aur_attention_draw_row<KEYS>(dropout, columns, query + 16 * m + 8 * i, key);
	}
	return kept;
}

template <int TILES> AUR_ON_DEVICE void drop(aur_mma_c (&s)[TILES][KEYS / 8], const kept_rows<TILES> &kept)
{
	const int mine = static_cast<int>(threadIdx.x % 4) * 2;
	AUR_UNROLL
	for (int m = 0; m < TILES; m++) {
		AUR_UNROLL
		for (int n = 0; n < KEYS / 8; n++) {
			AUR_UNROLL
			for (int i = 0; i < 4; i++)
				if (!aur_attention_is_kept(kept.row[m][i / 2], 8 * n + mine + i % 2))
					s[m][n].v[i] = 0.0f;
		}
	}
}

/* Out and lse of a warp's queries, through its rows of the tile that held Q. */
template <int D, int TILES>
AUR_ON_DEVICE void finish(const aur_attention_call &call, const aur_attention_place &place, softmax<D, TILES> &state,
	int first, float kept_scale, __nv_bfloat16 *tile)
{
	const int lane = static_cast<int>(threadIdx.x % 32);
	AUR_UNROLL
	for (int m = 0; m < TILES; m++) {
		float factor[2];
		AUR_UNROLL
		for (int i = 0; i < 2; i++) {
			float total = state.total[m][i];
			total += __shfl_xor_sync(0xffffffffu, total, 1);
			total += __shfl_xor_sync(0xffffffffu, total, 2);
			factor[i] = kept_scale / total;
			const int query = first + 16 * m + lane / 4 + 8 * i;
			if (call.lse && lane % 4 == 0 && query < call.queries)
				call.lse[place.pair * call.queries + query] =
					state.largest[m][i] * (state.scale / AUR_LOG2_E) + logf(total);
		}
		aur_attention_store<D>(state.sums[m], factor, tile + m * 16 * aur_attention_pitch<D>(),
			aur_attention_at<__nv_bfloat16>(call.out, place, first + 16 * m), call.out.pitch,
			call.queries - first - 16 * m, call.size, call.wide);
	}
}

/* K and V of the block of keys from `key` on; `keys` there are. */
template <int D>
AUR_ON_DEVICE void fill_keys(
	const aur_attention_call &call, const aur_attention_place &place, int key, int keys, __nv_bfloat16 *tile)
{
	aur_attention_fill_rows<D, KEYS>(call, place, call.k, key, keys, tile);
	aur_attention_fill_rows<D, KEYS>(call, place, call.v, key, keys, tile + KEYS * aur_attention_pitch<D>());
	aur_copy_async_commit();
}

template <int D, int TILES, bool DROPPED>
AUR_ON_DEVICE void add_keys(softmax<D, TILES> &state, const aur_attention_call &call,
	const aur_dropout_sequence &dropout, int key, const __nv_bfloat16 *tile)
{
	const int lane_key = key + static_cast<int>(threadIdx.x % 4) * 2;
	aur_mma_c s[TILES][KEYS / 8];
	aur_mma_a p[TILES][KEYS / 16];
	kept_rows<TILES> kept;
	if (DROPPED)
		kept = draw<TILES>(dropout, call.queries, state.query, key);
	aur_attention_scores<D, TILES>(s, state.q, tile);
	if (key + KEYS - 1 > state.query - static_cast<int>(threadIdx.x % 32) / 4)
		hide(s, state.query, lane_key);
	weigh(state, s);
	if (DROPPED)
		drop(s, kept);
	aur_attention_narrow(p, s);
	aur_attention_gather<D, TILES>(state.sums, p, tile + KEYS * aur_attention_pitch<D>());
}

template <int D, bool DROPPED> constexpr int tiles_of = D <= (DROPPED ? 32 : 64) ? 2 : 1;
template <int D, bool DROPPED> constexpr int rows_of = AUR_ATTENTION_WARPS * 16 * tiles_of<D, DROPPED>;

/* Blocks on a multiprocessor for whose number registers are rationed; 0 leaves it to the compiler. */
template <int D, bool DROPPED> constexpr int resident = D != 64 ? 0 : DROPPED ? 3 : 2;

/* The last blocks of queries see the most keys and come first. */
template <int D, bool DROPPED>
AUR_KERNEL_RESIDENT(128, (resident<D, DROPPED>))
forward(aur_attention_call call, int blocks)
{
	AUR_SHARED(aur_dropout_sequence, dropout, 1);
	AUR_SHARED_DYNAMIC(__nv_bfloat16, q_tile);
	constexpr int tiles = tiles_of<D, DROPPED>, rows = rows_of<D, DROPPED>, pitch = D + 8;
	__nv_bfloat16 *const kv_tile = q_tile + rows * pitch;
	const aur_attention_place place = aur_attention_place_of(call, blocks);
	const int first = (blocks - 1 - place.block) * rows, end = min(first + rows, call.queries);
	const int warp_row = static_cast<int>(threadIdx.x / 32) * 16 * tiles, keys = call.past + end;
	if (DROPPED)
		aur_attention_begin_dropout(call, place, dropout);
	softmax<D, tiles> state;
	begin(state);
	state.query = call.past + first + warp_row + static_cast<int>(threadIdx.x % 32) / 4;
	aur_attention_fill_rows<D, rows>(call, place, call.q, first, end, q_tile);
	fill_keys<D>(call, place, 0, keys, kv_tile);
	for (int key = 0; key < keys; key += KEYS) {
		aur_copy_async_wait();
		__syncthreads();
		if (key == 0)
			load_queries(state, q_tile + warp_row * pitch, call.scale);
		if (key + KEYS < keys)
			fill_keys<D>(call, place, key + KEYS, keys, kv_tile + (key / KEYS + 1) % 2 * 2 * KEYS * pitch);
		if (key <= call.past + first + warp_row + 16 * tiles - 1)
			add_keys<D, tiles, DROPPED>(state, call, *dropout, key, kv_tile + key / KEYS % 2 * 2 * KEYS * pitch);
	}
	finish(call, place, state, first + warp_row, DROPPED ? dropout->scale : 1.0f, q_tile + warp_row * pitch);
}

template <int D, bool DROPPED> aur_status launch(aur_cuda *cuda, const char *who, const aur_attention_call &call)
{
	constexpr int rows = rows_of<D, DROPPED>;
	const size_t bytes = sizeof(__nv_bfloat16) * (D + 8) * (rows + 4 * KEYS);
	AUR_TRY((aur_cuda_allow_shared<forward<D, DROPPED>>(cuda, who, bytes)));
	return AUR_LAUNCH(who, (forward<D, DROPPED>), aur_attention_grid(call, rows), AUR_ATTENTION_THREADS, bytes,
		cuda->stream, call, aur_attention_blocks(call, rows));
}

} // namespace

aur_status aur_attention_forward_mma(aur_cuda *cuda, const char *who, const aur_attention_call &call)
{
	return aur_attention_for_size(call.size, [&](auto size) {
		constexpr int d = decltype(size)::value;
		return call.mask.state ? launch<d, true>(cuda, who, call) : launch<d, false>(cuda, who, call);
	});
}
