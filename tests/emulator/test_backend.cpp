extern "C" {
#include "backend/backend.h"
#include "cuda/cuda.h"
}

#include "device_test.h"

#include <vector>

/* Opening the CUDA backend where it cannot work, its memory, and what becomes of it when the device fails. */

static void assert_refused(const char *variable, const char *value, const char *text)
{
	struct aur_backend *backend = nullptr;
	setenv(variable, value, 1);
	const aur_status status = aur_backend_open("cuda", &backend);
	unsetenv(variable);
	assert_null(backend);
	assert_string_equal(aur_status_name(status), "AUR_DEVICE");
	if (!strstr(aur_error_message(), text))
		fail_msg("`%s` does not say `%s`", aur_error_message(), text);
}

static void what_is_missing_is_said(void **state)
{
	(void)state;
	assert_refused("AURELIUS_EMULATOR_DRIVER", "none", "no NVIDIA driver; install one");
	assert_refused("AURELIUS_EMULATOR_DRIVER", "too-old", "driver is for CUDA 11.4 and this program needs CUDA");
	assert_refused("AURELIUS_EMULATOR_DEVICES", "0", "no NVIDIA GPU is visible");
	assert_refused("AURELIUS_EMULATOR_CAPABILITY", "75", "has compute capability 7.5, too old");
}

static struct aur_backend *open_backend(void)
{
	struct aur_backend *backend = nullptr;
	if (aur_backend_open("cuda", &backend) != 0)
		fail_msg("%s", aur_error_message());
	return backend;
}

static void a_rank_takes_the_device_of_its_place(void **state)
{
	(void)state;
	setenv("AURELIUS_EMULATOR_DEVICES", "2", 1);
	aur_backend_use_device(3);
	struct aur_backend *backend = open_backend();
	assert_string_equal(backend->device_id, "0000:01:00.0");
	aur_backend_close(&backend);
	aur_backend_use_device(0);
	unsetenv("AURELIUS_EMULATOR_DEVICES");
}

/* More than the pinned memory holds, and the source changed as soon as the call is back. */
static void an_upload_has_read_its_source_when_it_returns(void **state)
{
	(void)state;
	enum { BYTES = 11 * (1 << 20) + 5 };
	struct aur_backend *backend = open_backend();
	std::vector<unsigned char> from(BYTES), back(BYTES);
	void *memory = nullptr;
	for (size_t i = 0; i < BYTES; i++)
		from[i] = static_cast<unsigned char>(i * 31 >> 4);
	const std::vector<unsigned char> expected = from;
	assert_int_equal(backend->ops->allocate(backend, BYTES, &memory), 0);
	assert_int_equal(backend->ops->upload(backend, memory, from.data(), BYTES), 0);
	memset(from.data(), 0, BYTES);
	assert_int_equal(backend->ops->download(backend, back.data(), memory, BYTES), 0);
	assert_int_equal(backend->ops->synchronise(backend), 0);
	assert_memory_equal(back.data(), expected.data(), BYTES);
	backend->ops->release(backend, memory);
	aur_backend_close(&backend);
}

static const struct aur_backend_limits limits = {2, 8, 16, 2, 64, 50, 4096, AUR_F32, 1, 0, 0};

static void counting_takes_no_memory(void **state)
{
	(void)state;
	struct aur_backend *backend = open_backend();
	struct aur_backend_limits counted = limits;
	size_t before = 0, after = 0, total = 0, bytes = 0;
	counted.count_only = 1;
	cudaMemGetInfo(&before, &total);
	assert_int_equal(backend->ops->reserve(backend, &counted, &bytes), 0);
	cudaMemGetInfo(&after, &total);
	assert_true(bytes > 0 && before == after);
	size_t again = 0;
	assert_int_equal(backend->ops->reserve(backend, &limits, &again), 0);
	cudaMemGetInfo(&after, &total);
	assert_true(again == bytes && after < before);
	aur_backend_close(&backend);
}

static void memory_that_ran_out_names_size_and_rest(void **state)
{
	(void)state;
	struct aur_backend *backend = open_backend();
	void *memory = nullptr;
	setenv("AURELIUS_EMULATOR_MEMORY_MB", "64", 1);
	const aur_status status = backend->ops->allocate(backend, 100 << 20, &memory);
	unsetenv("AURELIUS_EMULATOR_MEMORY_MB");
	assert_string_equal(aur_status_name(status), "AUR_MEMORY");
	assert_non_null(strstr(aur_error_message(), "no memory for 104857600 bytes"));
	assert_non_null(strstr(aur_error_message(), "GiB free of 0.06"));
	assert_int_equal(backend->ops->synchronise(backend), 0);
	aur_backend_close(&backend);
}

/* Everything taken before the failure is given back: the same memory is free as before. */
static void an_opening_that_fails_leaves_nothing(void **state)
{
	(void)state;
	struct aur_backend *backend = nullptr;
	size_t before = 0, after = 0, total = 0;
	cudaMemGetInfo(&before, &total);
	setenv("AURELIUS_EMULATOR_MEMORY_MB", "1", 1);
	assert_string_equal(aur_status_name(aur_backend_open("cuda", &backend)), "AUR_MEMORY");
	unsetenv("AURELIUS_EMULATOR_MEMORY_MB");
	cudaMemGetInfo(&after, &total);
	assert_int_equal(before, after);
}

