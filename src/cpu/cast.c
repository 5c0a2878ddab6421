#include "internal.h"
#include "vector_math.h"

enum { BLOCK = 32768 };

/* As aur_bf16_from_f32, without a branch. */
static void narrow(const float *x, int64_t n, uint16_t *y)
{
#pragma omp simd
	for (int64_t i = 0; i < n; i++) {
		const uint32_t bits = aur_bits_of(x[i]);
		const uint32_t rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
		const uint32_t quiet = bits >> 16 | 0x40u;
		y[i] = (uint16_t)((bits & 0x7fffffffu) > 0x7f800000u ? quiet : rounded);
	}
}

static void widen(const uint16_t *x, int64_t n, float *y)
{
#pragma omp simd
	for (int64_t i = 0; i < n; i++)
		y[i] = aur_float_of((uint32_t)x[i] << 16);
}

aur_status aur_cast_cpu(struct aur_backend *backend, const struct aur_cast *op)
{
	static const char name[] = "cast";
	(void)backend;
	const int64_t count = aur_tensor_count(&op->x);
	const int narrows = op->x.dtype == AUR_F32;
	AUR_TRY(aur_check_matrix(name, "x", &op->x, narrows ? AUR_F32 : AUR_BF16, count, 1));
	AUR_TRY(aur_check_matrix(name, "y", &op->y, narrows ? AUR_BF16 : AUR_F32, count, 1));
#pragma omp parallel for schedule(static)
	for (int64_t begin = 0; begin < count; begin += BLOCK) {
		const int64_t n = count - begin < BLOCK ? count - begin : BLOCK;
		if (narrows)
			narrow(aur_f32(&op->x) + begin, n, (uint16_t *)op->y.data + begin);
		else
			widen((const uint16_t *)op->x.data + begin, n, aur_f32(&op->y) + begin);
	}
	return AUR_OK;
}
