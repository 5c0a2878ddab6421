#include "attention_cached.cuh"

/* One new row against its cache:  s_j = scale q k_j,  out = sum_j exp(s_j) v_j / sum_j exp(s_j).
 *
 * A block of 256 threads owns one query of one head. Eight lanes share a key, each with every eighth piece of eight
 * numbers of q, k, v and the sums in registers; so the block has 32 groups, and group i takes keys i, i + 32, ... with
 * a running softmax of its own, two keys at a time so that loads overlap. The groups' sums meet in shared memory and
 * are added in order. Keys of earlier steps come from the cache, those of this step from the packed rows, since other
 * blocks may be writing them: each block puts its own row into the cache.
 *
 * Reads K and V once, 2 D numbers a key and head, at 2 FLOPs a number: memory is the limit. GPT-2 124M in bf16 at 1,023
 * keys and one text: 3.1 MB a layer, 1 us at 3 TB/s; but its 12 blocks use 12 multiprocessors, of which each draws some
 * 100 GB/s, so 2.6 us, not much more than the launch; from eight texts on memory is used in full. Keys are not divided
 * among blocks: a second launch to add them up would take as long as it saves. */

namespace
{

constexpr int THREADS = 256, GROUP = 8, GROUPS = THREADS / GROUP;

/* PIECES times eight numbers of a lane. */
template <int PIECES> struct part {
	float v[PIECES][8];
};

template <int PIECES> struct running {
	part<PIECES> sums;
	float largest, total;
};

/* Position `key`, of the text so far or of the new rows, whose keys or values are asked for. */
template <class T>
AUR_ON_DEVICE T *row_of(const aur_attention_call &call, const aur_attention_place &place,
	const aur_attention_rows &cache, const aur_attention_rows &fresh, int key)
{
	return key < call.past ? aur_attention_at<T>(cache, place, key)
						   : aur_attention_at<T>(fresh, place, key - call.past);
}

template <class T, int PIECES> AUR_ON_DEVICE part<PIECES> load(const aur_attention_call &call, const T *row)
{
	const int lane = static_cast<int>(threadIdx.x % GROUP);
	part<PIECES> x;
	AUR_UNROLL
	for (int i = 0; i < PIECES; i++) {
		const int d = (i * GROUP + lane) * 8;
		aur_load8(row + d, call.size - d, call.wide, x.v[i]);
	}
	return x;
}

template <class T, int PIECES> AUR_ON_DEVICE void store(const aur_attention_call &call, const part<PIECES> &x, T *row)
{
	const int lane = static_cast<int>(threadIdx.x % GROUP);
	AUR_UNROLL
	for (int i = 0; i < PIECES; i++) {
		const int d = (i * GROUP + lane) * 8;
		aur_store8(row + d, call.size - d, call.wide, x.v[i]);
	}
}

/* The sum over the group's lanes of the products of two rows. */
template <int PIECES> AUR_ON_DEVICE float dot(const part<PIECES> &a, const part<PIECES> &b)
{
	float sum = 0.0f;
	AUR_UNROLL
	for (int i = 0; i < PIECES; i++)
		for (int j = 0; j < 8; j++)
			sum += a.v[i][j] * b.v[i][j];
	for (int distance = GROUP / 2; distance > 0; distance /= 2)
		sum += __shfl_xor_sync(0xffffffffu, sum, distance);
	return sum;
}

/* One more key with this score; minus infinity: none. */
template <int PIECES> AUR_ON_DEVICE void add(running<PIECES> &state, float score, const part<PIECES> &v)
{
	const float largest = fmaxf(state.largest, score);
	const float shrink = aur_exp2((state.largest - largest) * AUR_LOG2_E);
	const float weight = aur_exp2((score - largest) * AUR_LOG2_E);
	state.total = state.total * shrink + weight;
	AUR_UNROLL
	for (int i = 0; i < PIECES; i++)
		for (int j = 0; j < 8; j++)
			state.sums.v[i][j] = state.sums.v[i][j] * shrink + weight * v.v[i][j];
	state.largest = largest;
}

/* Keys from this group's first on, two a turn. All groups take equally many turns, as their lanes exchange together;
 * a key that is not there is the last one again, not added. */
template <class T, int PIECES>
AUR_ON_DEVICE void add_keys(running<PIECES> &state, const aur_attention_call &call, const aur_attention_place &place,
	const aur_cached_rows &fresh, const part<PIECES> &q, int keys)
{
	const int group = static_cast<int>(threadIdx.x / GROUP);
	for (int first = 0; first < keys; first += 2 * GROUPS) {
		part<PIECES> k[2], v[2];
		AUR_UNROLL
		for (int i = 0; i < 2; i++) {
			const int key = min(first + i * GROUPS + group, keys - 1);
			k[i] = load<T, PIECES>(call, row_of<const T>(call, place, call.k, fresh.k, key));
			v[i] = load<T, PIECES>(call, row_of<const T>(call, place, call.v, fresh.v, key));
		}
		AUR_UNROLL
		for (int i = 0; i < 2; i++) {
			const float score = dot(q, k[i]) * call.scale;
			if (first + i * GROUPS + group < keys)
				add(state, score, v[i]);
		}
	}
}

/* Number d of the block's row, from all groups in order. A group without a key has nothing to add. */
AUR_ON_DEVICE float sum_of_groups(const float *sums, const float2 *stats, int pitch, int d)
{
	float largest = -INFINITY, total = 0.0f, sum = 0.0f;
	for (int i = 0; i < GROUPS; i++)
		largest = fmaxf(largest, stats[i].x);
	for (int i = 0; i < GROUPS; i++) {
		const float factor = stats[i].y == 0.0f ? 0.0f : aur_exp2((stats[i].x - largest) * AUR_LOG2_E);
		total += factor * stats[i].y;
		sum += factor * sums[i * pitch + d];
	}
	return sum / total;
}

/* `blocks` queries a head. */
template <class T, int PIECES> AUR_KERNEL(256) attend(aur_attention_call call, aur_cached_rows fresh, int blocks)
{
	constexpr int pitch = PIECES * GROUP * 8;
	AUR_SHARED(float, sums, GROUPS *pitch);
	AUR_SHARED(float2, stats, GROUPS);
	const aur_attention_place place = aur_attention_place_of(call, blocks);
	const int query = place.block, group = static_cast<int>(threadIdx.x / GROUP);
	if (group == 0)
		store<T, PIECES>(call, load<T, PIECES>(call, aur_attention_at<const T>(fresh.k, place, query)),
			aur_attention_at<T>(call.k, place, call.past + query));
	if (group == GROUPS - 1)
		store<T, PIECES>(call, load<T, PIECES>(call, aur_attention_at<const T>(fresh.v, place, query)),
			aur_attention_at<T>(call.v, place, call.past + query));
	running<PIECES> state = {};
	state.largest = -INFINITY;
	const part<PIECES> q = load<T, PIECES>(call, aur_attention_at<const T>(call.q, place, query));
	add_keys<T, PIECES>(state, call, place, fresh, q, call.past + query + 1);
	for (int i = 0; i < PIECES; i++)
		for (int j = 0; j < 8; j++)
			sums[group * pitch + (i * GROUP + static_cast<int>(threadIdx.x % GROUP)) * 8 + j] = state.sums.v[i][j];
	if (threadIdx.x % GROUP == 0)
		stats[group] = make_float2(state.largest, state.total);
	__syncthreads();
	for (int d = static_cast<int>(threadIdx.x); d < call.size; d += THREADS)
		aur_attention_at<T>(call.out, place, query)[d] = aur_narrow<T>(sum_of_groups(sums, stats, pitch, d));
}

template <class T, int PIECES>
aur_status launch(aur_cuda *cuda, const char *who, const aur_attention_call &call, const aur_cached_rows &fresh)
{
	return AUR_LAUNCH(
		who, (attend<T, PIECES>), call.pairs * call.queries, THREADS, 0, cuda->stream, call, fresh, call.queries);
}

template <class T>
aur_status launch_for_size(
	aur_cuda *cuda, const char *who, const aur_attention_call &call, const aur_cached_rows &fresh)
{
	if (call.size <= 64)
		return launch<T, 1>(cuda, who, call, fresh);
	if (call.size <= 128)
		return launch<T, 2>(cuda, who, call, fresh);
	return launch<T, 4>(cuda, who, call, fresh);
}

} // namespace

aur_status aur_attention_few_rows(
	aur_cuda *cuda, const char *who, const aur_attention_call &call, const aur_cached_rows &rows, enum aur_dtype type)
{
	return type == AUR_F32 ? launch_for_size<float>(cuda, who, call, rows)
						   : launch_for_size<__nv_bfloat16>(cuda, who, call, rows);
}
