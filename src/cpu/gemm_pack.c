#include "gemm_pack.h"

#include "gemm_vector.h"
#include "vector_math.h"

#include <string.h>

/* Four floats or pairs, moved about but never computed with. */
typedef uint32_t four __attribute__((vector_size(16)));
typedef uint32_t four_loose __attribute__((vector_size(16), aligned(2), may_alias));

static float widened(const uint16_t *x)
{
	return aur_float_of((uint32_t)*x << 16);
}

/* Number `l` of a line that lies in one piece. */
static float number_of(const struct aur_pack_source *s, int64_t line, int64_t l)
{
	if (s->type == AUR_F32)
		return ((const float *)s->data)[line * s->pitch + l];
	return widened((const uint16_t *)s->data + line * s->pitch + l);
}

static float pair_of(const uint16_t *first, int has_second)
{
	return aur_float_of((uint32_t)first[0] | (has_second ? (uint32_t)first[1] << 16 : 0u));
}

/* ---- lines that lie across: number l of all lines is one row of the operand ---- */

static void copy_row(const float *row, int64_t n, float *to)
{
#pragma omp simd
	for (int64_t i = 0; i < n; i++)
		to[i] = row[i];
}

static void widen_row(const uint16_t *row, int64_t n, float *to)
{
#pragma omp simd
	for (int64_t i = 0; i < n; i++)
		to[i] = aur_float_of((uint32_t)row[i] << 16);
}

static void pair_rows(const uint16_t *row, const uint16_t *next, int64_t n, float *to)
{
	if (!next) {
		for (int64_t i = 0; i < n; i++)
			to[i] = aur_float_of(row[i]);
		return;
	}
#pragma omp simd
	for (int64_t i = 0; i < n; i++)
		to[i] = aur_float_of((uint32_t)row[i] | (uint32_t)next[i] << 16);
}

/* Whole registers at a time: `width` is a multiple of AUR_LANES, and so many numbers may be read. */
static void copy_rows(const struct aur_pack_source *s, int64_t width, float *to)
{
	const float *row = s->data;
	for (int64_t l = 0; l < s->depth; l++, row += s->pitch, to += width)
		for (int64_t i = 0; i < width; i += AUR_LANES)
			*(aur_vec *)(void *)(to + i) = *(const aur_vec_loose *)(const void *)(row + i);
}

/* Numbers l (and l + 1, of a pair) of the lines [line, line + n). */
static inline void pack_row(const struct aur_pack_source *s, int64_t l, int64_t line, int64_t n, float *to)
{
	const int64_t at = l * s->pitch + line;
	if (s->type == AUR_F32) {
		copy_row((const float *)s->data + at, n, to);
	} else {
		const uint16_t *row = (const uint16_t *)s->data + at;
		if (s->pairs)
			pair_rows(row, l + 1 < s->depth ? row + s->pitch : NULL, n, to);
		else
			widen_row(row, n, to);
	}
}

static void rows_by_steps(const struct aur_pack_source *s, int64_t width, float *to)
{
	const int64_t stride = s->pairs ? 2 : 1;
	if (s->type == AUR_F32 && s->readable >= width) {
		copy_rows(s, width, to);
		return;
	}
	for (int64_t l = 0; l < s->depth; l += stride, to += width) {
		pack_row(s, l, 0, s->lines, to);
		memset(to + s->lines, 0, (size_t)(width - s->lines) * sizeof *to);
	}
}

void aur_pack_panels_by_steps(const struct aur_pack_source *s, float *to)
{
	const int64_t stride = s->pairs ? 2 : 1, steps = aur_pack_steps(s->depth, s->pairs);
	for (int64_t l = 0; l < s->depth; l += stride, to += AUR_PANEL_COLUMNS)
		for (int64_t j = 0; j < s->lines; j += AUR_PANEL_COLUMNS)
			pack_row(s, l, j, AUR_PANEL_COLUMNS, to + j * steps);
}

static void prefetch_bytes(const char *from, int64_t bytes)
{
	for (int64_t at = 0; at < bytes; at += 64)
		__builtin_prefetch(from + at);
}

/* Numbers of a panel's row in whole registers; a panel has room for more (AUR_GEMM_MOST_ROWS), which nobody reads. */
enum { PANEL_NUMBERS = (AUR_PANEL_ROWS + AUR_LANES - 1) / AUR_LANES * AUR_LANES };

/* Whole registers of the panels [0, panels) of a row of floats. */
static inline void copy_panels(const float *row, const int64_t *begins, int64_t panels, float *to)
{
	for (int64_t i = 0; i < panels; i++, to += AUR_GEMM_PANEL)
		for (int64_t j = 0; j < PANEL_NUMBERS; j += AUR_LANES)
			*(aur_vec *)(void *)(to + j) = *(const aur_vec_loose *)(const void *)(row + begins[i] + j);
}

/* A row of the operand is a few hundred bytes here, and the next one far: the processor's own prefetching does not see
 * it coming. */
