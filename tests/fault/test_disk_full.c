#include "../unit/io_helpers.h"
#include "io/file.h"
#include "io/hdf5.h"
#include "sample.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/statvfs.h>

/* A disk that is really full: a small tmpfs in a mount namespace of this test's own. */

enum { DISK_BYTES = 3 << 20, TENSOR = 1 << 19 };

static int mount_small_disk(void **state)
{
	if (folder_setup(state) != 0)
		return -1;
	const char *path = ((struct folder *)*state)->path;
	char options[32];
	snprintf(options, sizeof options, "size=%d", DISK_BYTES);
	return mount("tmpfs", path, "tmpfs", 0, options) == 0 ? 0 : -1;
}

static int unmount_small_disk(void **state)
{
	return umount(((struct folder *)*state)->path) == 0 ? folder_teardown(state) : -1;
}

static int64_t free_bytes(void **state)
{
	struct statvfs info;
	assert_int_equal(statvfs(((struct folder *)*state)->path, &info), 0);
	return (int64_t)(info.f_bfree * info.f_bsize);
}

/* `count` tensors of 2 MiB. */
static aur_status save_large(const char *path, int count)
{
	static float values[TENSOR];
	const struct aur_vocab vocab = sample_vocab();
	const struct aur_checkpoint_meta meta = {.kind = "model", .step = 7};
	struct aur_checkpoint_writer *writer;
	AUR_TRY(aur_checkpoint_begin(path, &meta, &vocab, NULL, &writer));
	for (int i = 0; i < count; i++) {
		struct aur_tensor_record tensor = {"", 1, {TENSOR}};
		snprintf(tensor.name, sizeof tensor.name, "t%d", i);
		const aur_status status = aur_checkpoint_write(writer, AUR_PART_PARAMS, &tensor, values);
		if (status != AUR_OK) {
			aur_checkpoint_abandon(&writer);
			return status;
		}
	}
	return aur_checkpoint_finish(&writer);
}

/* The old checkpoint stays, the space comes back at once, and the same process can save again. */
static void save_on_a_full_disk_fails_and_the_next_succeeds(void **state)
{
	const char *path = in_folder(state, "c.h5");
	assert_ok(sample_save(path, 1));
	const int64_t before = free_bytes(state);
	for (int round = 0; round < 3; round++) {
		aur_status status;
		assert_int_equal(save_large(path, 4), AUR_IO);
		assert_message_has(path);
		assert_message_has("cannot write: No space left on device");
		assert_int_equal(free_bytes(state), before);
		assert_int_equal(files_in(((struct folder *)*state)->path), 1);
		assert_int_equal(sample_check(path, 1, &status), 1);
	}
	assert_ok(save_large(path, 1));
	assert_ok(aur_checkpoint_verify(path));
}

static void dataset_on_a_full_disk_is_not_written(void **state)
{
	const char *path = in_folder(state, "t.h5");
	const int64_t count = 2000000, before = free_bytes(state);
	const struct aur_vocab vocab = sample_vocab();
	int32_t *ids = calloc((size_t)count, sizeof *ids);
	assert_non_null(ids);
	const struct aur_tokens_create create = {.path = path, .vocab = &vocab, .ids = ids, .train_tokens = count};
	assert_int_equal(aur_tokens_write(&create), AUR_IO);
	assert_message_has("cannot write: No space left on device");
	assert_int_equal(free_bytes(state), before);
	assert_int_equal(files_in(((struct folder *)*state)->path), 0);
	free(ids);
}

static void plain_file_on_a_full_disk_keeps_the_old_one(void **state)
{
	const char *path = in_folder(state, "config.yaml");
	size_t bytes;
	char *large = calloc(1, 2 * DISK_BYTES);
	assert_non_null(large);
	assert_ok(aur_file_write_atomic(path, "old", 3));
	assert_int_equal(aur_file_write_atomic(path, large, 2 * DISK_BYTES), AUR_IO);
	assert_message_has("No space left on device");
	free(large);
	char *text = (char *)read_file(path, &bytes);
	assert_int_equal(bytes, 3);
	free(text);
	assert_int_equal(files_in(((struct folder *)*state)->path), 1);
}

/* Needs no privilege: a limit on the size of files, whose signal main ignores. */
static void file_size_limit_is_an_error(void **state)
{
	const char *path = in_folder(state, "c.h5");
	struct rlimit old, small;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = old;
	small.rlim_cur = 1 << 20;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	const aur_status status = save_large(path, 2);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(status, AUR_IO);
	assert_message_has("cannot write: File too large");
	assert_ok(save_large(path, 2));
}

int main(void)
{
	aur_hdf5_start();
#define ON_DISK(test) cmocka_unit_test_setup_teardown(test, mount_small_disk, unmount_small_disk)
	const struct CMUnitTest tests[] = {
		ON_DISK(save_on_a_full_disk_fails_and_the_next_succeeds),
		ON_DISK(dataset_on_a_full_disk_is_not_written),
		ON_DISK(plain_file_on_a_full_disk_keeps_the_old_one),
	};
	const struct CMUnitTest unprivileged[] = {
		cmocka_unit_test_setup_teardown(file_size_limit_is_an_error, folder_setup, folder_teardown),
	};
	if (cmocka_run_group_tests(unprivileged, NULL, NULL) != 0)
		return 1;
	/* Without CAP_SYS_ADMIN there is no small disk to fill. */
	if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
		printf("SKIP: a tmpfs of its own is not permitted here (%s); run as root\n", strerror(errno));
		return 77;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
