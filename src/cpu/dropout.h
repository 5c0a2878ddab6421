#ifndef AUR_CPU_DROPOUT_H
#define AUR_CPU_DROPOUT_H

/* Dropout's masks, for the files of operations (backend.h says how they are drawn). */

#include "internal.h"

/* All the masks of one (site, layer, head, sequence). */
struct aur_dropout_stream {
	uint64_t keys[10][2]; /* of each round of Philox */
	uint32_t stream;
	uint32_t sample[2];
	uint32_t threshold; /* half-words below it are dropped */
	float scale;        /* of what is kept */
};

struct aur_dropout_stream aur_dropout_stream_of(const struct aur_dropout *dropout, uint32_t head, int64_t sequence);

/* What rows [begin, end) of an activation [*, columns] are multiplied with: 0, or the scale; row n belongs to sequence
 * n / sequence. dropout->p > 0. factors [end - begin, columns]. Runs in the calling thread. */
void aur_dropout_rows(
	const struct aur_dropout *dropout, int64_t sequence, int64_t begin, int64_t end, int64_t columns, float *factors);

/* The same of columns [first, first + n) of position `row` of the stream's sequence; `first` is a multiple of 8. */
void aur_dropout_strip(
	const struct aur_dropout_stream *stream, int64_t row, int64_t columns, int64_t first, int64_t n, float *factors);

/* A rectangle of the mask of causal attention, whose rows are `columns` long: 0 or the scale for rows [row, row + rows)
 * and columns [column, column + n). `column` is a multiple of 8. Of each row the columns up to its own position are
 * written, up to the next multiple of 16 from `column`: so pitch >= n rounded up to 16. */
struct aur_dropout_tile {
	int64_t columns;
	int64_t row, rows;
	int64_t column, n;
};

void aur_dropout_factors(
	const struct aur_dropout_stream *stream, const struct aur_dropout_tile *tile, float *factors, int64_t pitch);

#endif
