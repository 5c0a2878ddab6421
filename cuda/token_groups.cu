#include "token_groups.cuh"

#include "reduce.cuh"
#include "vector.cuh"

/* A radix sort by eight bits at a time, from the lowest: two passes for gpt2's vocabulary, one for characters. Each is
 * stable, so equal tokens stay in order of position.
 *
 * The tokens are cut into tiles, at most 512 of them. A pass counts each tile's digits (integer atomics in shared
 * memory: a count has no order); then each tile adds up the counts of all tiles for itself, which gives where its first
 * token of each digit goes, and moves its tokens: warp after warp and lane after lane in order of position, by votes.
 *
 * 24 bytes a token and pass, and 256 counts a tile. For 65,536 tokens a pass is two launches of 32 blocks: a few us. */

namespace
{

enum { THREADS = 256, WARPS = THREADS / AUR_LANES, DIGITS = 256, BITS = 8 };
constexpr int64_t SMALL_TILE = 2048, MOST_TILES = 512;
static_assert(THREADS == DIGITS, "a thread answers for a digit");

/* What a pass sorts. position == NULL: token i stands at position i. */
struct pass {
	const int32_t *token, *position;
	int32_t *to_token, *to_position;
	int32_t *counts; /* [tiles, DIGITS] */
	int64_t n, tile;
	int32_t vocabulary;
	int shift;
	int32_t *fault;
	int32_t fault_code;
};

/* Tokens of a tile: a whole number for each warp. */
int64_t tile_of(int64_t n)
{
	const int64_t most = SMALL_TILE * MOST_TILES;
	return SMALL_TILE * (n > 0 ? (n + most - 1) / most : 1);
}

int64_t tiles_of(int64_t n)
{
	return (n + tile_of(n) - 1) / tile_of(n);
}

AUR_ON_DEVICE int32_t token_at(const pass &p, int64_t i)
{
	const int32_t token = p.token[i];
	return token >= 0 && token < p.vocabulary ? token : p.vocabulary;
}

AUR_ON_DEVICE int digit_of(const pass &p, int32_t token)
{
	return token >> p.shift & (DIGITS - 1);
}

AUR_KERNEL(THREADS) count_digits(const pass p)
{
	AUR_SHARED(int32_t, count, DIGITS);
	const int64_t begin = blockIdx.x * p.tile, end = begin + p.tile < p.n ? begin + p.tile : p.n;
	count[threadIdx.x] = 0;
	__syncthreads();
	for (int64_t i = begin + threadIdx.x; i < end; i += THREADS) {
		const int32_t token = token_at(p, i);
		if (token == p.vocabulary)
			*p.fault = p.fault_code;
		atomicAdd(&count[digit_of(p, token)], 1);
	}
	__syncthreads();
	p.counts[blockIdx.x * DIGITS + threadIdx.x] = count[threadIdx.x];
}

/* The sum of x over the threads before this one. */
AUR_ON_DEVICE int32_t sum_before(int32_t x, int32_t *shared)
{
	const int lane = threadIdx.x % AUR_LANES, warp = threadIdx.x / AUR_LANES;
	int32_t sum = x;
	for (int distance = 1; distance < AUR_LANES; distance *= 2) {
		const int32_t below = __shfl_up_sync(AUR_ALL_LANES, sum, distance);
		sum += lane >= distance ? below : 0;
	}
	if (lane == AUR_LANES - 1)
		shared[warp] = sum;
	__syncthreads();
	for (int w = 0; w < warp; w++)
		sum += shared[w];
	return sum - x;
}

/* Where this tile's first token of digit threadIdx.x goes. */
AUR_ON_DEVICE int32_t first_place(const pass &p, int32_t *shared)
{
	int32_t all = 0, before = 0;
	for (unsigned tile = 0; tile < gridDim.x; tile++) {
		const int32_t count = p.counts[tile * DIGITS + threadIdx.x];
		all += count;
		before += tile < blockIdx.x ? count : 0;
	}
	return sum_before(all, shared) + before;
}

/* Moves 32 tokens; `next` is where this warp's next token of each digit goes. Lanes past the end have a digit of their
 * own. */
AUR_ON_DEVICE void move_tokens(const pass &p, int64_t i, int64_t end, int32_t *next)
{
	const unsigned lane = threadIdx.x % AUR_LANES;
	const int32_t token = i < end ? token_at(p, i) : 0;
	const int digit = i < end ? digit_of(p, token) : DIGITS;
	const unsigned equal = __match_any_sync(AUR_ALL_LANES, digit);
	const unsigned before = equal & ((1u << lane) - 1u);
	const int32_t place = i < end ? next[digit] + __popc(before) : 0;
	__syncwarp();
	if (i < end) {
		if (before == 0)
			next[digit] += __popc(equal);
		p.to_token[place] = token;
		p.to_position[place] = p.position ? p.position[i] : static_cast<int32_t>(i);
	}
	__syncwarp();
}

AUR_KERNEL(THREADS) scatter(const pass p)
{
	AUR_SHARED(int32_t, shared, WARPS);
	AUR_SHARED(int32_t, next, WARPS * DIGITS);
	const int warp = threadIdx.x / AUR_LANES, lane = threadIdx.x % AUR_LANES;
	const int64_t share = p.tile / WARPS, begin = blockIdx.x * p.tile + warp * share;
	const int64_t end = begin + share < p.n ? begin + share : p.n;
	for (int i = threadIdx.x; i < WARPS * DIGITS; i += THREADS)
		next[i] = 0;
	int32_t place = first_place(p, shared); /* with a barrier */
	for (int64_t i = begin + lane; i < end; i += AUR_LANES)
		atomicAdd(&next[warp * DIGITS + digit_of(p, token_at(p, i))], 1);
	__syncthreads();
	for (int w = 0; w < WARPS; w++) {
		const int32_t count = next[w * DIGITS + threadIdx.x];
		next[w * DIGITS + threadIdx.x] = place;
		place += count;
	}
	__syncthreads();
	for (int64_t i = begin; i < end; i += AUR_LANES)
		move_tokens(p, i + lane, end, next + warp * DIGITS);
}

size_t array_bytes(int64_t n)
{
	return (static_cast<size_t>(n) * sizeof(int32_t) + 255) / 256 * 256;
}

} // namespace

