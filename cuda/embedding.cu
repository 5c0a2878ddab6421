#include "internal.cuh"

#include "dropout.cuh"
#include "reduce.cuh"
#include "token_groups.cuh"
#include "vector.cuh"

/* Forward: out = dropout(wte[token] + wpe[position]). A warp takes a row, eight columns a lane at a time. An element
 * reads wte and writes out, 4 bytes in bf16; wpe stays in the second-level cache. gpt2-124m, 65,536 rows of 768: 201
 * MB, 0.05 ms at 4 TB/s.
 *
 * Backward: no atomics on floats, so every sum has one owner and one order. d_wpe[t] is a warp's loop over sequences.
 * For d_wte the positions are sorted by token (token_groups.cu) and the sorted list is cut into tiles of 64 positions,
 * a warp for each 256 columns of a tile: however often a token occurs, the work is even. A warp adds the rows of equal
 * tokens in ascending order of position. A group that lies within its tile is added to d_wte at once; of one that goes
 * over a border each tile keeps its sum, and the tile in which the group begins adds them up, in order, in a launch of
 * its own. The bits depend on the tokens and the shape alone.
 * d_out is read twice, and each row of d_wte that occurs is read and written: in gpt2-124m 2 x 101 MB and at most 309
 * MB, 0.1 ms at 4 TB/s, in 7 launches. */