void aur_pack_group_by_steps(const struct aur_pack_source *s, const int64_t *begins, int64_t panels, float *to)
{
	enum { ROWS_AHEAD = 8 };
	const int64_t stride = s->pairs ? 2 : 1, element = (int64_t)aur_dtype_bytes(s->type);
	int64_t whole = s->type == AUR_F32 ? panels : 0; /* panels whose registers hold nothing beyond the operand */
	while (whole > 0 && begins[whole - 1] + PANEL_NUMBERS > s->readable)
		whole--;
	for (int64_t l = 0; l < s->depth; l += stride, to += AUR_GEMM_MOST_ROWS) {
		for (int64_t ahead = l + ROWS_AHEAD; ahead < l + ROWS_AHEAD + stride && ahead < s->depth; ahead++)
			prefetch_bytes((const char *)s->data + ahead * s->pitch * element, begins[panels] * element);
		if (whole > 0)
			copy_panels((const float *)s->data + l * s->pitch, begins, whole, to);
		for (int64_t i = whole; i < panels; i++) {
			const int64_t lines = begins[i + 1] - begins[i];
			float *panel = to + i * AUR_GEMM_PANEL;
			pack_row(s, l, begins[i], lines, panel);
			memset(panel + lines, 0, (size_t)(PANEL_NUMBERS - lines) * sizeof *panel);
		}
	}
}

/* ---- lines that lie along: transposed in squares of four ---- */

static four load_four(const void *at)
{
	return *(const four_loose *)at;
}

static void transpose_four(const char *const line[4], int64_t width, float *to)
{
	const four a = load_four(line[0]), b = load_four(line[1]), c = load_four(line[2]), d = load_four(line[3]);
	const four ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5), ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
	const four cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5), cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
	*(four_loose *)(void *)(to) = __builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5);
	*(four_loose *)(void *)(to + width) = __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7);
	*(four_loose *)(void *)(to + 2 * width) = __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5);
	*(four_loose *)(void *)(to + 3 * width) = __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7);
}

static float step_of(const struct aur_pack_source *s, int64_t line, int64_t step)
{
	if (!s->pairs)
		return number_of(s, line, step);
	const uint16_t *first = (const uint16_t *)s->data + line * s->pitch + 2 * step;
	return pair_of(first, 2 * step + 1 < s->depth);
}

#if defined(__AVX512F__)

typedef uint32_t sixteen __attribute__((vector_size(64)));
typedef uint32_t sixteen_loose __attribute__((vector_size(64), aligned(2), may_alias));
typedef uint64_t eight __attribute__((vector_size(64)));

#define LOW(a, b) __builtin_shufflevector(a, b, 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29)
#define HIGH(a, b) __builtin_shufflevector(a, b, 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31)
#define LOW_PAIRS(a, b) (sixteen) __builtin_shufflevector((eight)(a), (eight)(b), 0, 8, 2, 10, 4, 12, 6, 14)
#define HIGH_PAIRS(a, b) (sixteen) __builtin_shufflevector((eight)(a), (eight)(b), 1, 9, 3, 11, 5, 13, 7, 15)
#define FIRST_HALVES(a, b) (sixteen) __builtin_shufflevector((eight)(a), (eight)(b), 0, 1, 2, 3, 8, 9, 10, 11)
#define LAST_HALVES(a, b) (sixteen) __builtin_shufflevector((eight)(a), (eight)(b), 4, 5, 6, 7, 12, 13, 14, 15)
#define EVEN_FOURS(a, b) (sixteen) __builtin_shufflevector((eight)(a), (eight)(b), 0, 1, 4, 5, 8, 9, 12, 13)
#define ODD_FOURS(a, b) (sixteen) __builtin_shufflevector((eight)(a), (eight)(b), 2, 3, 6, 7, 10, 11, 14, 15)

/* Sixteen steps of sixteen lines: squares of four within each quarter of a register, then the quarters. A square of
 * four at a time takes four times the loads and stores, twice the shuffles. */
static void transpose_sixteen(const char *line, int64_t line_bytes, int64_t width, float *to)
{
	sixteen r[16], t[16];
	AUR_UNROLL
	for (int i = 0; i < 16; i++)
		r[i] = *(const sixteen_loose *)(const void *)(line + i * line_bytes);
	AUR_UNROLL
	for (int i = 0; i < 16; i += 2) {
		t[i] = LOW(r[i], r[i + 1]);
		t[i + 1] = HIGH(r[i], r[i + 1]);
	}
	AUR_UNROLL
	for (int i = 0; i < 16; i += 4) {
		r[i] = LOW_PAIRS(t[i], t[i + 2]);
		r[i + 1] = HIGH_PAIRS(t[i], t[i + 2]);
		r[i + 2] = LOW_PAIRS(t[i + 1], t[i + 3]);
		r[i + 3] = HIGH_PAIRS(t[i + 1], t[i + 3]);
	}
	AUR_UNROLL
	for (int c = 0; c < 4; c++) {
		const sixteen a = FIRST_HALVES(r[c], r[4 + c]), b = LAST_HALVES(r[c], r[4 + c]);
		const sixteen d = FIRST_HALVES(r[8 + c], r[12 + c]), e = LAST_HALVES(r[8 + c], r[12 + c]);
		*(sixteen_loose *)(void *)(to + c * width) = EVEN_FOURS(a, d);
		*(sixteen_loose *)(void *)(to + (4 + c) * width) = ODD_FOURS(a, d);
		*(sixteen_loose *)(void *)(to + (8 + c) * width) = EVEN_FOURS(b, e);
		*(sixteen_loose *)(void *)(to + (12 + c) * width) = ODD_FOURS(b, e);
	}
}

