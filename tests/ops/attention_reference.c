#include "attention_reference.h"

#include "core/rng.h"

#include <math.h>
#include <string.h>

static const struct aur_step_state step = {.seed = 0x1234567800000009u, .first_sample = 31};

struct aur_dropout attention_case_dropout(const struct attention_case *c)
{
	return (struct aur_dropout){.p = c->p, .site = AUR_SITE_DROP_ATTENTION, .layer = 2, .state = &step};
}

static int64_t at_most(int64_t n, int64_t most)
{
	return n < most ? n : most;
}

struct attention_case attention_case_sized(const struct attention_case *c)
{
	struct attention_case sized = *c;
	sized.positions = ops_sized(c->positions, 128);
	if (ops_emulated()) {
		sized.heads = at_most(c->heads, 3);
		sized.batch = at_most(c->batch, 2);
	}
	return sized;
}

/* One query: its row of Q, the first rows of K and V, and where they lie apart. */
struct query {
	int64_t sequence, head, position;
	const double *q, *k, *v;
	int64_t pitch;
};

static struct query query_of(const struct attention_case *c, const double *qkv, int64_t b, int64_t h, int64_t t)
{
	const int64_t width = attention_case_width(c);
	const double *first = qkv + b * c->positions * 3 * width + h * c->head;
	return (struct query){b, h, t, first + t * 3 * width, first + width, first + 2 * width, 3 * width};
}

static double dot(const double *a, const double *b, int64_t n)
{
	double sum = 0.0;
	for (int64_t i = 0; i < n; i++)
		sum += a[i] * b[i];
	return sum;
}

/* p [position + 1]: softmax. Returns the logarithm of its sum. */
static double softmax(const struct attention_case *c, const struct query *query, double *p)
{
	double largest = -INFINITY, sum = 0.0;
	for (int64_t j = 0; j <= query->position; j++) {
		p[j] = (double)c->scale * dot(query->q, query->k + j * query->pitch, c->head);
		largest = p[j] > largest ? p[j] : largest;
	}
	for (int64_t j = 0; j <= query->position; j++) {
		p[j] = exp(p[j] - largest);
		sum += p[j];
	}
	for (int64_t j = 0; j <= query->position; j++)
		p[j] /= sum;
	return largest + log(sum);
}

static double factor(const struct attention_case *c, const struct query *query, int64_t key)
{
	const struct aur_dropout dropout = attention_case_dropout(c);
	return ops_dropout_factor(&dropout, (uint32_t)query->head, query->sequence, query->position, key, c->positions);
}

static void forward_query(
	const struct attention_case *c, const struct query *query, double *p, double *out, double *lse)
{
	*lse = softmax(c, query, p);
	memset(out, 0, (size_t)c->head * sizeof *out);
	for (int64_t j = 0; j <= query->position; j++) {
		const double weight = p[j] * factor(c, query, j);
		for (int64_t d = 0; d < c->head; d++)
			out[d] += weight * query->v[j * query->pitch + d];
	}
}

void attention_reference(const struct attention_case *c, const double *qkv, double *out, double *lse)
{
	const int64_t width = attention_case_width(c);
	double *p = ops_memory((size_t)c->positions * sizeof *p), sum;
	for (int64_t i = 0; i < c->batch * c->heads * c->positions; i++) {
		const int64_t t = i % c->positions, h = i / c->positions % c->heads, b = i / c->positions / c->heads;
		const struct query query = query_of(c, qkv, b, h, t);
		forward_query(c, &query, p, out + (b * c->positions + t) * width + h * c->head, lse ? &lse[i] : &sum);
	}
}

/* dS = P (F (d_out . v) - delta) scale, into the rows of dQ, dK and dV. */
static void backward_query(const struct attention_case *c, const struct query *query, const double *out,
	const double *d_out, double *p, double *d_query, double *d_first)
{
	const int64_t width = attention_case_width(c), pitch = query->pitch;
	const double delta = dot(d_out, out, c->head);
	softmax(c, query, p);
	for (int64_t j = 0; j <= query->position; j++) {
		const double kept = factor(c, query, j), weight = p[j] * kept;
		const double ds = p[j] * (kept * dot(d_out, query->v + j * pitch, c->head) - delta) * (double)c->scale;
		double *d_k = d_first + j * pitch + width, *d_v = d_k + width;
		for (int64_t d = 0; d < c->head; d++) {
			d_query[d] += ds * query->k[j * pitch + d];
			d_k[d] += ds * query->q[d];
			d_v[d] += weight * d_out[d];
		}
	}
}

void attention_reference_backward(
	const struct attention_case *c, const double *qkv, const double *out, const double *d_out, double *d_qkv)
{
	const int64_t width = attention_case_width(c);
	double *p = ops_memory((size_t)c->positions * sizeof *p);
	memset(d_qkv, 0, (size_t)(attention_case_rows(c) * 3 * width) * sizeof *d_qkv);
	for (int64_t i = 0; i < c->batch * c->heads * c->positions; i++) {
		const int64_t t = i % c->positions, h = i / c->positions % c->heads, b = i / c->positions / c->heads;
		const struct query query = query_of(c, qkv, b, h, t);
		double *d_first = d_qkv + b * c->positions * 3 * width + h * c->head;
		const int64_t at = (b * c->positions + t) * width + h * c->head;
		backward_query(c, &query, out + at, d_out + at, p, d_first + t * 3 * width, d_first);
	}
}
