#include "attention.h"
#include "gemm_kernel.h"
#include "gemm_pack.h"
#include "rows.h"

/* A block across: for each AUR_GEMM_DEPTH steps of D, panels of PANEL_COLUMNS positions, [steps][PANEL_COLUMNS].
 * A block along: panels of PANEL_COLUMNS numbers of D (the last of LANES where that is enough), [positions][columns].
 */

enum { BLOCK = AUR_ATTENTION_BLOCK, DEPTH = AUR_GEMM_DEPTH, COLUMNS = AUR_PANEL_COLUMNS };

/* A stretch of D that one call of a kernel works through. */
struct stretch {
	int64_t first, numbers, steps;
};

static int64_t stretches_of(const struct aur_attention_kind *kind)
{
	return (aur_pack_steps(kind->size, kind->pairs) + DEPTH - 1) / DEPTH;
}

static struct stretch stretch_of(const struct aur_attention_kind *kind, int64_t i)
{
	const int64_t longest = kind->pairs ? 2 * DEPTH : DEPTH, left = kind->size - i * longest;
	const int64_t numbers = left < longest ? left : longest;
	return (struct stretch){i * longest, numbers, aur_pack_steps(numbers, kind->pairs)};
}

void aur_attention_pack_across(const struct aur_attention_kind *kind, struct aur_rows rows, int64_t n, float *across)
{
	if (kind->tiny) {
		aur_attention_tiny_columns(rows, n, kind->size, across);
		return;
	}
	for (int64_t i = 0; i < stretches_of(kind); i++) {
		const struct stretch s = stretch_of(kind, i);
		float *to = across + i * DEPTH * BLOCK;
		for (int64_t j = 0; j < n; j += COLUMNS, to += s.steps * COLUMNS)
			aur_pack_by_steps(&(struct aur_pack_source){.data = aur_rows_from(rows, j, s.first).at,
								  .type = rows.type,
								  .along = 1,
								  .pitch = rows.pitch,
								  .lines = n - j < COLUMNS ? n - j : COLUMNS,
								  .depth = s.numbers,
								  .pairs = kind->pairs},
				COLUMNS, to);
	}
}

static int64_t width_at(int64_t size, int64_t d)
{
	return size - d > AUR_LANES ? COLUMNS : AUR_LANES;
}

void aur_attention_pack_along(const struct aur_attention_kind *kind, struct aur_rows rows, int64_t n, float *along)
{
	if (kind->tiny) {
		aur_attention_tiny_columns(rows, n, kind->size, along);
		return;
	}
	for (int64_t d = 0; d < kind->size; d += COLUMNS) {
		const int64_t left = kind->size - d, width = width_at(kind->size, d);
		aur_pack_by_steps(&(struct aur_pack_source){.data = aur_rows_from(rows, 0, d).at,
							  .type = rows.type,
							  .pitch = rows.pitch,
							  .lines = left < width ? left : width,
							  .depth = n,
							  .readable = left,
							  .pairs = kind->pairs},
			width, along + d * BLOCK);
	}
}

void aur_attention_pack_lines(const struct aur_attention_kind *kind, struct aur_rows rows, int64_t n, float *lines)
{
	for (int64_t i = 0; i < stretches_of(kind); i++) {
		const struct stretch s = stretch_of(kind, i);
		aur_pack_by_lines(&(struct aur_pack_source){.data = aur_rows_from(rows, 0, s.first).at,
							  .type = rows.type,
							  .along = 1,
							  .pitch = rows.pitch,
							  .lines = n,
							  .depth = s.numbers,
							  .pairs = kind->pairs},
			aur_round_up(n, 2), lines + i * AUR_ATTENTION_TILE_FLOATS);
	}
}

struct aur_attention_lines aur_attention_lines_of(
	const struct aur_attention_kind *kind, struct aur_rows rows, int64_t n, float *room)
{
	if (aur_gemm_reads_in_place(rows.type, n, rows.pitch))
		return (struct aur_attention_lines){
			.at = rows.at, .pitch = rows.pitch, .stretch = DEPTH, .layout = AUR_A_IN_PLACE};
	aur_attention_pack_lines(kind, rows, n, room);
	return (struct aur_attention_lines){
		.at = room, .pitch = DEPTH, .stretch = AUR_ATTENTION_TILE_FLOATS, .layout = AUR_A_BY_ROWS};
}

