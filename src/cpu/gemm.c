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
 * B is packed once for each block of rows and A once for each block of columns. What lies well is read as it lies and
 * never packed: an A of floats whose rows lie along k, unless they collide (gemm_kernel.h), and a B of floats whose
 * rows are short, where few panels of A come by. Where A's rows lie across, a panel is 56 bytes of each of up to 256
 * rows far apart: GROUP panels are packed at a time, which asks for every cache line once. */

enum {
	IN_PLACE_PITCH = 384, /* most floats from row to row of a B that is read in place: rows apart by 2 KiB collide */
	IN_PLACE_ROWS = 512,  /* most rows of C it serves: from there on packing pays */
	GROUP = 112 / AUR_PANEL_ROWS, /* panels packed at a time: seven cache lines of each of A's rows */
	LARGE_A = 1 << 20,            /* elements; a smaller A is still near from where it was written */
};

_Static_assert((int)GROUP <= (int)AUR_GEMM_GROUP, "there is room for so many panels");

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
		.sums = at + AUR_GEMM_DEPTH * AUR_GEMM_WIDTH + AUR_GEMM_GROUP * AUR_GEMM_PANEL};
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

static int b_in_place(const struct block *block)
{
	const struct aur_gemm *p = block->p;
	return p->type == AUR_F32 && !p->transpose_b && p->ldb <= IN_PLACE_PITCH && block->rows <= IN_PLACE_ROWS &&
		   block->columns % AUR_PANEL_COLUMNS == 0;
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

static void multiply_tile(const struct block *block, enum aur_a_layout layout, struct aur_tile *tile, int64_t row,
	int64_t rows, int64_t column, int64_t columns)
{
	const struct aur_gemm *p = block->p;
	const int64_t width = columns > AUR_LANES ? AUR_PANEL_COLUMNS : AUR_LANES;
	const struct target target = target_of(block, row, column);
	const aur_kernel kernel = aur_gemm_kernel_of(block->pairs, layout, rows, (int)(width / AUR_LANES));
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

static int64_t panels_of(const struct block *block)
{
	return (block->rows + AUR_PANEL_ROWS - 1) / AUR_PANEL_ROWS;
}

/* Row of the block that panel i begins at; of the last and one more, its end. */
static int64_t panel_begin(const struct block *block, int64_t i)
{
	const int64_t begin = (block->rows + 1) / 2 * i / panels_of(block) * 2;
	return begin < block->rows ? begin : block->rows;
}

static struct panel panel_of(const struct block *block, int64_t i)
{
	const int64_t begin = panel_begin(block, i);
	struct panel panel = {.row = block->row + begin};
	if (i >= panels_of(block))
		return panel;
	panel.rows = panel_begin(block, i + 1) - begin;
	panel.source = source_of(block, 1, panel.row, panel.rows);
	return panel;
}

/* A panel of rows, packed or in place, against all panels of columns. While it is multiplied, lines of `next` are
 * brought near, a part with each tile: packing them would otherwise wait for every one. */
static void multiply_panel(const struct block *block, enum aur_a_layout layout, const struct panel *panel,
	struct aur_tile *tile, const struct panel *next, const struct room *room)
{
	const struct aur_gemm *p = block->p;
	const int64_t tiles = (block->columns + AUR_PANEL_COLUMNS - 1) / AUR_PANEL_COLUMNS;
	const int in_place = b_in_place(block);
	const float *b = in_place ? (const float *)p->b + block->k * p->ldb + block->column : room->b;
	tile->steps = aur_pack_steps(block->depth, block->pairs);
	tile->alpha = p->alpha;
	for (int64_t i = 0; i < tiles; i++) {
		const int64_t j = i * AUR_PANEL_COLUMNS, width = panel_width(block, j), left = block->columns - j;
		if (next && next->rows > 0)
			aur_pack_prefetch(&next->source, i, tiles);
		tile->b = in_place ? b + j : b + tile->steps * j;
		tile->b_pitch = in_place ? p->ldb : width;
		multiply_tile(block, layout, tile, panel->row, panel->rows, block->column + j, left < width ? left : width);
	}
}

/* A's rows lie along k. */
static void multiply_rows_along(const struct block *block, const struct room *room)
{
	const int large = block->p->m * block->p->k > LARGE_A;
	struct panel next = panel_of(block, 0);
	for (int64_t i = 0; i < panels_of(block); i++) {
		const struct panel panel = next;
		const int in_place = aur_gemm_reads_in_place(block->p->type, panel.rows, panel.source.pitch);
		struct aur_tile tile = {.a = in_place ? panel.source.data : room->a, .a_pitch = panel.source.pitch};
		next = panel_of(block, i + 1);
		if (!in_place)
			aur_pack_by_lines(&panel.source, (panel.rows + 1) / 2 * 2, room->a);
		multiply_panel(block, in_place ? AUR_A_IN_PLACE : AUR_A_BY_ROWS, &panel, &tile, large ? &next : NULL, room);
	}
}

/* A's rows lie across: panels [first, first + n). */
static void multiply_group(const struct block *block, int64_t first, int64_t n, const struct room *room)
{
	int64_t begins[GROUP + 1];
	const int64_t row = panel_begin(block, first);
	for (int64_t i = 0; i <= n; i++)
		begins[i] = panel_begin(block, first + i) - row;
	const struct aur_pack_source source = source_of(block, 1, block->row + row, begins[n]);
	aur_pack_group_by_steps(&source, begins, n, room->a);
	for (int64_t i = 0; i < n; i++) {
		const struct panel panel = panel_of(block, first + i);
		struct aur_tile tile = {.a = room->a + i * AUR_GEMM_PANEL};
		multiply_panel(block, AUR_A_BY_STEPS, &panel, &tile, NULL, room);
	}
}

static void multiply_rows(const struct block *block, const struct room *room)
{
	const int64_t panels = panels_of(block);
	if (!block->p->transpose_a) {
		multiply_rows_along(block, room);
		return;
	}
	for (int64_t i = 0; i < panels; i += GROUP)
		multiply_group(block, i, panels - i < GROUP ? panels - i : GROUP, room);
}

static void multiply_block(struct block *block, const struct room *room)
{
	const struct aur_gemm *p = block->p;
	const int64_t depth = AUR_GEMM_DEPTH * (block->pairs ? 2 : 1);
	block->sums = p->c_type == AUR_BF16 ? room->sums : NULL;
	for (block->k = 0; block->k < p->k || block->k == 0; block->k += depth) {
		block->depth = p->k - block->k < depth ? p->k - block->k : depth;
		if (!b_in_place(block))
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