namespace
{

enum { THREADS = 128, WARPS = THREADS / AUR_LANES, STRIP = AUR_LANES * AUR_VECTOR, TILE = 64, AHEAD = 4 };

AUR_ON_DEVICE int64_t warp_number()
{
	return blockIdx.x * static_cast<int64_t>(WARPS) + threadIdx.x / AUR_LANES;
}

AUR_ON_DEVICE int64_t warps_of_grid()
{
	return gridDim.x * static_cast<int64_t>(WARPS);
}

template <class T> struct forward_arguments {
	const int32_t *tokens;
	const T *wte, *wpe;
	T *out;
	int64_t rows, positions, columns, first_position;
	int32_t vocabulary;
	int32_t *fault;
	aur_dropout_mask mask;
};

template <bool WIDE, class T> AUR_ON_DEVICE void embed_row(const forward_arguments<T> &f, int64_t row, int32_t token)
{
	const T *word = f.wte + token * f.columns;
	const T *place = f.wpe + (f.first_position + row % f.positions) * f.columns;
	for (int64_t column = threadIdx.x % AUR_LANES * AUR_VECTOR; column < f.columns; column += STRIP) {
		float x[AUR_VECTOR], y[AUR_VECTOR];
		aur_load8<WIDE>(word + column, f.columns - column, x);
		aur_load8<WIDE>(place + column, f.columns - column, y);
		for (int j = 0; j < AUR_VECTOR; j++)
			x[j] += y[j];
		aur_dropout_apply(f.mask, row, f.positions, column, f.columns, x);
		aur_store8<WIDE>(f.out + row * f.columns + column, f.columns - column, x);
	}
}

template <bool WIDE, class T> AUR_KERNEL(THREADS) embed(const forward_arguments<T> f)
{
	for (int64_t row = warp_number(); row < f.rows; row += warps_of_grid()) {
		const int32_t token = f.tokens[row];
		if (token >= 0 && token < f.vocabulary)
			embed_row<WIDE>(f, row, token);
		else
			*f.fault = AUR_FAULT_EMBEDDING_TOKEN;
	}
}

template <class T> aur_status forward(const struct aur_cuda *cuda, const struct aur_embedding_forward *op)
{
	static const char who[] = "embedding_forward";
	forward_arguments<T> f = {};
	f.tokens = static_cast<const int32_t *>(op->tokens.data);
	f.wte = static_cast<const T *>(op->wte.data);
	f.wpe = static_cast<const T *>(op->wpe.data);
	f.out = static_cast<T *>(op->out.data);
	f.rows = aur_tensor_count(&op->tokens);
	f.positions = op->tokens.shape[1];
	f.columns = aur_columns(&op->wte);
	f.first_position = op->first_position;
	f.vocabulary = static_cast<int32_t>(aur_rows(&op->wte));
	f.fault = cuda->fault;
	f.mask = aur_dropout_mask_of(&op->dropout);
	if (f.rows == 0)
		return AUR_OK;
	if (f.columns % AUR_VECTOR == 0 && aur_all_aligned(f.wte, f.wpe, f.out))
		return AUR_LAUNCH(who, (embed<true, T>), aur_blocks_for(f.rows, WARPS), THREADS, 0, cuda->stream, f);
	return AUR_LAUNCH(who, (embed<false, T>), aur_blocks_for(f.rows, WARPS), THREADS, 0, cuda->stream, f);
}

template <class T> struct backward_arguments {
	const T *d_out;
	float *d_wte, *d_wpe;
	aur_token_groups groups;
	float *head, *tail; /* [tiles, columns]: sums of groups that began before the tile, or go on after it */
	int64_t rows, positions, columns;
	int32_t vocabulary;
	aur_dropout_mask mask;
};

/* Eight columns of row `row` of d_out under its mask, added to sum. */
template <class T>
AUR_ON_DEVICE void add_row(
	const backward_arguments<T> &f, const aur_eight<T> &eight, int64_t row, int64_t column, float (&sum)[AUR_VECTOR])
{
	float x[AUR_VECTOR];
	aur_widen8(eight, x);
	aur_dropout_apply(f.mask, row, f.positions, column, f.columns, x);
	for (int j = 0; j < AUR_VECTOR; j++)
		sum[j] += x[j];
}

template <bool WIDE> AUR_ON_DEVICE void add_to(float *to, int64_t n, const float (&sum)[AUR_VECTOR])
{
	float x[AUR_VECTOR];
	aur_load8<WIDE>(to, n, x);
	for (int j = 0; j < AUR_VECTOR; j++)
		x[j] += sum[j];
	aur_store8<WIDE>(to, n, x);
}

/* d_wpe: a warp has 256 columns of one position. */
template <bool WIDE, class T> AUR_KERNEL(THREADS) add_places(const backward_arguments<T> f)
{
	const int64_t strips = (f.columns + STRIP - 1) / STRIP;
	for (int64_t task = warp_number(); task < f.positions * strips; task += warps_of_grid()) {
		const int64_t position = task / strips;
		const int64_t column = task % strips * STRIP + threadIdx.x % AUR_LANES * AUR_VECTOR;
		const int64_t n = f.columns - column;
		float sum[AUR_VECTOR] = {};
		for (int64_t first = position; first < f.rows; first += AHEAD * f.positions) {
			aur_eight<T> eight[AHEAD];
			AUR_UNROLL
			for (int k = 0; k < AHEAD; k++) {
				const int64_t row = first + k * f.positions;
				eight[k] = aur_read8<WIDE>(f.d_out + row * f.columns + column, row < f.rows ? n : 0);
			}
			AUR_UNROLL
			for (int k = 0; k < AHEAD; k++)
				if (first + k * f.positions < f.rows)
					add_row(f, eight[k], first + k * f.positions, column, sum);
		}
		add_to<WIDE>(f.d_wpe + position * f.columns + column, n, sum);
	}
}

/* Positions begin to end of the sorted list, and whether the group at each end goes on beyond it. */
struct tile {
	int64_t number, begin, end;
	bool from_before, to_after;
};

AUR_ON_DEVICE tile tile_of(const aur_token_groups &g, int64_t number)
{
	tile t;
	t.number = number;
	t.begin = number * TILE;
	t.end = t.begin + TILE < g.n ? t.begin + TILE : g.n;
	t.from_before = t.begin > 0 && g.token[t.begin - 1] == g.token[t.begin];
	t.to_after = t.end < g.n && g.token[t.end] == g.token[t.end - 1];
	return t;
}

/* Puts the sum of the group [begin, end) of a tile where it belongs, and begins the next one. */
template <bool WIDE, class T>
AUR_ON_DEVICE void end_group(
	const backward_arguments<T> &f, const tile &t, int64_t begin, int64_t end, int64_t column, float (&sum)[AUR_VECTOR])
{
	const int64_t n = f.columns - column, partial = t.number * f.columns + column;
	const int32_t token = f.groups.token[begin];
	if (begin == t.begin && t.from_before)
		aur_store8<WIDE>(f.head + partial, n, sum);
	else if (end == t.end && t.to_after)
		aur_store8<WIDE>(f.tail + partial, n, sum);
	else if (token < f.vocabulary)
		add_to<WIDE>(f.d_wte + token * f.columns + column, n, sum);
	for (int j = 0; j < AUR_VECTOR; j++)
		sum[j] = 0.0f;
}

/* Adds the row at place i of the sorted list to its group, which began at `begin`. */
template <bool WIDE, class T>
AUR_ON_DEVICE void add_position(const backward_arguments<T> &f, const tile &t, int64_t i, const aur_eight<T> &eight,
	int64_t column, int64_t &begin, float (&sum)[AUR_VECTOR])
{
	if (f.groups.token[i] != f.groups.token[begin]) {
		end_group<WIDE>(f, t, begin, i, column, sum);
		begin = i;
	}
	add_row(f, eight, f.groups.position[i], column, sum);
}

template <bool WIDE, class T> AUR_ON_DEVICE void add_tile(const backward_arguments<T> &f, const tile &t, int64_t column)
{
	int64_t begin = t.begin;
	float sum[AUR_VECTOR] = {};
	for (int64_t first = t.begin; first < t.end; first += AHEAD) {
		aur_eight<T> eight[AHEAD];
		AUR_UNROLL
		for (int k = 0; k < AHEAD; k++) {
			const int64_t row = f.groups.position[first + k < t.end ? first + k : t.begin];
			eight[k] = aur_read8<WIDE>(f.d_out + row * f.columns + column, first + k < t.end ? f.columns - column : 0);
		}
		AUR_UNROLL
		for (int k = 0; k < AHEAD; k++)
			if (first + k < t.end)
				add_position<WIDE>(f, t, first + k, eight[k], column, begin, sum);
	}
	end_group<WIDE>(f, t, begin, t.end, column, sum);
}

/* d_wte: a warp has 256 columns of a tile. */
template <bool WIDE, class T> AUR_KERNEL(THREADS) add_words(const backward_arguments<T> f)
{
	const int64_t strips = (f.columns + STRIP - 1) / STRIP, tiles = (f.rows + TILE - 1) / TILE;
	for (int64_t task = warp_number(); task < tiles * strips; task += warps_of_grid())
		add_tile<WIDE>(
			f, tile_of(f.groups, task / strips), task % strips * STRIP + threadIdx.x % AUR_LANES * AUR_VECTOR);
}

/* The group that begins in a tile and goes on: its tail there, then the heads up to the tile in which it ends. */
template <bool WIDE, class T>
AUR_ON_DEVICE void add_heads(const backward_arguments<T> &f, const tile &t, int64_t column)
{
	const int32_t token = f.groups.token[t.end - 1];
	const bool begins_here = !t.from_before || f.groups.token[t.begin] != token;
	if (!t.to_after || !begins_here || token >= f.vocabulary)
		return;
	const int64_t last = (aur_group_end(f.groups, token) - 1) / TILE, n = f.columns - column;
	float sum[AUR_VECTOR];
	aur_load8<WIDE>(f.tail + t.number * f.columns + column, n, sum);
	for (int64_t first = t.number + 1; first <= last; first += AHEAD) {
		float x[AHEAD][AUR_VECTOR];
		AUR_UNROLL
		for (int k = 0; k < AHEAD; k++)
			aur_load8<WIDE>(f.head + (first + k) * f.columns + column, first + k <= last ? n : 0, x[k]);
		AUR_UNROLL
		for (int k = 0; k < AHEAD; k++)
			if (first + k <= last)
				for (int j = 0; j < AUR_VECTOR; j++)
					sum[j] += x[k][j];
	}
	add_to<WIDE>(f.d_wte + token * f.columns + column, n, sum);
}

template <bool WIDE, class T> AUR_KERNEL(THREADS) add_long_groups(const backward_arguments<T> f)
{
	const int64_t strips = (f.columns + STRIP - 1) / STRIP, tiles = (f.rows + TILE - 1) / TILE;
	for (int64_t task = warp_number(); task < tiles * strips; task += warps_of_grid())
		add_heads<WIDE>(
			f, tile_of(f.groups, task / strips), task % strips * STRIP + threadIdx.x % AUR_LANES * AUR_VECTOR);
}

const char backward_name[] = "embedding_backward";

size_t groups_bytes(int64_t rows)
{
	return (aur_cuda_token_groups_bytes(rows) + 255) / 256 * 256;
}

/* Of heads, or of tails. */
size_t sums_bytes(int64_t rows, int64_t columns)
{
	return (static_cast<size_t>((rows + TILE - 1) / TILE * columns) * sizeof(float) + 255) / 256 * 256;
}

size_t scratch_bytes(int64_t rows, int64_t columns)
{
	return groups_bytes(rows) + 2 * sums_bytes(rows, columns);
}

template <bool WIDE, class T> aur_status launch(const struct aur_cuda *cuda, const backward_arguments<T> &f)
{
	const int64_t strips = (f.columns + STRIP - 1) / STRIP, tiles = (f.rows + TILE - 1) / TILE;
	const unsigned places = aur_blocks_for(f.positions * strips, WARPS), words = aur_blocks_for(tiles * strips, WARPS);
	AUR_TRY(AUR_LAUNCH(backward_name, (add_places<WIDE, T>), places, THREADS, 0, cuda->stream, f));
	AUR_TRY(AUR_LAUNCH(backward_name, (add_words<WIDE, T>), words, THREADS, 0, cuda->stream, f));
	return AUR_LAUNCH(backward_name, (add_long_groups<WIDE, T>), words, THREADS, 0, cuda->stream, f);
}

template <class T> aur_status backward(struct aur_cuda *cuda, const struct aur_embedding_backward *op)
{
	backward_arguments<T> f = {};
	f.d_out = static_cast<const T *>(op->d_out.data);
	f.d_wte = static_cast<float *>(op->d_wte.data);
	f.d_wpe = static_cast<float *>(op->d_wpe.data);
	f.rows = aur_tensor_count(&op->tokens);
	f.positions = op->tokens.shape[1];
	f.columns = aur_columns(&op->d_wte);
	f.vocabulary = static_cast<int32_t>(aur_rows(&op->d_wte));
	f.mask = aur_dropout_mask_of(&op->dropout);
	if (f.rows == 0)
		return AUR_OK;
	AUR_TRY(aur_cuda_check_scratch(cuda, backward_name, scratch_bytes(f.rows, f.columns)));
	f.head = reinterpret_cast<float *>(cuda->scratch + groups_bytes(f.rows));
	f.tail = reinterpret_cast<float *>(cuda->scratch + groups_bytes(f.rows) + sums_bytes(f.rows, f.columns));
	AUR_TRY(aur_cuda_group_tokens(cuda, backward_name, AUR_FAULT_EMBEDDING_BACKWARD_TOKEN,
		static_cast<const int32_t *>(op->tokens.data), f.rows, f.vocabulary, cuda->scratch, &f.groups));
	if (f.columns % AUR_VECTOR == 0 && aur_all_aligned(f.d_out, f.d_wte, f.d_wpe))
		return launch<true>(cuda, f);
	return launch<false>(cuda, f);
}

} // namespace

size_t aur_embedding_scratch_cuda(const struct aur_backend_limits *limits)
{
	return limits->training ? scratch_bytes(limits->batch * limits->positions, limits->width) : 0;
}

aur_status aur_embedding_forward_cuda(struct aur_backend *backend, const struct aur_embedding_forward *op)
{
	AUR_TRY(aur_check_embedding_forward(op));
	if (op->out.dtype == AUR_BF16)
		return forward<__nv_bfloat16>(aur_cuda_of(backend), op);
	return forward<float>(aur_cuda_of(backend), op);
}

aur_status aur_embedding_backward_cuda(struct aur_backend *backend, const struct aur_embedding_backward *op)
{
	AUR_TRY(aur_check_embedding_backward(op));
	if (op->d_out.dtype == AUR_BF16)
		return backward<__nv_bfloat16>(aur_cuda_of(backend), op);
	return backward<float>(aur_cuda_of(backend), op);
}
