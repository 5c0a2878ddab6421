#include "oracle.h"

#include "../../src/cpu/gemm.h"
#include "../../src/cpu/vector_math.h"

/* What the CPU backend's operations stand on: the matrix library behind its wrapper, and exp, tanh and erf. */

static double element(const float *x, int64_t pitch, int transposed, int64_t i, int64_t j)
{
	return (double)(transposed ? x[j * pitch + i] : x[i * pitch + j]);
}

static void check_product(int64_t m, int64_t n, int64_t k, int transpose_a, int transpose_b, int64_t gap, float beta)
{
	const int64_t lda = (transpose_a ? m : k) + gap;
	const int64_t ldb = (transpose_b ? k : n) + gap;
	const int64_t ldc = n + gap;
	const float *a = ops_random(lda * (transpose_a ? k : m), 1, 1.0f);
	const float *b = ops_random(ldb * (transpose_b ? n : k), 2, 1.0f);
	float *c = ops_random(ldc * m, 3, 1.0f);
	double *want = ops_doubles(c, ldc * m);
	for (int64_t i = 0; i < m; i++)
		for (int64_t j = 0; j < n; j++) {
			double sum = 0.0;
			for (int64_t l = 0; l < k; l++)
				sum += element(a, lda, transpose_a, i, l) * element(b, ldb, transpose_b, l, j);
			want[i * ldc + j] = 0.5 * sum + (double)beta * want[i * ldc + j];
		}
	aur_gemm(&(struct aur_gemm){.transpose_a = transpose_a,
		.transpose_b = transpose_b,
		.m = m,
		.n = n,
		.k = k,
		.alpha = 0.5f,
		.beta = beta,
		.a = a,
		.lda = lda,
		.b = b,
		.ldb = ldb,
		.c = c,
		.ldc = ldc});
	/* fp32 sums of up to 100 products */
	ops_assert_close("c", c, want, ldc * m, 2e-6);
}

static void products_read_and_write_rows_at_their_pitch(void **state)
{
	(void)state;
	for (int transposed = 0; transposed < 4; transposed++)
		for (int64_t gap = 0; gap < 8; gap += 7) {
			check_product(1, 1, 1, transposed & 1, transposed >> 1, gap, 0.0f);
			check_product(5, 7, 3, transposed & 1, transposed >> 1, gap, 1.0f);
			check_product(67, 33, 100, transposed & 1, transposed >> 1, gap, 0.25f);
		}
}

/* A pitch that the library's int cannot hold is legal for a matrix of one row. */
static void sizes_beyond_int_are_multiplied_too(void **state)
{
	(void)state;
	const float a[] = {1.0f, 2.0f, 3.0f};
	const float b[] = {1.0f, 10.0f, 2.0f, 20.0f, 3.0f, 30.0f};
	float c[] = {NAN, NAN};
	struct aur_gemm product = {
		.m = 1, .n = 2, .k = 3, .alpha = 1.0f, .a = a, .lda = INT64_C(1) << 33, .b = b, .ldb = 2, .c = c, .ldc = 2};
	aur_gemm(&product);
	assert_true(c[0] == 14.0f && c[1] == 140.0f);
	product.beta = 1.0f;
	aur_gemm(&product);
	assert_true(c[0] == 28.0f && c[1] == 280.0f);
}

/* In units of the last place of the true result. */
static double error_of(float got, double want)
{
	const float nearest = (float)want;
	if (isnan(want) || isinf(nearest))
		return isnan(want) ? (isnan(got) ? 0.0 : INFINITY) : ((double)got == (double)nearest ? 0.0 : INFINITY);
	const float size = fabsf(nearest);
	return fabs((double)got - want) / ((double)nextafterf(size, INFINITY) - (double)size);
}

/* Every 1,009th of all fp32 numbers, NaN and infinities among them. */
static void functions_keep_their_stated_accuracy(void **state)
{
	(void)state;
	double worst[3] = {0.0, 0.0, 0.0};
	for (uint64_t bits = 0; bits <= UINT32_MAX; bits += 1009) {
		const float x = aur_float_of((uint32_t)bits);
		worst[0] = fmax(worst[0], error_of(aur_expf(x), exp((double)x)));
		worst[1] = fmax(worst[1], error_of(aur_tanhf(x), tanh((double)x)));
		worst[2] = fmax(worst[2], error_of(aur_erff(x), erf((double)x)));
	}
	assert_true(worst[0] <= 1.1);
	assert_true(worst[1] <= 1.5);
	assert_true(worst[2] <= 1.5);
}

static void functions_meet_their_limits(void **state)
{
	(void)state;
	assert_true(aur_expf(-INFINITY) == 0.0f && aur_expf(-1e30f) == 0.0f && aur_expf(0.0f) == 1.0f);
	assert_true(isinf(aur_expf(INFINITY)) && isinf(aur_expf(88.73f)) && isfinite(aur_expf(88.72f)));
	assert_true(aur_tanhf(INFINITY) == 1.0f && aur_tanhf(-INFINITY) == -1.0f && aur_tanhf(0.0f) == 0.0f);
	assert_true(aur_erff(INFINITY) == 1.0f && aur_erff(-INFINITY) == -1.0f && aur_erff(0.0f) == 0.0f);
	assert_true(isnan(aur_expf(NAN)) && isnan(aur_tanhf(NAN)) && isnan(aur_erff(NAN)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(products_read_and_write_rows_at_their_pitch),
		cmocka_unit_test(sizes_beyond_int_are_multiplied_too),
		cmocka_unit_test(functions_keep_their_stated_accuracy),
		cmocka_unit_test(functions_meet_their_limits),
	};
	return ops_main("arithmetic", tests, sizeof tests / sizeof *tests);
}
