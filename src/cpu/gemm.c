#include "gemm.h"

#include "gemm_kernel.h"
#include "gemm_pack.h"
#include "vector_math.h"

#include <string.h>

/* Blocks of columns, then of k, then panels of rows:
 *
 *   for WIDTH columns          for HEIGHT rows (all of them, unless C is bf16)
 *     for DEPTH steps of k     pack B [steps, WIDTH], half a megabyte: it stays in the second-level cache
 *       for PANEL_ROWS rows    pack A [rows, steps], 14 KiB: it stays in the first-level cache
 *         for PANEL_COLUMNS    kernel: a tile, added to C while both are near
 *
 * B is packed once for each block of rows and A once for each block of columns, both in less than 2% of the time of the
 * multiplications from about 256 rows and columns on. */

struct block {
	const struct aur_gemm *p;
	int pairs;               /* the kernel multiplies pairs of bf16 */
	int64_t row, rows;       /* of C */
	int64_t column, columns; /* of C */
	int64_t k, depth;        /* numbers along k */
	float *sums;             /* [AUR_GEMM_HEIGHT][AUR_GEMM_WIDTH] while C is bf16, otherwise NULL */
};

struct room {
	float *b, *a, *sums;
};

static struct room carve(void *memory)
{
	float *at = memory;
	return (struct room){.b = at,
		.a = at + AUR_GEMM_DEPTH * AUR_GEMM_WIDTH,
		.sums = at + AUR_GEMM_DEPTH * (AUR_GEMM_WIDTH + AUR_GEMM_MOST_ROWS)};
}

static const void *element_of(const void *data, enum aur_dtype type, int64_t i)
{
	return (const char *)data + i * (int64_t)aur_dtype_bytes(type);
}

/* Where number k of line `line` of A or B lies; its lines lie along k unless `across`. */
static struct aur_pack_source source_of(const struct block *block, int is_a, int64_t line, int64_t lines)
{
	const struct aur_gemm *p = block->p;
	const int64_t all = is_a ? p->m : p->n;
	const int along = is_a ? !p->transpose_a : p->transpose_b;
	const int64_t pitch = is_a ? p->lda : p->ldb;
	const int64_t first = along ? line * pitch + block->k : block->k * pitch + line;
	return (struct aur_pack_source){.data = element_of(is_a ? p->a : p->b, p->type, first),
		.type = p->type,
		.along = along,
		.pitch = pitch,
		.lines = lines,
		.depth = block->depth,
		.readable = all - line,
		.pairs = block->pairs};
}

/* Columns of the panel that begins at column j of a block: two registers, or one where no more than one is left. */
static int64_t panel_width(const struct block *block, int64_t j)
{
	return block->columns - j > AUR_LANES ? AUR_PANEL_COLUMNS : AUR_LANES;
}

static void pack_b(const struct block *block, float *to)
{
	const int64_t steps = aur_pack_steps(block->depth, block->pairs);
	const int64_t whole = block->columns / AUR_PANEL_COLUMNS * AUR_PANEL_COLUMNS;
	const struct aur_pack_source all = source_of(block, 0, block->column, whole);
	int64_t j = 0;
	if (!all.along) {
		aur_pack_panels_by_steps(&all, to);
		j = whole;
	}
	for (to += steps * j; j < block->columns; j += AUR_PANEL_COLUMNS) {
		const int64_t width = panel_width(block, j), left = block->columns - j;
		const struct aur_pack_source source = source_of(block, 0, block->column + j, left < width ? left : width);
		aur_pack_by_steps(&source, width, to);
		to += steps * width;
	}
}

/* To the nearest bf16, ties to even; NaN stays NaN. */
static void narrow_row(const float *x, int64_t n, int accumulate, uint16_t *c)
{
#pragma omp simd
	for (int64_t j = 0; j < n; j++) {
		const uint32_t bits = aur_bits_of(accumulate ? x[j] + aur_float_of((uint32_t)c[j] << 16) : x[j]);
		const uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
		c[j] = (uint16_t)((bits & 0x7fffffffu) > 0x7f800000u ? bits >> 16 | 0x40u : rounded);
	}
}

/* Where a tile's sums are kept: C itself, or the sums beside it while C is bf16. */
struct target {
	float *at;
	int64_t pitch;
	int add;
	const float *bias;
};

static struct target target_of(const struct block *block, int64_t row, int64_t column)
{
	const struct aur_gemm *p = block->p;
	const int first = block->k == 0, last = block->k + block->depth >= p->k;
	struct target target = {.bias = last && p->bias ? p->bias + column : NULL};
	if (block->sums) {
		target.at = block->sums + (row - block->row) * AUR_GEMM_WIDTH + (column - block->column);
		target.pitch = AUR_GEMM_WIDTH;
		target.add = !first;
	} else {
		target.at = (float *)p->c + row * p->ldc + column;
		target.pitch = p->ldc;
		target.add = !first || p->accumulate;
	}
	return target;
}

/* A tile of fewer columns than the kernel's goes through a place of its own; the additions are the kernel's. */
static void finish_narrow_tile(const struct target *target, const float *sums, int64_t rows, int64_t columns)
{
	for (int64_t i = 0; i < rows; i++)
		for (int64_t j = 0; j < columns; j++) {
			float *to = &target->at[i * target->pitch + j];
			float sum = sums[i * AUR_PANEL_COLUMNS + j];
			if (target->add)
				sum += *to;
			if (target->bias)
				sum += target->bias[j];
			*to = sum;
		}
}