/* A failure of the device stays: whatever is asked next reports it, and closing works. */
static void a_device_that_failed_is_an_error_at_synchronise(void **state)
{
	(void)state;
	struct aur_backend *backend = open_backend();
	void *memory = nullptr;
	assert_int_equal(backend->ops->allocate(backend, 64 * sizeof(float), &memory), 0);
	assert_int_equal(backend->ops->zero(backend, memory, 64 * sizeof(float)), 0);
	const struct aur_cast op = {{memory, AUR_F32, 1, {64}, {1}}, {nullptr, AUR_BF16, 1, {64}, {1}}};
	struct aur_cast wild = op;
	wild.y.data = reinterpret_cast<void *>(uintptr_t(256));
	(void)backend->ops->cast(backend, &wild);
	const aur_status status = backend->ops->synchronise(backend);
	assert_string_equal(aur_status_name(status), "AUR_DEVICE");
	assert_non_null(strstr(aur_error_message(), "an illegal memory access was encountered"));
	backend->ops->release(backend, memory);
	aur_backend_close(&backend);
}

/* A launch by which what a call left behind shows: it fails with the last error, whoever made it. */
static void assert_launches(struct aur_backend *backend)
{
	struct aur_cast op = {{device_floats(64), AUR_F32, 1, {64}, {1}}, {nullptr, AUR_BF16, 1, {64}, {1}}};
	op.y.data = device_memory(128);
	if (backend->ops->cast(backend, &op) != 0)
		fail_msg("%s", aur_error_message());
}

/* Not ready is what CUDA keeps as its last error too. */
static void a_stream_that_is_busy_is_no_error(void **state)
{
	(void)state;
	struct aur_backend *backend = open_backend();
	struct aur_stream *stream = nullptr;
	int done = 1;
	assert_int_equal(backend->streams->open(backend, &stream), 0);
	setenv("AURELIUS_EMULATOR_BUSY", "2", 1);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(backend->streams->poll(backend, stream, &done), 0);
		assert_false(done);
		assert_launches(backend);
	}
	assert_int_equal(backend->streams->poll(backend, stream, &done), 0);
	assert_true(done);
	unsetenv("AURELIUS_EMULATOR_BUSY");
	backend->streams->close(backend, stream);
	aur_backend_close(&backend);
}

static void a_stream_is_in_order_with_itself(void **state)
{
	(void)state;
	struct aur_backend *backend = open_backend();
	struct aur_stream *stream = nullptr;
	assert_int_equal(backend->streams->open(backend, &stream), 0);
	assert_int_equal(backend->streams->order(backend, nullptr, nullptr), 0);
	assert_int_equal(backend->streams->order(backend, stream, stream), 0);
	assert_int_equal(backend->streams->order(backend, stream, nullptr), 0);
	assert_int_equal(backend->streams->order(backend, nullptr, stream), 0);
	backend->streams->close(backend, stream);
	aur_backend_close(&backend);
}

static void a_release_that_fails_is_no_error_of_what_comes_next(void **state)
{
	(void)state;
	struct aur_backend *backend = open_backend();
	int mine = 0;
	backend->ops->release(backend, &mine);
	assert_launches(backend);
	backend->streams->release_host(backend, &mine);
	assert_launches(backend);
	aur_backend_close(&backend);
}

/* Who downloads would compute with what was made of a wrong token, and the next who waits would be blamed for it. */
static void a_wrong_token_is_told_at_the_download(void **state)
{
	(void)state;
	struct aur_backend *backend = open_backend();
	int32_t *token = static_cast<int32_t *>(device_memory(sizeof *token));
	float out[8];
	*token = 3;
	struct aur_embedding_forward op = {};
	op.tokens = aur_view_tokens(token, 1, 1);
	op.wte = aur_view2(device_floats(24), 3, 8);
	op.wpe = aur_view2(device_floats(8), 1, 8);
	op.out = aur_view2(device_floats(8), 1, 8);
	assert_int_equal(backend->ops->embedding_forward(backend, &op), 0);
	const aur_status status = backend->ops->download(backend, out, op.out.data, sizeof out);
	assert_string_equal(aur_status_name(status), "AUR_INPUT");
	assert_non_null(strstr(aur_error_message(), "a token lies outside of the vocabulary"));
	assert_int_equal(backend->ops->download(backend, out, op.out.data, sizeof out), 0);
	assert_int_equal(backend->ops->synchronise(backend), 0);
	aur_backend_close(&backend);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(what_is_missing_is_said, device_forget),
		cmocka_unit_test_teardown(a_rank_takes_the_device_of_its_place, device_forget),
		cmocka_unit_test_teardown(an_upload_has_read_its_source_when_it_returns, device_forget),
		cmocka_unit_test_teardown(counting_takes_no_memory, device_forget),
		cmocka_unit_test_teardown(memory_that_ran_out_names_size_and_rest, device_forget),
		cmocka_unit_test_teardown(an_opening_that_fails_leaves_nothing, device_forget),
		cmocka_unit_test_teardown(a_stream_that_is_busy_is_no_error, device_forget),
		cmocka_unit_test_teardown(a_stream_is_in_order_with_itself, device_forget),
		cmocka_unit_test_teardown(a_release_that_fails_is_no_error_of_what_comes_next, device_forget),
		cmocka_unit_test_teardown(a_wrong_token_is_told_at_the_download, device_forget),
		cmocka_unit_test_teardown(a_device_that_failed_is_an_error_at_synchronise, device_forget),
	};
	aur_backend_register(&aur_cuda_factory);
	return cmocka_run_group_tests_name("emulator: backend", tests, nullptr, nullptr);
}
