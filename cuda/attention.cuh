#ifndef AUR_CUDA_ATTENTION_CUH
#define AUR_CUDA_ATTENTION_CUH

/* What the files of attention share. The kernels, each tiled as Dao et al. 2022, arXiv:2205.14135:
 *
 *   attention_forward.cu   out, lse     a block owns queries and walks over keys      2 products
 *   attention_queries.cu   dQ           the same, and delta on the way                3
 *   attention_keys.cu      dK, dV       a block owns keys and walks over queries      4
 *   attention_plain*.cu    the same three on plain arithmetic units: fp32, and bf16 of heads above 128
 *   attention_one_query.cu a few new rows against a cache
 *
 * A product is T^2 / 2 * D multiply-adds a head. The backward pass takes seven where five would do: P and dP are
 * computed once for dQ and once more for dK and dV, since a block that owned keys could add its share to dQ only in an
 * order that changes from run to run, or in memory of T / 64 times the size of dQ. So no sum depends on which block is
 * first.
 */

#include "internal.cuh"

#include "dropout.cuh"
#include "mma.cuh"
#include "vector.cuh"

#include <math.h>
#include <type_traits>

/* exp(x) = 2^(x * this) */
#define AUR_LOG2_E 1.4426950408889634f

/* Where one tensor's rows lie: row t of head h of sequence b begins at element b*sequence + h*head + t*pitch. */
struct aur_attention_rows {
	void *data;
	int64_t sequence, head, pitch;
};

/* One call, as the kernels are given it, by value. */
struct aur_attention_call {
	aur_attention_rows q, k, v, out;
	aur_attention_rows d_out, d_q, d_k, d_v; /* backward */
	float *lse;                              /* [B,H,queries]; NULL: not wanted */
	float2 *stats;                           /* [B,H,queries]: lse / ln 2, delta; dQ's kernel writes it for dK's */
	int64_t pairs;                           /* B*H */
	int heads, size;                         /* H, D */
	int queries, past;                       /* query i is at position past + i and sees the keys up to it */
	int wide;                                /* rows may be read sixteen bytes at a time */
	float scale;
	aur_dropout_mask mask;
};

/* What a block works on. */
struct aur_attention_place {
	int64_t pair, sequence;
	int head, block;
};

/* Blocks of one head lie side by side in the grid, so that they find its keys and values in the second-level cache. */
AUR_ON_DEVICE aur_attention_place aur_attention_place_of(const aur_attention_call &call, int blocks)
{
	aur_attention_place place;
	place.pair = blockIdx.x / static_cast<unsigned>(blocks);
	place.sequence = place.pair / call.heads;
	place.head = static_cast<int>(place.pair % call.heads);
	place.block = static_cast<int>(blockIdx.x % static_cast<unsigned>(blocks));
	return place;
}

template <class T>
AUR_ON_DEVICE T *aur_attention_at(const aur_attention_rows &rows, const aur_attention_place &place, int64_t row)
{
	return static_cast<T *>(rows.data) + place.sequence * rows.sequence + place.head * rows.head + row * rows.pitch;
}

/* The masks of the block's head, which stay in shared memory: in registers the compiler would keep the keys of all
 * rounds of Philox with them. Usable after the next barrier. */
AUR_ON_DEVICE void aur_attention_begin_dropout(
	const aur_attention_call &call, const aur_attention_place &place, aur_dropout_sequence *dropout)
{
	if (threadIdx.x == 0)
		*dropout = aur_dropout_sequence_of(call.mask, static_cast<uint32_t>(place.head), place.sequence);
}

/* Which of KEYS neighbouring keys a query's row of weights keeps: key c of them is bit c % 32 of word[c / 32]. */
template <int KEYS> struct aur_attention_kept {
	uint32_t word[KEYS / 32];
};

/* Bit i: key i of the eight that this draw of Philox is for is kept. */
AUR_ON_DEVICE uint32_t aur_attention_draw(const aur_dropout_sequence &dropout, int columns, int query, int key)
{
	const uint32_t groups = static_cast<uint32_t>((columns + 7) / 8);
	const uint4 words =
		aur_dropout_words(dropout, static_cast<uint32_t>(query) * groups + static_cast<uint32_t>(key / 8));
	uint32_t kept = 0;
	AUR_UNROLL
	for (int i = 0; i < 8; i++)
		kept |= aur_dropout_half(words, i) < dropout.threshold ? 0u : 1u << i;
	return kept;
}

/* Four neighbouring lanes name the same query and the same first key, a multiple of 32; each draws a quarter. */
template <int KEYS>
AUR_ON_DEVICE aur_attention_kept<KEYS> aur_attention_draw_row(
	const aur_dropout_sequence &dropout, int columns, int query, int key)
{
	const int lane = static_cast<int>(threadIdx.x % 4);
	aur_attention_kept<KEYS> kept;
	AUR_UNROLL
	for (int i = 0; i < KEYS / 32; i++) {
		uint32_t word = aur_attention_draw(dropout, columns, query, key + 32 * i + 8 * lane) << 8 * lane;
		word |= __shfl_xor_sync(0xffffffffu, word, 1);
		kept.word[i] = word | __shfl_xor_sync(0xffffffffu, word, 2);
	}
	return kept;
}