void aur_attention_scores(const struct aur_attention_kind *kind, const struct aur_attention_lines *lines, int64_t rows,
	const float *across, struct aur_attention_range columns, float scale, float *tile)
{
	const aur_kernel kernel = aur_gemm_kernel_of(kind->pairs, lines->layout, rows, 2);
	for (int64_t i = 0; i < stretches_of(kind); i++) {
		const struct stretch s = stretch_of(kind, i);
		struct aur_tile product = {.steps = s.steps,
			.a = lines->at + i * lines->stretch,
			.a_pitch = lines->pitch,
			.b_pitch = COLUMNS,
			.alpha = scale,
			.add = i > 0,
			.pitch = DEPTH};
		for (int64_t j = columns.begin / COLUMNS * COLUMNS; j < columns.end; j += COLUMNS) {
			product.b = across + i * DEPTH * BLOCK + j * s.steps;
			product.out = tile + j;
			kernel(&product);
		}
	}
}

void aur_attention_gather(const struct aur_attention_kind *kind, const float *tile, int64_t rows, const float *along,
	struct aur_attention_range columns, int add, float *y)
{
	const int64_t pitch = aur_attention_pitch(kind->size);
	const int64_t first = kind->pairs ? columns.begin / 2 : columns.begin;
	struct aur_tile product = {.steps = aur_pack_steps(columns.end - columns.begin, kind->pairs),
		.a = tile + first,
		.alpha = 1.0f,
		.add = add,
		.pitch = pitch};
	for (int64_t d = 0; d < kind->size; d += COLUMNS) {
		const int64_t width = width_at(kind->size, d);
		product.b = along + d * BLOCK + first * width;
		product.b_pitch = width;
		product.out = y + d;
		aur_gemm_kernel_of(kind->pairs, AUR_A_BY_ROWS, rows, (int)(width / AUR_LANES))(&product);
	}
}

void aur_attention_store(struct aur_rows to, int64_t row, const float *x, float scale, int64_t n)
{
	void *at = aur_rows_from(to, row, 0).at;
	if (to.type == AUR_F32) {
#pragma omp simd
		for (int64_t d = 0; d < n; d++)
			((float *)at)[d] = x[d] * scale;
	} else {
#pragma omp simd
		for (int64_t d = 0; d < n; d++)
			((uint16_t *)at)[d] = aur_narrow(x[d] * scale);
	}
}

#if AUR_HAS_BF16_PRODUCT

void aur_attention_narrow(float *row, int64_t begin, int64_t end)
{
	char *to = (char *)row;
	for (int64_t j = begin; j < end; j += 16)
		_mm256_storeu_si256((__m256i *)(void *)(to + 2 * j), (__m256i)_mm512_cvtneps_pbh(_mm512_loadu_ps(row + j)));
}

void aur_attention_narrow_two(float *row, float *next, int64_t begin, int64_t end, float *pairs, int64_t pitch)
{
	char *to = (char *)row, *to_next = (char *)next;
	for (int64_t j = begin; j < end; j += 16) {
		const __m256i a = (__m256i)_mm512_cvtneps_pbh(_mm512_loadu_ps(row + j));
		const __m256i b = (__m256i)_mm512_cvtneps_pbh(_mm512_loadu_ps(next + j));
		const __m512i low = _mm512_cvtepu16_epi32(a), high = _mm512_slli_epi32(_mm512_cvtepu16_epi32(b), 16);
		_mm256_storeu_si256((__m256i *)(void *)(to + 2 * j), a);
		_mm256_storeu_si256((__m256i *)(void *)(to_next + 2 * j), b);
		_mm512_storeu_si512(pairs + j / COLUMNS * pitch + j % COLUMNS, _mm512_or_si512(low, high));
	}
}

#else

/* Never asked for: no kind has pairs here. */
void aur_attention_narrow(float *row, int64_t begin, int64_t end)
{
	(void)row, (void)begin, (void)end;
}

void aur_attention_narrow_two(float *row, float *next, int64_t begin, int64_t end, float *pairs, int64_t pitch)
{
	(void)row, (void)next, (void)begin, (void)end, (void)pairs, (void)pitch;
}

#endif
