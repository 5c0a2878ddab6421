#include "device_test.h"

/* What a kernel may do within a block, and that its words mean what they mean on a device. */

AUR_KERNEL(256) reverse_through_shared(const float *from, float *to, int n)
{
	AUR_SHARED(float, tile, 256);
	const int i = static_cast<int>(threadIdx.x);
	tile[i] = from[i];
	__syncthreads();
	if (i < n)
		to[i] = tile[n - 1 - i];
}

static void a_barrier_lets_threads_read_what_others_wrote(void **state)
{
	(void)state;
	enum { N = 256 };
	float *from = device_floats(N), *to = device_floats(N);
	assert_int_equal(AUR_LAUNCH("reverse", reverse_through_shared, 1, N, 0, 0, from, to, static_cast<int>(N)), 0);
	for (int i = 0; i < N; i++)
		assert_true(device_read(to, i) == static_cast<float>(N - 1 - i));
}

template <typename T> AUR_DEVICE T warp_sum(T x)
{
	for (int offset = warpSize / 2; offset > 0; offset /= 2)
		x += __shfl_xor_sync(0xffffffffu, x, offset);
	return x;
}

template <typename T, int WARPS> AUR_KERNEL(32 * WARPS) sum_rows(const float *x, T *sums, int columns)
{
	AUR_SHARED(T, parts, WARPS);
	const int lane = static_cast<int>(threadIdx.x) % warpSize, warp = static_cast<int>(threadIdx.x) / warpSize;
	T sum = 0;
	for (int i = static_cast<int>(threadIdx.x); i < columns; i += static_cast<int>(blockDim.x))
		sum += x[static_cast<int>(blockIdx.x) * columns + i];
	sum = warp_sum(sum);
	if (lane == 0)
		parts[warp] = sum;
	__syncthreads();
	if (threadIdx.x == 0) {
		for (int i = 1; i < WARPS; i++)
			sum += parts[i];
		sums[blockIdx.x] = sum;
	}
}

static void shuffles_sum_a_row(void **state)
{
	(void)state;
	enum { ROWS = 3, COLUMNS = 1000 };
	float *x = device_floats(ROWS * COLUMNS);
	double *sums = static_cast<double *>(device_memory(ROWS * sizeof *sums));
	assert_int_equal(AUR_LAUNCH("sum", (sum_rows<double, 4>), ROWS, 128, 0, 0, x, sums, static_cast<int>(COLUMNS)), 0);
	for (int row = 0; row < ROWS; row++)
		assert_true(sums[row] == 1000.0 * 999 / 2 + 1e6 * row);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_barrier_lets_threads_read_what_others_wrote, device_forget),
		cmocka_unit_test_teardown(shuffles_sum_a_row, device_forget),
	};
	return cmocka_run_group_tests_name("emulator: block", tests, nullptr, nullptr);
}
