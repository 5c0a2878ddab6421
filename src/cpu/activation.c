#include "internal.h"
#include "rows.h"
#include "vector_math.h"

#include <math.h>

/* Element-wise, in blocks of a fixed size; one loop a kind, so that each is vector code without branches.
 *
 * Both forms of gelu are x S(x) with S(-x) = 1 - S(x). With a = |x| and h = S(-a), which is at most 1/2 and keeps its
 * digits however small it gets:
 *   f(x) = max(x, 0) - a h         f'(x) = q for x <= 0, 1 - q for x > 0, where q = h - a S'(a)
 * From the limit of a on, h is 0 in fp32; held there, nothing overflows. */

/* Streamed results are made in pieces so short that their stores leave while the next piece is computed: a longer one
 * fills the processor's queue of stores, and it waits. Operands are fetched as far ahead as memory is late. With
 * pieces of 1024 gelu reached 51 percent of the copy rate, with these 82; without its division, by a reciprocal of
 * eight more multiplications, 69. */
enum { BLOCK = 16384, STREAM_PIECE = 128, AHEAD = 1024 };

static const float gauss = 0.39894228040143268f; /* 1/sqrt(2 pi) */
static const float erf_limit = 13.28f;
static const float tanh_limit = 10.04f;

/* A NaN is not below zero, and stays. */
AUR_INLINE void relu_forward(const void *x, void *y, int64_t n, enum aur_dtype type)
{
#pragma omp simd
	for (int64_t i = 0; i < n; i++) {
		const float at = aur_element(x, i, type);
		aur_set_element(y, i, type, at < 0.0f ? 0.0f : at);
	}
}

AUR_INLINE void relu_backward(const void *x, const void *d_y, void *d_x, int64_t n, enum aur_dtype type)
{
#pragma omp simd
	for (int64_t i = 0; i < n; i++)
		aur_set_element(d_x, i, type, aur_element(x, i, type) <= 0.0f ? 0.0f : aur_element(d_y, i, type));
}

/* exp(-a^2/2). */
AUR_INLINE float bell(float a)
{
	return aur_exp2_within(-0.72134752f * a * a);
}

/* erfc(a / sqrt 2) / 2 = exp(-a^2/2) tail(a): with t = 1/(1 + 0.34 a) the second factor is t times a polynomial,
 * fitted to 1.8e-7 of itself for a <= 4.5 and to 4e-6 beyond. */
AUR_INLINE float tail(float a)
{
	const float t = 1.0f / (1.0f + 0.34f * a);
	float p = 4.552502828e-02f;
	p = p * t + -2.037660634e-01f;
	p = p * t + 2.701424845e-01f;
	p = p * t + -3.658234394e-02f;
	p = p * t + 1.596444095e-01f;
	p = p * t + 1.289259141e-01f;
	p = p * t + 1.361104838e-01f;
	return p * t;
}

AUR_INLINE void gelu_forward(const void *x, void *y, int64_t n, enum aur_dtype type)
{
#pragma omp simd
	for (int64_t i = 0; i < n; i++) {
		const float at = aur_element(x, i, type);
		float a = fabsf(at);
		a = erf_limit < a ? erf_limit : a;
		aur_set_element(y, i, type, (at > 0.0f ? at : 0.0f) - a * (bell(a) * tail(a)));
	}
}

AUR_INLINE void gelu_backward(const void *x, const void *d_y, void *d_x, int64_t n, enum aur_dtype type)
{
#pragma omp simd
	for (int64_t i = 0; i < n; i++) {
		const float at = aur_element(x, i, type);
		float a = fabsf(at);
		a = erf_limit < a ? erf_limit : a;
		const float q = bell(a) * (tail(a) - gauss * a);
		aur_set_element(d_x, i, type, aur_element(d_y, i, type) * (at > 0.0f ? 1.0f - q : q));
	}
}

/* With u(x) = sqrt(2/pi) (x + 0.044715 x^3): S(x) = (1 + tanh u(x)) / 2 = 1 / (1 + e^(-2u)), and e = e^(-2u(a)). */
AUR_INLINE float decay(float a)
{
	return aur_exp2_within(a * (-2.302208198f + -0.1029432396f * (a * a)));
}

AUR_INLINE void gelu_tanh_forward(const void *x, void *y, int64_t n, enum aur_dtype type)
{
#pragma omp simd
	for (int64_t i = 0; i < n; i++) {
		const float at = aur_element(x, i, type);
		float a = fabsf(at);
		a = tanh_limit < a ? tanh_limit : a;
		const float e = decay(a);
		aur_set_element(y, i, type, (at > 0.0f ? at : 0.0f) - a * e / (1.0f + e));
	}
}

