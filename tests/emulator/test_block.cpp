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

template <typename T> AUR_ON_DEVICE T warp_sum(T x)
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

struct lane_results {
	int from_4, segment, up, down, exchanged, any, all, sum, most;
	unsigned ballot, same;
	double wide;
	__nv_bfloat16 narrow;
};

AUR_KERNEL(32) ask_warp(struct lane_results *results)
{
	const unsigned all = 0xffffffffu;
	const int lane = static_cast<int>(threadIdx.x);
	struct lane_results *mine = &results[lane];
	mine->from_4 = __shfl_sync(all, lane, 4);
	mine->segment = __shfl_sync(all, lane, 9, 8);
	mine->up = __shfl_up_sync(all, lane, 3);
	mine->down = __shfl_down_sync(all, lane, 3, 16);
	mine->exchanged = __shfl_xor_sync(all, lane, 5);
	mine->any = __any_sync(all, lane == 7);
	mine->all = __all_sync(all, lane != 7);
	mine->sum = __reduce_add_sync(all, lane);
	mine->most = __reduce_max_sync(all, -lane);
	mine->ballot = __ballot_sync(all, lane % 3 == 0);
	mine->same = __match_any_sync(all, lane / 20);
	mine->wide = __shfl_sync(all, lane + 0.5, 31);
	mine->narrow = __shfl_sync(all, __float2bfloat16(static_cast<float>(lane)), 30);
}

/* The tables of CUDA's documentation. */
static void warp_operations_mean_what_they_mean(void **state)
{
	(void)state;
	struct lane_results *results = static_cast<struct lane_results *>(device_memory(32 * sizeof *results));
	assert_int_equal(AUR_LAUNCH("warp", ask_warp, 1, 32, 0, 0, results), 0);
	for (int lane = 0; lane < 32; lane++) {
		const struct lane_results *of = &results[lane];
		assert_int_equal(of->from_4, 4);
		assert_int_equal(of->segment, lane / 8 * 8 + 1);
		assert_int_equal(of->up, lane < 3 ? lane : lane - 3);
		assert_int_equal(of->down, lane % 16 < 13 ? lane + 3 : lane);
		assert_int_equal(of->exchanged, lane ^ 5);
		assert_true(of->any && !of->all);
		assert_int_equal(of->sum, 496);
		assert_int_equal(of->most, 0);
		assert_int_equal(of->ballot, 0x49249249);
		assert_int_equal(of->same, lane < 20 ? 0x000fffff : 0xfff00000);
		assert_true(of->wide == 31.5);
		assert_true(__bfloat162float(of->narrow) == 30.0f);
	}
}

AUR_KERNEL(96) count_in_block(int *counts)
{
	const int thread = static_cast<int>(threadIdx.x);
	counts[thread] = __syncthreads_count(thread < 40);
	counts[96 + thread] = __syncthreads_or(thread == 95);
	counts[192 + thread] = __syncthreads_and(thread != 95);
}

static void barriers_count(void **state)
{
	(void)state;
	int *counts = static_cast<int *>(device_memory(288 * sizeof *counts));
	assert_int_equal(AUR_LAUNCH("count", count_in_block, 1, 96, 0, 0, counts), 0);
	for (int i = 0; i < 96; i++) {
		assert_int_equal(counts[i], 40);
		assert_int_equal(counts[96 + i], 1);
		assert_int_equal(counts[192 + i], 0);
	}
}

AUR_KERNEL(64) some_return(const float *x, float *y)
{
	AUR_SHARED(float, tile, 64);
	const unsigned thread = threadIdx.x;
	if (thread >= 40)
		return;
	tile[thread] = x[thread];
	__syncthreads();
	const float sum = tile[39 - thread] + __shfl_xor_sync(0xffffffffu, x[thread], 1);
	__syncwarp();
	y[thread] = sum;
}

