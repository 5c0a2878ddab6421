#include "internal.h"
#include "vector_math.h"

/* Element-wise, in blocks of a fixed size; one loop a kind, so that each is vector code without branches. */

enum { BLOCK = 16384 };

static const float root_half = 0.70710678118654752f; /* 1/sqrt(2) */
static const float gauss = 0.39894228040143268f;     /* 1/sqrt(2 pi) */
static const float root_2_over_pi = 0.79788456080286536f;
static const float cubic = 0.044715f;

/* A NaN is not below zero, and stays. */
static void relu_forward(const float *x, float *y, int64_t n)
{
#pragma omp simd
	for (int64_t i = 0; i < n; i++)
		y[i] = x[i] < 0.0f ? 0.0f : x[i];
}

static void gelu_forward(const float *x, float *y, int64_t n)
{
#pragma omp simd
	for (int64_t i = 0; i < n; i++)
		y[i] = 0.5f * x[i] * (1.0f + aur_erff(x[i] * root_half));
}

static void gelu_tanh_forward(const float *x, float *y, int64_t n)
{
#pragma omp simd
	for (int64_t i = 0; i < n; i++)
		y[i] = 0.5f * x[i] * (1.0f + aur_tanhf(root_2_over_pi * (x[i] + cubic * x[i] * x[i] * x[i])));
}

static void relu_backward(const float *x, const float *d_y, float *d_x, int64_t n)
{
#pragma omp simd
	for (int64_t i = 0; i < n; i++)
		d_x[i] = x[i] <= 0.0f ? 0.0f : d_y[i];
}

/* f'(x) = Phi(x) + x phi(x). */
static void gelu_backward(const float *x, const float *d_y, float *d_x, int64_t n)
{
#pragma omp simd
	for (int64_t i = 0; i < n; i++) {
		const float below = 0.5f * (1.0f + aur_erff(x[i] * root_half));
		const float density = gauss * aur_expf(-0.5f * x[i] * x[i]);
		d_x[i] = d_y[i] * (below + x[i] * density);
	}
}

/* With t = tanh(u(x)): f'(x) = (1 + t)/2 + x/2 (1 - t^2) u'(x). */
static void gelu_tanh_backward(const float *x, const float *d_y, float *d_x, int64_t n)
{
#pragma omp simd
	for (int64_t i = 0; i < n; i++) {
		const float square = x[i] * x[i];
		const float t = aur_tanhf(root_2_over_pi * (x[i] + cubic * square * x[i]));
		const float slope = root_2_over_pi * (1.0f + 3.0f * cubic * square);
		d_x[i] = d_y[i] * (0.5f * (1.0f + t) + 0.5f * x[i] * (1.0f - t * t) * slope);
	}
}

typedef void (*forward_function)(const float *x, float *y, int64_t n);
typedef void (*backward_function)(const float *x, const float *d_y, float *d_x, int64_t n);

static const forward_function forward_of[] = {
	[AUR_RELU] = relu_forward,
	[AUR_GELU] = gelu_forward,
	[AUR_GELU_TANH] = gelu_tanh_forward,
};

static const backward_function backward_of[] = {
	[AUR_RELU] = relu_backward,
	[AUR_GELU] = gelu_backward,
	[AUR_GELU_TANH] = gelu_tanh_backward,
};

static aur_status check(const char *who, enum aur_activation_kind kind, const struct aur_tensor *tensor, int64_t count)
{
	if ((unsigned)kind > AUR_GELU_TANH)
		return aur_fail(AUR_SHAPE, "%s: unknown activation %d", who, (int)kind);
	if (!aur_tensor_is(tensor, AUR_F32, count))
		return aur_fail(AUR_SHAPE, "%s: x and its result or gradients disagree", who);
	return AUR_OK;
}

aur_status aur_activation_forward_cpu(struct aur_backend *backend, const struct aur_activation_forward *op)
{
	(void)backend;
	const int64_t count = aur_tensor_count(&op->x);
	AUR_TRY(check("activation_forward", op->kind, &op->x, count));
	AUR_TRY(check("activation_forward", op->kind, &op->y, count));
	const forward_function forward = forward_of[op->kind];
	const float *x = aur_f32(&op->x);
	float *y = aur_f32(&op->y);
	const int64_t blocks = (count + BLOCK - 1) / BLOCK;
#pragma omp parallel for schedule(static)
	for (int64_t i = 0; i < blocks; i++) {
		const int64_t begin = i * BLOCK;
		forward(x + begin, y + begin, count - begin < BLOCK ? count - begin : BLOCK);
	}
	return AUR_OK;
}

aur_status aur_activation_backward_cpu(struct aur_backend *backend, const struct aur_activation_backward *op)
{
	(void)backend;
	const int64_t count = aur_tensor_count(&op->x);
	AUR_TRY(check("activation_backward", op->kind, &op->x, count));
	AUR_TRY(check("activation_backward", op->kind, &op->d_y, count));
	AUR_TRY(check("activation_backward", op->kind, &op->d_x, count));
	const backward_function backward = backward_of[op->kind];
	const float *x = aur_f32(&op->x), *d_y = aur_f32(&op->d_y);
	float *d_x = aur_f32(&op->d_x);
	const int64_t blocks = (count + BLOCK - 1) / BLOCK;
#pragma omp parallel for schedule(static)
	for (int64_t i = 0; i < blocks; i++) {
		const int64_t begin = i * BLOCK;
		backward(x + begin, d_y + begin, d_x + begin, count - begin < BLOCK ? count - begin : BLOCK);
	}
	return AUR_OK;
}