/* As many lines of 16 steps as make whole squares of sixteen; returns their number. */
static int64_t transpose_squares(const char *data, int64_t line_bytes, int64_t lines, int64_t width, float *to)
{
	int64_t i = 0;
	for (; i + 16 <= lines; i += 16) {
		for (int k = 0; k < 16; k++)
			__builtin_prefetch(data + (i + k) * line_bytes + 64);
		transpose_sixteen(data + i * line_bytes, line_bytes, width, to + i);
	}
	return i;
}

#else

static int64_t transpose_squares(const char *data, int64_t line_bytes, int64_t lines, int64_t width, float *to)
{
	(void)data, (void)line_bytes, (void)lines, (void)width, (void)to;
	return 0;
}

#endif

/* `steps` (a multiple of 4) steps of `lines` (too) lines. */
static void transpose_block(
	const char *data, int64_t line_bytes, int64_t lines, int64_t steps, int64_t width, float *to)
{
	for (int64_t i = steps == 16 ? transpose_squares(data, line_bytes, lines, width, to) : 0; i < lines; i += 4) {
		const char *line = data + i * line_bytes;
		for (int k = 0; k < 4; k++)
			__builtin_prefetch(line + k * line_bytes + 4 * steps);
		for (int64_t l = 0; l < steps; l += 4) {
			const char *at[4] = {
				line + 4 * l, line + line_bytes + 4 * l, line + 2 * line_bytes + 4 * l, line + 3 * line_bytes + 4 * l};
			transpose_four(at, width, to + l * width + i);
		}
	}
}

/* Steps [0, whole) of whole fours of lines are transposed, a cache line of each line at a time, so that many lines are
 * on their way from memory at once; bf16 that must be widened is not. */
static void lines_by_steps(const struct aur_pack_source *s, int64_t width, float *to)
{
	enum { STEPS = 16 };
	const int64_t steps = aur_pack_steps(s->depth, s->pairs);
	const int64_t full = s->pairs ? s->depth / 2 : s->depth; /* steps whose numbers are all there */
	const int plain = s->pairs || s->type == AUR_F32;
	const int64_t whole = plain ? full / 4 * 4 : 0, lines = s->lines / 4 * 4;
	const int64_t line_bytes = s->pitch * (int64_t)aur_dtype_bytes(s->type);
	for (int64_t l = 0; l < whole; l += STEPS)
		transpose_block((const char *)s->data + 4 * l, line_bytes, lines, whole - l < STEPS ? whole - l : STEPS, width,
			to + l * width);
	for (int64_t l = 0; l < steps; l++)
		for (int64_t i = l < whole ? lines : 0; i < width; i++)
			to[l * width + i] = i < s->lines ? step_of(s, i, l) : 0.0f;
}

void aur_pack_by_steps(const struct aur_pack_source *source, int64_t width, float *to)
{
	if (source->along)
		lines_by_steps(source, width, to);
	else
		rows_by_steps(source, width, to);
}

void aur_pack_by_lines(const struct aur_pack_source *s, int64_t height, float *to)
{
	for (int64_t i = 0; i < s->lines; i++, to += AUR_GEMM_DEPTH) {
		const char *line = (const char *)s->data + i * s->pitch * (int64_t)aur_dtype_bytes(s->type);
		if (s->type == AUR_F32) {
			copy_row((const float *)(const void *)line, s->depth, to);
		} else if (s->pairs) {
			memcpy(to, line, (size_t)(s->depth / 2) * sizeof *to);
			if (s->depth % 2)
				to[s->depth / 2] = step_of(s, i, s->depth / 2);
		} else {
			widen_row((const uint16_t *)(const void *)line, s->depth, to);
		}
	}
	for (int64_t i = s->lines; i < height; i++, to += AUR_GEMM_DEPTH)
		memset(to, 0, (size_t)aur_pack_steps(s->depth, s->pairs) * sizeof *to);
}

void aur_pack_prefetch(const struct aur_pack_source *s, int64_t part, int64_t parts)
{
	const int64_t element = (int64_t)aur_dtype_bytes(s->type), pitch = s->pitch * element;
	const int64_t begin = s->depth * part / parts, end = s->depth * (part + 1) / parts;
	const char *data = s->data;
	for (int64_t i = 0; i < s->lines; i++)
		prefetch_bytes(data + i * pitch + begin * element, (end - begin) * element);
}