/* As on devices since Volta: a thread that has returned is waited for no more. */
static void threads_that_returned_are_not_waited_for(void **state)
{
	(void)state;
	float *x = device_floats(64), *y = device_floats(64);
	assert_int_equal(AUR_LAUNCH("return", some_return, 1, 64, 0, 0, x, y), 0);
	for (int i = 0; i < 40; i++)
		assert_true(device_read(y, i) == static_cast<float>(39 - i + (i ^ 1)));
	assert_true(device_read(y, 40) == 40.0f);
}

AUR_ON_DEVICE float block_sum(float x)
{
	AUR_SHARED(float, parts, 64);
	__syncthreads();
	parts[threadIdx.x] = x;
	__syncthreads();
	float sum = 0.0f;
	for (int i = 0; i < 64; i++)
		sum += parts[i];
	return sum;
}

AUR_KERNEL(64) sum_twice(const float *x, float *y)
{
	const float first = block_sum(x[threadIdx.x]);
	y[threadIdx.x] = first + block_sum(2.0f * x[threadIdx.x]);
}

/* A function of the device that declares shared memory has one array, however often it is called. */
static void a_function_has_its_own_shared_array(void **state)
{
	(void)state;
	float *x = device_floats(64), *y = device_floats(64);
	assert_int_equal(AUR_LAUNCH("twice", sum_twice, 1, 64, 0, 0, x, y), 0);
	assert_true(device_read(y, 63) == 3.0f * 2016.0f);
}

struct product {
	float left, right, result;
};

static void settle_products(void *const lanes[AUR_WARP])
{
	for (int i = 0; i < AUR_WARP; i++) {
		struct product *mine = static_cast<struct product *>(lanes[i]);
		mine->result = mine->left * static_cast<const struct product *>(lanes[AUR_WARP - 1 - i])->right;
	}
}

AUR_KERNEL(32) meet_in_warp(float *x)
{
	struct product mine = {x[threadIdx.x], 10.0f * x[threadIdx.x], 0.0f};
	aur_emulator_meet("product", 0xffffffffu, settle_products, &mine, {__FILE__, __LINE__});
	x[threadIdx.x] = mine.result;
}

static void a_warp_may_meet_for_an_operation_of_its_own(void **state)
{
	(void)state;
	float *x = device_floats(32);
	assert_int_equal(AUR_LAUNCH("meet", meet_in_warp, 1, 32, 0, 0, x), 0);
	for (int i = 0; i < 32; i++)
		assert_true(device_read(x, i) == static_cast<float>(i * 10 * (31 - i)));
}

AUR_KERNEL(64) mark_place(int *seen)
{
	const unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
	const unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
	atomicAdd(&seen[block * 64 + thread], 1);
}

static void every_thread_of_every_block_runs_once(void **state)
{
	(void)state;
	int *seen = static_cast<int *>(device_memory(24 * 64 * sizeof *seen));
	cudaMemset(seen, 0, 24 * 64 * sizeof *seen);
	assert_int_equal(AUR_LAUNCH("place", mark_place, dim3(2, 3, 4), dim3(4, 8, 2), 0, 0, seen), 0);
	for (int i = 0; i < 24 * 64; i++)
		assert_int_equal(seen[i], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_barrier_lets_threads_read_what_others_wrote, device_forget),
		cmocka_unit_test_teardown(shuffles_sum_a_row, device_forget),
		cmocka_unit_test_teardown(warp_operations_mean_what_they_mean, device_forget),
		cmocka_unit_test_teardown(barriers_count, device_forget),
		cmocka_unit_test_teardown(threads_that_returned_are_not_waited_for, device_forget),
		cmocka_unit_test_teardown(a_function_has_its_own_shared_array, device_forget),
		cmocka_unit_test_teardown(a_warp_may_meet_for_an_operation_of_its_own, device_forget),
		cmocka_unit_test_teardown(every_thread_of_every_block_runs_once, device_forget),
	};
	return cmocka_run_group_tests_name("emulator: block", tests, nullptr, nullptr);
}