static void multiply_tile(
	const struct block *block, struct aur_tile *tile, int64_t row, int64_t rows, int64_t column, int64_t columns)
{
	const struct aur_gemm *p = block->p;
	const int64_t width = columns > AUR_LANES ? AUR_PANEL_COLUMNS : AUR_LANES;
	const struct target target = target_of(block, row, column);
	const aur_kernel kernel = aur_gemm_kernel_of(block->pairs, p->transpose_a, rows, (int)(width / AUR_LANES));
	_Alignas(64) float sums[AUR_GEMM_MOST_ROWS * AUR_PANEL_COLUMNS];
	if (columns == width && rows % 2 == 0) {
		tile->out = target.at;
		tile->pitch = target.pitch;
		tile->add = target.add;
		tile->bias = target.bias;
		kernel(tile);
	} else {
		tile->out = sums;
		tile->pitch = AUR_PANEL_COLUMNS;
		tile->add = 0;
		tile->bias = NULL;
		kernel(tile);
		finish_narrow_tile(&target, sums, rows, columns);
	}
	if (block->sums && block->k + block->depth >= p->k)
		for (int64_t i = 0; i < rows; i++)
			narrow_row(
				target.at + i * target.pitch, columns, p->accumulate, (uint16_t *)p->c + (row + i) * p->ldc + column);
}

/* A panel of rows of A. Heights are nearly equal and even: 44 rows are better 14, 10, 10, 10 than 14, 14, 14, 2. */
struct panel {
	int64_t row, rows; /* of C; rows = 0: there is none */
	struct aur_pack_source source;
};

static struct panel panel_of(const struct block *block, int64_t i, int64_t panels)
{
	const int64_t pairs = (block->rows + 1) / 2;
	const int64_t begin = pairs * i / panels * 2, end = pairs * (i + 1) / panels * 2;
	struct panel panel = {.row = block->row + begin};
	if (i >= panels)
		return panel;
	panel.rows = (end < block->rows ? end : block->rows) - begin;
	panel.source = source_of(block, 1, panel.row, panel.rows);
	return panel;
}

/* A packed panel of rows against all packed panels of columns. While it is multiplied, the next one is fetched from
 * memory, a part with each tile: packing it would otherwise wait for every line. */
static void multiply_panel(
	const struct block *block, const struct panel *panel, const struct panel *next, const struct room *room)
{
	struct aur_tile tile = {
		.steps = aur_pack_steps(block->depth, block->pairs), .a = room->a, .b = room->b, .alpha = block->p->alpha};
	const int64_t tiles = (block->columns + AUR_PANEL_COLUMNS - 1) / AUR_PANEL_COLUMNS;
	for (int64_t i = 0; i < tiles; i++) {
		const int64_t j = i * AUR_PANEL_COLUMNS, width = panel_width(block, j), left = block->columns - j;
		if (next->rows > 0 && block->p->m * block->p->k > 1 << 20)
			aur_pack_prefetch(&next->source, i, tiles);
		multiply_tile(block, &tile, panel->row, panel->rows, block->column + j, left < width ? left : width);
		tile.b += tile.steps * width;
	}
}

static void multiply_rows(const struct block *block, const struct room *room)
{
	const int64_t panels = (block->rows + AUR_PANEL_ROWS - 1) / AUR_PANEL_ROWS;
	struct panel next = panel_of(block, 0, panels);
	for (int64_t i = 0; i < panels; i++) {
		const struct panel panel = next;
		next = panel_of(block, i + 1, panels);
		if (panel.source.along)
			aur_pack_by_lines(&panel.source, (panel.rows + 1) / 2 * 2, room->a);
		else
			aur_pack_by_steps(&panel.source, AUR_GEMM_MOST_ROWS, room->a);
		multiply_panel(block, &panel, &next, room);
	}
}

static void multiply_block(struct block *block, const struct room *room)
{
	const struct aur_gemm *p = block->p;
	const int64_t depth = AUR_GEMM_DEPTH * (block->pairs ? 2 : 1);
	block->sums = p->c_type == AUR_BF16 ? room->sums : NULL;
	for (block->k = 0; block->k < p->k || block->k == 0; block->k += depth) {
		block->depth = p->k - block->k < depth ? p->k - block->k : depth;
		pack_b(block, room->b);
		multiply_rows(block, room);
	}
}

void aur_gemm(const struct aur_gemm *p, void *memory)
{
	const struct room room = carve(memory);
	const int64_t height = p->c_type == AUR_BF16 ? AUR_GEMM_HEIGHT : p->m;
	struct block block = {.p = p, .pairs = p->type == AUR_BF16 && AUR_HAS_BF16_PRODUCT};
	for (block.column = 0; block.column < p->n; block.column += AUR_GEMM_WIDTH) {
		block.columns = p->n - block.column < AUR_GEMM_WIDTH ? p->n - block.column : AUR_GEMM_WIDTH;
		for (block.row = 0; block.row < p->m; block.row += height) {
			block.rows = p->m - block.row < height ? p->m - block.row : height;
			multiply_block(&block, &room);
		}
	}
}
