#ifndef AUR_CPU_RESIDUAL_NORM_H
#define AUR_CPU_RESIDUAL_NORM_H

/* What the two passes of layer normalisation share: blocks of rows, and the scratch memory of a thread. */

#include "internal.h"
#include "rows.h"

#include <string.h>

enum {
	AUR_NORM_DRAWN = 2048, /* elements whose dropout is drawn together */
	AUR_NORM_PARTS = 64,   /* partial sums of the parameters' gradients, at most */
};

struct aur_moments {
	float mean, rstd;
};

static inline int64_t aur_norm_blocks(int64_t rows, int64_t columns)
{
	const int64_t per_block = aur_rows_per_block(columns);
	return (rows + per_block - 1) / per_block;
}

static inline int64_t aur_norm_parts(int64_t rows, int64_t columns)
{
	const int64_t blocks = aur_norm_blocks(rows, columns);
	return blocks < AUR_NORM_PARTS ? blocks : AUR_NORM_PARTS;
}

/* Bytes of a row of floats, whole cache lines. */
static inline size_t aur_norm_row_bytes(int64_t columns)
{
	return (size_t)((columns + 63) / 64 * 64) * sizeof(float);
}

/* Rows whose dropout is drawn together. */
static inline int64_t aur_norm_drawn_rows(int64_t columns)
{
	return columns < AUR_NORM_DRAWN ? AUR_NORM_DRAWN / columns : 1;
}

/* One thread's rows. */
struct aur_norm_buffers {
	float *zeros;   /* stands for an operand that is absent, in either type */
	float *line[2]; /* a row under way */
	float *factors; /* dropout's */
};

static inline size_t aur_norm_buffer_bytes(int64_t columns)
{
	return 3 * aur_norm_row_bytes(columns) + aur_norm_row_bytes(columns > AUR_NORM_DRAWN ? columns : AUR_NORM_DRAWN);
}

static inline struct aur_norm_buffers aur_norm_buffers_of(const struct aur_cpu *cpu, int64_t columns)
{
	char *at = aur_cpu_own(cpu);
	const size_t row = aur_norm_row_bytes(columns);
	memset(at, 0, row);
	return (struct aur_norm_buffers){(float *)(void *)at,
		{(float *)(void *)(at + row), (float *)(void *)(at + 2 * row)}, (float *)(void *)(at + 3 * row)};
}

#endif
