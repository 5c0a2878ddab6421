#ifndef AUR_CPU_GEMM_PACK_H
#define AUR_CPU_GEMM_PACK_H

#include "gemm.h"
#include "gemm_vector.h"

/* Operands of a product copied into the order in which the kernel reads them. A "step" is what the kernel multiplies at
 * a time along k: a float, or a pair of bf16 in one float's place (`pairs`). Without pairs bf16 is widened here. */

/* Part of an operand as stored: `lines` rows (of A) or columns (of B), numbers [begin, begin + depth) along k. */
struct aur_pack_source {
	const void *data; /* of line 0, number 0 */
	enum aur_dtype type;
	int along;     /* 1: the numbers of a line lie side by side; 0: number l of all lines does */
	int64_t pitch; /* from line to line where along, from number to number otherwise, in elements */
	int64_t lines, depth;
	int64_t readable; /* where not along: numbers of a row that may be read, the lines and perhaps more */
	int pairs;
};

static inline int64_t aur_pack_steps(int64_t depth, int pairs)
{
	return pairs ? (depth + 1) / 2 : depth;
}

/* Lines side by side for each step: to[step][width], width >= lines. Beyond the lines zero or, where more may be read,
 * what lies there. */
void aur_pack_by_steps(const struct aur_pack_source *source, int64_t width, float *to);

/* The same for lines that lie across, a multiple of AUR_PANEL_COLUMNS: panels of so many, one after the other. A row of
 * the operand lies in one piece across all panels and is read in one go; a panel at a time takes two cache lines of
 * each of 256 rows, 1.0 ns a float where this takes 0.6 (a Xeon whose memory copies 9 GB/s a core). */
void aur_pack_panels_by_steps(const struct aur_pack_source *source, float *to);

/* The same for panels of A: panel i holds the lines [begins[i], begins[i + 1]) and lies AUR_GEMM_PANEL floats after the
 * one before it, as [steps][AUR_GEMM_MOST_ROWS]. begins[0] is 0; what is no line is zero or what lies there. */
void aur_pack_group_by_steps(const struct aur_pack_source *source, const int64_t *begins, int64_t panels, float *to);

/* Each line on its own: to[line][AUR_GEMM_DEPTH], `height` lines in all, those beyond source's zero. */
void aur_pack_by_lines(const struct aur_pack_source *source, int64_t height, float *to);

/* Asks for part `part` of `parts` of lines that lie along to be brought near, and does not wait for it. */
void aur_pack_prefetch(const struct aur_pack_source *source, int64_t part, int64_t parts);

#endif
