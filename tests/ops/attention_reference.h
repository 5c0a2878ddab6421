#ifndef AUR_TESTS_OPS_ATTENTION_REFERENCE_H
#define AUR_TESTS_OPS_ATTENTION_REFERENCE_H

/* Attention in float64, for the tests of attention and of its cached form. */

#include "oracle.h"

struct attention_case {
	int64_t batch, positions, heads, head; /* head: D */
	float scale, p;
	enum aur_dtype type; /* of the activations; fp32 unless said */
};

/* State, site and layer of its dropout; the state is on the host. */
struct aur_dropout attention_case_dropout(const struct attention_case *c);

/* The case, or under the emulator one with fewer positions, heads and sequences. */
struct attention_case attention_case_sized(const struct attention_case *c);

static inline int64_t attention_case_width(const struct attention_case *c)
{
	return c->heads * c->head;
}

static inline int64_t attention_case_rows(const struct attention_case *c)
{
	return c->batch * c->positions;
}

/* out [B*T, C] and, unless NULL, lse [B, H, T] from qkv [B*T, 3C]. */
void attention_reference(const struct attention_case *c, const double *qkv, double *out, double *lse);

/* d_qkv [B*T, 3C] from the same, d_out [B*T, C] and `out` [B*T, C] as the backward pass is given it, perhaps rounded.
 */
void attention_reference_backward(
	const struct attention_case *c, const double *qkv, const double *out, const double *d_out, double *d_qkv);

#endif
