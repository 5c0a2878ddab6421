#include "attention.h"
#include "attention_vector.h"
#include "gemm_pack.h"

#include <math.h>

/* Sums and maxima of the rows of a tile. Within one register they would be a chain of as many additions as it has
 * lanes, each waiting for the one before; so the registers of all rows are turned, and the chains of all rows go side
 * by side, with the same additions in the same order. */

enum { ROWS = AUR_GEMM_MOST_ROWS };

/* turned [AUR_LANES][ROWS]: lane l of row i comes to [l][i]. */
static void turn(const float *lanes, float *turned)
{
	aur_pack_by_steps(
		&(struct aur_pack_source){
			.data = lanes, .type = AUR_F32, .along = 1, .pitch = AUR_LANES, .lines = ROWS, .depth = AUR_LANES},
		ROWS, turned);
}

void aur_attention_add_rows(const float *lanes, float *out)
{
	_Alignas(64) float turned[AUR_LANES * ROWS];
	turn(lanes, turned);
	for (int64_t i = 0; i < ROWS; i += AUR_LANES) {
		aur_vec sum = {0};
		for (int64_t l = 0; l < AUR_LANES; l++)
			sum += *aur_vec_in(turned + l * ROWS + i);
		*aur_vec_at(out + i) = sum;
	}
}

void aur_attention_largest_of_rows(const float *lanes, float *out)
{
	_Alignas(64) float turned[AUR_LANES * ROWS];
	turn(lanes, turned);
	for (int64_t i = 0; i < ROWS; i += AUR_LANES) {
		aur_vec largest = aur_vec_of(-INFINITY);
		for (int64_t l = 0; l < AUR_LANES; l++)
			largest = aur_vec_larger(*aur_vec_in(turned + l * ROWS + i), largest);
		*aur_vec_at(out + i) = largest;
	}
}