/* S'(a) = h (1 - h) 2u'(a). */
AUR_INLINE void gelu_tanh_backward(const void *x, const void *d_y, void *d_x, int64_t n, enum aur_dtype type)
{
#pragma omp simd
	for (int64_t i = 0; i < n; i++) {
		const float at = aur_element(x, i, type);
		float a = fabsf(at);
		a = tanh_limit < a ? tanh_limit : a;
		const float e = decay(a);
		const float h = e / (1.0f + e);
		const float slope = a * (1.595769122f + 0.2140644490f * (a * a));
		const float q = h * (1.0f - (1.0f - h) * slope);
		aur_set_element(d_x, i, type, aur_element(d_y, i, type) * (at > 0.0f ? 1.0f - q : q));
	}
}

AUR_INLINE void forward_as(enum aur_activation_kind kind, const void *x, void *y, int64_t n, enum aur_dtype type)
{
	if (kind == AUR_RELU)
		relu_forward(x, y, n, type);
	else if (kind == AUR_GELU)
		gelu_forward(x, y, n, type);
	else
		gelu_tanh_forward(x, y, n, type);
}

AUR_INLINE void backward_as(
	enum aur_activation_kind kind, const void *x, const void *d_y, void *d_x, int64_t n, enum aur_dtype type)
{
	if (kind == AUR_RELU)
		relu_backward(x, d_y, d_x, n, type);
	else if (kind == AUR_GELU)
		gelu_backward(x, d_y, d_x, n, type);
	else
		gelu_tanh_backward(x, d_y, d_x, n, type);
}

/* `to` gets the elements [begin, begin + n) of the result. */
AUR_INLINE void forward(const struct aur_activation_forward *op, int64_t begin, int64_t n, void *to)
{
	if (op->x.dtype == AUR_F32)
		forward_as(op->kind, aur_elements(&op->x, begin), to, n, AUR_F32);
	else
		forward_as(op->kind, aur_elements(&op->x, begin), to, n, AUR_BF16);
}

static void backward(const struct aur_activation_backward *op, int64_t begin, int64_t n, void *to)
{
	const void *x = aur_elements(&op->x, begin), *d_y = aur_elements(&op->d_y, begin);
	if (op->x.dtype == AUR_F32)
		backward_as(op->kind, x, d_y, to, n, AUR_F32);
	else
		backward_as(op->kind, x, d_y, to, n, AUR_BF16);
}

static void forward_block(const struct aur_activation_forward *op, int64_t begin, int64_t end, int streams)
{
	_Alignas(64) float piece[STREAM_PIECE];
	if (!streams) {
		forward(op, begin, end - begin, aur_elements(&op->y, begin));
		return;
	}
	for (; begin < end; begin += STREAM_PIECE) {
		const int64_t n = end - begin < STREAM_PIECE ? end - begin : STREAM_PIECE;
		if (n == STREAM_PIECE) /* a number the compiler knows */
			forward(op, begin, STREAM_PIECE, piece);
		else
			forward(op, begin, n, piece);
		aur_stream(aur_elements(&op->y, begin), piece, (size_t)n * aur_element_bytes(op->y.dtype),
			aur_elements(&op->x, begin + AHEAD));
	}
	aur_stream_end();
}

aur_status aur_activation_forward_cpu(struct aur_backend *backend, const struct aur_activation_forward *op)
{
	(void)backend;
	const int64_t count = aur_tensor_count(&op->x);
	AUR_TRY(aur_check_activation_forward(op));
	const int streams = op->y.data != op->x.data && aur_streams(&op->y);
#pragma omp parallel for schedule(static)
	for (int64_t begin = 0; begin < count; begin += BLOCK)
		forward_block(op, begin, begin + BLOCK < count ? begin + BLOCK : count, streams);
	return AUR_OK;
}

static void backward_block(const struct aur_activation_backward *op, int64_t begin, int64_t end, int streams)
{
	_Alignas(64) float piece[AUR_PIECE];
	if (!streams) {
		backward(op, begin, end - begin, aur_elements(&op->d_x, begin));
		return;
	}
	for (; begin < end; begin += AUR_PIECE) {
		const int64_t n = end - begin < AUR_PIECE ? end - begin : AUR_PIECE;
		backward(op, begin, n, piece);
		aur_stream(aur_elements(&op->d_x, begin), piece, (size_t)n * aur_element_bytes(op->d_x.dtype),
			aur_elements(&op->x, begin + n));
	}
	aur_stream_end();
}

aur_status aur_activation_backward_cpu(struct aur_backend *backend, const struct aur_activation_backward *op)
{
	(void)backend;
	const int64_t count = aur_tensor_count(&op->x);
	AUR_TRY(aur_check_activation_backward(op));
	const int streams = op->d_x.data != op->d_y.data && aur_streams(&op->d_x);
#pragma omp parallel for schedule(static)
	for (int64_t begin = 0; begin < count; begin += BLOCK)
		backward_block(op, begin, begin + BLOCK < count ? begin + BLOCK : count, streams);
	return AUR_OK;
}
