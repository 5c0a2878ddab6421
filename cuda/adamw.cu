#include "internal.cuh"
#include "vector.cuh"

#include <math.h>

/* One step of AdamW over a slice, clipping included: 16 bytes read and 12 written an element, 14 with the bf16 copy of
 * the weights, four elements a thread. gpt2-124m: 3.5 GB, 0.87 ms at 4 TB/s; with the copy 3.7 GB and 0.93 ms, where a
 * pass of its own would take 0.19 ms.
 *
 * The segments lie in host memory and their memory is the caller's again when the call returns, so they travel with the
 * launch: up to SEGMENTS of them as an argument of the kernel, which a captured graph keeps a copy of. Neighbours of
 * equal decay are joined first; a slice that has more is stepped by several launches. The 148 tensors of gpt2-124m are
 * one launch. A block looks up the segment of its first element once, and each thread walks on from there.
 *
 * An element is computed by the same instructions wherever it stands, so that slices may be cut anywhere. */

namespace
{

enum { THREADS = 256, ELEMENTS = 4, BLOCK = THREADS * ELEMENTS, SEGMENTS = 224 };

/* Elements [begin, end[n - 1]); a segment begins where the one before it ends. */
struct segments {
	int64_t begin;
	int64_t end[SEGMENTS];
	float weight_decay[SEGMENTS];
	int32_t n;
};

struct arrays {
	float *w, *m, *v;
	const float *g;
	uint16_t *rounded; /* NULL: not asked for */
	bool wide;
};

/* What is the same for all elements. */
struct constants {
	float epsilon;
	float new_m, new_v; /* 1 - beta */
};

static_assert(sizeof(segments) + sizeof(arrays) + sizeof(constants) + sizeof(void *) <= 4096,
	"the arguments of a kernel fit the 4 KiB that every device takes");

struct alignas(16) four {
	float x[ELEMENTS];
};

/* Elements i to i + 3 of which [begin, end) are read; the others are 0. */
template <bool WHOLE> AUR_ON_DEVICE four read(const float *from, int64_t i, int64_t begin, int64_t end)
{
	four f;
	if constexpr (WHOLE)
		f = *reinterpret_cast<const four *>(from + i);
	else
		for (int j = 0; j < ELEMENTS; j++)
			f.x[j] = i + j >= begin && i + j < end ? from[i + j] : 0.0f;
	return f;
}

template <bool WHOLE> AUR_ON_DEVICE void write(float *to, int64_t i, int64_t begin, int64_t end, const four &f)
{
	if constexpr (WHOLE) {
		*reinterpret_cast<four *>(to + i) = f;
	} else {
		for (int j = 0; j < ELEMENTS; j++)
			if (i + j >= begin && i + j < end)
				to[i + j] = f.x[j];
	}
}

/* The same rounded to bf16. */
template <bool WHOLE>
AUR_ON_DEVICE void write_rounded(uint16_t *to, int64_t i, int64_t begin, int64_t end, const four &f)
{
	if constexpr (WHOLE) {
		const uint2 pairs = {
			aur_bf16_bits(f.x[0]) | aur_bf16_bits(f.x[1]) << 16, aur_bf16_bits(f.x[2]) | aur_bf16_bits(f.x[3]) << 16};
		*reinterpret_cast<uint2 *>(to + i) = pairs;
	} else {
		for (int j = 0; j < ELEMENTS; j++)
			if (i + j >= begin && i + j < end)
				to[i + j] = static_cast<uint16_t>(aur_bf16_bits(f.x[j]));
	}
}

/* The segment that holds an element, or the last. */
AUR_ON_DEVICE int find_segment(const segments &s, int64_t element)
{
	int low = 0;
	int high = s.n - 1;
	while (low < high) {
		const int middle = (low + high) / 2;
		if (s.end[middle] > element)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

/* Written with the roundings named, so that no compiler has a choice. */
AUR_ON_DEVICE void step_element(
	const constants &c, const struct aur_step_state &state, float decay, float gradient, float &w, float &m, float &v)
{
	const float g = __fmul_rn(gradient, state.gradient_scale);
	m = fmaf(c.new_m, g - m, m);
	v = fmaf(c.new_v, fmaf(g, g, -v), v);
	const float direction = m * (1.0f / state.correction1) / (sqrtf(v * (1.0f / state.correction2)) + c.epsilon);
	w = fmaf(-state.learning_rate, fmaf(decay, w, direction), w);
}

/* Elements i to i + 3, the first of them in this segment. All is read before it is known whether the step is left out,
 * so that the loads wait for nothing. */
template <bool WHOLE>
AUR_ON_DEVICE void step_four(const segments &s, const arrays &a, const constants &c,
	const struct aur_step_state *state_at, int64_t i, int segment)
{
	const int64_t end = s.end[s.n - 1];
	const four g = read<WHOLE>(a.g, i, s.begin, end);
	four w = read<WHOLE>(a.w, i, s.begin, end), m = read<WHOLE>(a.m, i, s.begin, end),
		 v = read<WHOLE>(a.v, i, s.begin, end);
	const struct aur_step_state state = *state_at;
	if (state.skip)
		return;
	for (int j = 0; j < ELEMENTS; j++) {
		while (segment + 1 < s.n && s.end[segment] <= i + j)
			segment++;
		step_element(c, state, s.weight_decay[segment], g.x[j], w.x[j], m.x[j], v.x[j]);
	}
	write<WHOLE>(a.w, i, s.begin, end, w);
	write<WHOLE>(a.m, i, s.begin, end, m);
	write<WHOLE>(a.v, i, s.begin, end, v);
	if (a.rounded)
		write_rounded<WHOLE>(a.rounded, i, s.begin, end, w);
}

AUR_KERNEL(THREADS) step(const segments s, const arrays a, const constants c, const struct aur_step_state *state)
{
	const int64_t end = s.end[s.n - 1];
	const int64_t origin = s.begin / ELEMENTS * ELEMENTS; /* an aligned one, that all but few accesses may be wide */
	for (int64_t first = origin + blockIdx.x * static_cast<int64_t>(BLOCK); first < end;
		 first += gridDim.x * static_cast<int64_t>(BLOCK)) {
		const int segment = find_segment(s, first);
		const int64_t i = first + threadIdx.x * ELEMENTS;
		if (i >= end)
			return;
		if (a.wide && i >= s.begin && i + ELEMENTS <= end)
			step_four<true>(s, a, c, state, i, segment);
		else
			step_four<false>(s, a, c, state, i, segment);
	}
}

/* Adds a segment; 0 when there is no room. */
bool take_segment(segments *s, const struct aur_adamw_segment *segment)
{
	const int64_t end = segment->begin + segment->count;
	if (segment->count == 0)
		return true;
	if (s->n > 0 && s->weight_decay[s->n - 1] == segment->weight_decay) {
		s->end[s->n - 1] = end;
		return true;
	}
	if (s->n == SEGMENTS)
		return false;
	if (s->n == 0)
		s->begin = segment->begin;
	s->end[s->n] = end;
	s->weight_decay[s->n++] = segment->weight_decay;
	return true;
}

} // namespace

size_t aur_adamw_scratch_cuda(const struct aur_backend_limits *limits)
{
	(void)limits;
	return 0;
}

aur_status aur_adamw_cuda(struct aur_backend *backend, const struct aur_adamw *op)
{
	AUR_TRY(aur_check_adamw(op));
	const struct aur_cuda *cuda = aur_cuda_of(backend);
	arrays a = {};
	a.w = static_cast<float *>(op->weights.data);
	a.m = static_cast<float *>(op->m.data);
	a.v = static_cast<float *>(op->v.data);
	a.g = static_cast<const float *>(op->gradients.data);
	a.rounded = static_cast<uint16_t *>(op->rounded.data);
	a.wide = aur_all_aligned(a.w, a.m, a.v, a.g) && aur_all_aligned(a.rounded);
	constants c = {};
	c.epsilon = op->epsilon;
	c.new_m = static_cast<float>(1.0 - static_cast<double>(op->beta1));
	c.new_v = static_cast<float>(1.0 - static_cast<double>(op->beta2));
	for (int64_t next = 0; next < op->n_segments;) {
		segments s = {};
		while (next < op->n_segments && take_segment(&s, &op->segments[next]))
			next++;
		if (s.n == 0)
			continue;
		const int64_t count = s.end[s.n - 1] - s.begin / ELEMENTS * ELEMENTS;
		AUR_TRY(
			AUR_LAUNCH("adamw", (step), aur_blocks_for(count, BLOCK), THREADS, 0, cuda->stream, s, a, c, op->state));
	}
	return AUR_OK;
}