template <int KEYS> AUR_ON_DEVICE int aur_attention_is_kept(const aur_attention_kept<KEYS> &kept, int key)
{
	return static_cast<int>(kept.word[key / 32] >> key % 32 & 1u);
}

/* Sum of d_out * out of the head's row `query`, by the LANES threads (1 to 32 neighbouring ones, a power of two) that
 * call with it; all get the result. `part` tells them apart. 0 where the query is not there. */
template <class T, int LANES>
AUR_ON_DEVICE float aur_attention_delta(
	const aur_attention_call &call, const aur_attention_place &place, int query, int part)
{
	float sum = 0.0f;
	if (query < call.queries) {
		const T *out = aur_attention_at<T>(call.out, place, query),
				*d_out = aur_attention_at<T>(call.d_out, place, query);
		for (int d = 8 * part; d < call.size; d += 8 * LANES) {
			float x[8], y[8];
			aur_load8(out + d, call.size - d, call.wide, x);
			aur_load8(d_out + d, call.size - d, call.wide, y);
			for (int i = 0; i < 8; i++)
				sum += x[i] * y[i];
		}
	}
	for (int distance = LANES / 2; distance > 0; distance /= 2)
		sum += __shfl_xor_sync(0xffffffffu, sum, distance);
	return sum;
}

/* The block's rows of call.stats, into memory (here `stats` [ROWS] of the block) and to where dK's kernel finds it. */
template <class T, int ROWS, int THREADS>
AUR_ON_DEVICE void aur_attention_find_stats(
	const aur_attention_call &call, const aur_attention_place &place, int first, int keep, float2 *stats)
{
	constexpr int lanes = THREADS / ROWS;
	const int row = static_cast<int>(threadIdx.x) / lanes, query = first + row;
	const float delta = aur_attention_delta<T, lanes>(call, place, query, static_cast<int>(threadIdx.x) % lanes);
	if (threadIdx.x % lanes != 0)
		return;
	const int64_t at = place.pair * call.queries + query;
	stats[row] = make_float2(query < call.queries ? call.lse[at] * AUR_LOG2_E : 0.0f, delta);
	if (keep && query < call.queries)
		call.stats[at] = stats[row];
}

/* Blocks of one head for rows of queries or keys. */
static inline int aur_attention_blocks(const aur_attention_call &call, int rows)
{
	return (call.queries + rows - 1) / rows;
}

/* A grid of them, each in `chunks` parts. */
static inline dim3 aur_attention_grid(const aur_attention_call &call, int rows, int chunks = 1)
{
	return dim3(static_cast<unsigned>(call.pairs * aur_attention_blocks(call, rows)), static_cast<unsigned>(chunks));
}

/* On the tensor cores, for heads up to this size. */
enum { AUR_ATTENTION_MMA_SIZE = 128 };
aur_status aur_attention_forward_mma(aur_cuda *cuda, const char *who, const aur_attention_call &call);
aur_status aur_attention_queries_mma(aur_cuda *cuda, const char *who, const aur_attention_call &call);
aur_status aur_attention_keys_mma(aur_cuda *cuda, const char *who, const aur_attention_call &call);

/* On the plain arithmetic units, for heads of any size. */
aur_status aur_attention_forward_plain(
	aur_cuda *cuda, const char *who, const aur_attention_call &call, enum aur_dtype type);
aur_status aur_attention_queries_plain(
	aur_cuda *cuda, const char *who, const aur_attention_call &call, enum aur_dtype type);
aur_status aur_attention_keys_plain(
	aur_cuda *cuda, const char *who, const aur_attention_call &call, enum aur_dtype type);

/* Whichever of the two suits the type and the head. */
aur_status aur_attention_forward_by_type(
	aur_cuda *cuda, const char *who, const aur_attention_call &call, enum aur_dtype type);

/* The operations by the kernels above, for every shape; shapes are checked already. The backward pass uses
 * cuda->scratch, as aur_attention_scratch_cuda says, from its start. */
aur_status aur_attention_forward_tiled(aur_cuda *cuda, const aur_attention_forward *op);
aur_status aur_attention_backward_tiled(aur_cuda *cuda, const aur_attention_backward *op);

/* What is common to the calls: packed Q, K, V and out, sizes, scale. The rest is zero. */
aur_attention_call aur_attention_call_of(
	const aur_tensor &qkv, const aur_tensor &out, int64_t batch, int64_t positions, int64_t heads, float scale);

/* Heads of `size` numbers from number `first` on in rows of `pitch`. */
static inline aur_attention_rows aur_attention_packed(
	const aur_tensor &tensor, int64_t positions, int64_t pitch, int64_t size, int64_t first)
{
	aur_attention_rows rows;
	rows.data = static_cast<char *>(tensor.data) + first * static_cast<int64_t>(aur_dtype_bytes(tensor.dtype));
	rows.sequence = positions * pitch;
	rows.head = size;
	rows.pitch = pitch;
	return rows;
}

#endif