size_t aur_cuda_token_groups_bytes(int64_t n)
{
	const int64_t counts = n < MOST_TILES * SMALL_TILE ? (n + SMALL_TILE - 1) / SMALL_TILE : MOST_TILES;
	return 4 * array_bytes(n) + static_cast<size_t>(counts * DIGITS) * sizeof(int32_t);
}

aur_status aur_cuda_group_tokens(struct aur_cuda *cuda, const char *who, enum aur_cuda_fault fault,
	const int32_t *tokens, int64_t n, int64_t vocabulary, void *memory, struct aur_token_groups *groups)
{
	const size_t bytes = array_bytes(n);
	char *at = static_cast<char *>(memory);
	int32_t *arrays[4];
	for (int i = 0; i < 4; i++)
		arrays[i] = reinterpret_cast<int32_t *>(at + static_cast<size_t>(i) * bytes);
	pass p = {};
	p.counts = reinterpret_cast<int32_t *>(at + 4 * bytes);
	p.n = n;
	p.tile = tile_of(n);
	p.vocabulary = static_cast<int32_t>(vocabulary);
	p.fault = cuda->fault;
	p.fault_code = fault;
	p.to_token = const_cast<int32_t *>(tokens);
	int target = 0;
	do {
		p.token = p.to_token;
		p.position = p.to_position;
		p.to_token = arrays[target];
		p.to_position = arrays[target + 1];
		AUR_TRY(AUR_LAUNCH(who, (count_digits), static_cast<unsigned>(tiles_of(n)), THREADS, 0, cuda->stream, p));
		AUR_TRY(AUR_LAUNCH(who, (scatter), static_cast<unsigned>(tiles_of(n)), THREADS, 0, cuda->stream, p));
		target = 2 - target;
		p.shift += BITS;
	} while (p.shift < 31 && vocabulary >> p.shift > 0);
	groups->token = p.to_token;
	groups->position = p.to_position;
	groups->n = n;
	return AUR_OK;
}
