#include "io/checkpoint.h"
#include "io/hdf5.h"
#include "io/tokens.h"
#include "io_helpers.h"

#include <math.h>
#include <sys/stat.h>

static const struct aur_tensor_record tensors[] = {
	{"wte.weight", 2, {3, 5}},
	{"h.0.attn.c_attn.weight", 2, {700, 1100}}, /* several chunks and slabs */
	{"h.0.ln_1.weight", 1, {7}},
	{"long", 1, {2500001}},
	{"cube", 3, {3, 401, 1023}},
	{"wide", 2, {2, 1300000}}, /* rows of more than a slab */
	{"four", 4, {2, 3, 4, 5}},
};

enum { TENSORS = sizeof tensors / sizeof tensors[0] };

static int64_t elements_of(const struct aur_tensor_record *tensor)
{
	int64_t elements = 1;
	for (int i = 0; i < tensor->dims; i++)
		elements *= tensor->shape[i];
	return elements;
}

static float value_at(int tensor, int part, int64_t i)
{
	return (float)((i * 31 + tensor * 7 + part * 3) % 8388593) / 1024.0f;
}

static float *make_values(int tensor, int part)
{
	const int64_t elements = elements_of(&tensors[tensor]);
	float *values = malloc((size_t)elements * sizeof *values);
	assert_non_null(values);
	for (int64_t i = 0; i < elements; i++)
		values[i] = value_at(tensor, part, i);
	return values;
}

static struct aur_checkpoint_meta make_meta(const char *kind)
{
	static char config[] = "model:\n  kind: gpt\n", choices[] = "products 1 of some GPU\n1 2 3\n";
	struct aur_checkpoint_meta meta = {.step = 12,
		.samples = 345,
		.updates = 11,
		.skipped = 1,
		.seed = UINT64_MAX - 5,
		.ranks = 2,
		.val_loss = NAN,
		.best_val_loss = 1.25,
		.best_step = 9,
		.vocab_hash = 77,
		.data_hash = UINT64_C(1) << 63,
		.program = "0.1.0 abc",
		.variant = "",
		.created = "2026-01-02T03:04:05Z",
		.config = config,
		.choices = strcmp(kind, "model") == 0 ? NULL : choices};
	snprintf(meta.kind, sizeof meta.kind, "%s", kind);
	return meta;
}

static aur_status begin(const char *path, const char *kind, struct aur_checkpoint_writer **writer)
{
	const struct aur_checkpoint_meta meta = make_meta(kind);
	const struct aur_vocab vocab = letters(30);
	struct aur_history history = {0};
	assert_ok(aur_history_add_step(&history, 5, 4.5));
	assert_ok(aur_history_add_step(&history, 10, 3.5));
	assert_ok(aur_history_add_step(&history, 12, 2.5));
	assert_ok(aur_history_add_eval(&history, 10, 3.25, 3.75));
	const aur_status status = aur_checkpoint_begin(path, &meta, &vocab, &history, writer);
	aur_history_clear(&history);
	return status;
}

static aur_status save_some(const char *path, const char *kind, int first, int count)
{
	struct aur_checkpoint_writer *writer;
	const int parts = strcmp(kind, "model") == 0 ? 1 : AUR_CHECKPOINT_PARTS;
	AUR_TRY(begin(path, kind, &writer));
	for (int t = first; t < first + count; t++)
		for (int part = 0; part < parts; part++) {
			float *values = make_values(t, part);
			const aur_status status = aur_checkpoint_write(writer, (enum aur_checkpoint_part)part, &tensors[t], values);
			free(values);
			if (status != AUR_OK) {
				aur_checkpoint_abandon(&writer);
				return status;
			}
		}
	return aur_checkpoint_finish(&writer);
}

static void assert_slice(struct aur_checkpoint *checkpoint, int tensor, int part, int64_t begin_at, int64_t count)
{
	float *values = malloc(((size_t)count + 1) * sizeof *values);
	assert_non_null(values);
	values[count] = -1.0f;
	assert_ok(
		aur_checkpoint_read(checkpoint, (enum aur_checkpoint_part)part, &tensors[tensor], begin_at, count, values));
	for (int64_t i = 0; i < count; i++)
		if (values[i] != value_at(tensor, part, begin_at + i))
			fail_msg("%s: element %lld is wrong", tensors[tensor].name, (long long)(begin_at + i));
	assert_true(values[count] == -1.0f);
	free(values);
}

static void every_tensor_comes_back(void **state)
{
	const char *path = in_folder(state, "c.h5");
	struct aur_checkpoint *checkpoint;
	assert_ok(save_some(path, "checkpoint", 0, TENSORS));
	assert_int_equal(files_in(((struct folder *)*state)->path), 1);
	assert_ok(aur_checkpoint_verify(path));
	assert_ok(aur_checkpoint_open(path, &checkpoint));
	assert_string_equal(aur_checkpoint_path(checkpoint), path);
	assert_int_equal(aur_checkpoint_tensors(checkpoint), TENSORS);
	for (int t = 0; t < TENSORS; t++)
		for (int part = 0; part < AUR_CHECKPOINT_PARTS; part++)
			assert_slice(checkpoint, t, part, 0, elements_of(&tensors[t]));
	aur_checkpoint_close(&checkpoint);
	assert_null(checkpoint);
}

/* A rank reads the slice it owns, which begins and ends anywhere in a tensor. */
static void any_slice_of_a_tensor_comes_back(void **state)
{
	const char *path = in_folder(state, "c.h5");
	struct aur_checkpoint *checkpoint;
	assert_ok(save_some(path, "model", 0, TENSORS));
	assert_ok(aur_checkpoint_open(path, &checkpoint));
	for (int t = 0; t < TENSORS; t++) {
		const int64_t elements = elements_of(&tensors[t]);
		assert_slice(checkpoint, t, 0, elements / 3, elements - elements / 3);
		assert_slice(checkpoint, t, 0, elements / 7, elements / 2);
		assert_slice(checkpoint, t, 0, elements - 1, 1);
		assert_slice(checkpoint, t, 0, elements, 0);
	}
	float out[8];
	assert_int_equal(aur_checkpoint_read(checkpoint, AUR_PART_PARAMS, &tensors[0], 14, 2, out), AUR_SHAPE);
	assert_int_equal(aur_checkpoint_read(checkpoint, AUR_PART_PARAMS, &tensors[0], -1, 2, out), AUR_SHAPE);
	aur_checkpoint_close(&checkpoint);
}

static void metadata_comes_back(void **state)
{
	const char *path = in_folder(state, "c.h5");
	struct aur_checkpoint *checkpoint;
	const struct aur_checkpoint_meta wrote = make_meta("checkpoint");
	const struct aur_vocab vocab = letters(30);
	assert_ok(save_some(path, "checkpoint", 0, 1));
	assert_ok(aur_checkpoint_open(path, &checkpoint));
	const struct aur_checkpoint_meta *meta = aur_checkpoint_meta_of(checkpoint);
	assert_string_equal(meta->kind, "checkpoint");
	assert_int_equal(meta->step, wrote.step);
	assert_int_equal(meta->samples, wrote.samples);
	assert_int_equal(meta->updates, wrote.updates);
	assert_int_equal(meta->skipped, wrote.skipped);
	assert_true(meta->seed == wrote.seed && meta->data_hash == wrote.data_hash && meta->vocab_hash == 77);
	assert_true(isnan(meta->val_loss));
	assert_true(meta->best_val_loss == 1.25);
	assert_int_equal(meta->best_step, 9);
	assert_string_equal(meta->program, wrote.program);
	assert_string_equal(meta->variant, "");
	assert_string_equal(meta->created, wrote.created);
	assert_string_equal(meta->config, wrote.config);
	assert_string_equal(meta->choices, wrote.choices);
	assert_true(aur_vocab_hash(aur_checkpoint_vocab(checkpoint)) == aur_vocab_hash(&vocab));
	const struct aur_history *history = aur_checkpoint_history(checkpoint);
	assert_int_equal(history->n_steps, 3);
	assert_int_equal(history->step[2], 12);
	assert_true(history->loss[1] == 3.5);
	assert_int_equal(history->n_evals, 1);
	assert_true(history->eval_val[0] == 3.75 && history->eval_train[0] == 3.25 && history->eval_step[0] == 10);
	aur_checkpoint_close(&checkpoint);
}

static void choices_may_be_absent(void **state)
{
	const char *path = in_folder(state, "c.h5");
	struct aur_checkpoint *checkpoint;
	assert_ok(save_some(path, "model", 0, 1));
	assert_ok(aur_checkpoint_open(path, &checkpoint));
	assert_null(aur_checkpoint_meta_of(checkpoint)->choices);
	aur_checkpoint_close(&checkpoint);
}

/* The curve that was read back goes on growing in the resumed run. */
static void history_grows_from_any_length(void **state)
{
	(void)state;
	for (int64_t start = 0; start < 9; start++) {
		struct aur_history history = {.n_steps = start,
			.step = calloc((size_t)start, sizeof(int64_t)),
			.loss = calloc((size_t)start, sizeof(double))};
		for (int64_t i = 0; i < 20; i++)
			assert_ok(aur_history_add_step(&history, 100 + i, 0.5 * (double)i));
		assert_int_equal(history.n_steps, start + 20);
		assert_int_equal(history.step[start + 19], 119);
		aur_history_clear(&history);
	}
}

static void model_has_no_optimizer_state_to_read(void **state)
{
	const char *path = in_folder(state, "m.h5");
	struct aur_checkpoint *checkpoint;
	float out[15];
	assert_ok(save_some(path, "model", 0, 1));
	assert_ok(aur_checkpoint_verify(path));
	assert_ok(aur_checkpoint_open(path, &checkpoint));
	assert_string_equal(aur_checkpoint_meta_of(checkpoint)->kind, "model");
	assert_slice(checkpoint, 0, 0, 0, 15);
	assert_int_equal(aur_checkpoint_read(checkpoint, AUR_PART_M, &tensors[0], 0, 15, out), AUR_INPUT);
	assert_message_has("exported model");
	aur_checkpoint_close(&checkpoint);
}

static void other_shape_or_name_is_refused_by_name(void **state)
{
	const char *path = in_folder(state, "c.h5");
	struct aur_checkpoint *checkpoint;
	float out[16];
	assert_ok(save_some(path, "checkpoint", 0, 1));
	assert_ok(aur_checkpoint_open(path, &checkpoint));
	const struct aur_tensor_record turned = {"wte.weight", 2, {5, 3}};
	assert_int_equal(aur_checkpoint_read(checkpoint, AUR_PART_PARAMS, &turned, 0, 15, out), AUR_INPUT);
	assert_message_has("/params/wte.weight");
	assert_message_has("[3, 5]");
	assert_message_has("[5, 3]");
	const struct aur_tensor_record flat = {"wte.weight", 1, {15}};
	assert_int_equal(aur_checkpoint_read(checkpoint, AUR_PART_V, &flat, 0, 15, out), AUR_INPUT);
	const struct aur_tensor_record other = {"wpe.weight", 2, {3, 5}};
	assert_int_equal(aur_checkpoint_read(checkpoint, AUR_PART_PARAMS, &other, 0, 15, out), AUR_INPUT);
	assert_message_has("wpe.weight");
	aur_checkpoint_close(&checkpoint);
}

/* What would be no checkpoint is not published. */
static void checkpoint_without_all_parts_is_not_finished(void **state)
{
	const char *path = in_folder(state, "c.h5");
	struct aur_checkpoint_writer *writer;
	float *values = make_values(0, 0);
	assert_ok(begin(path, "checkpoint", &writer));
	assert_ok(aur_checkpoint_write(writer, AUR_PART_PARAMS, &tensors[0], values));
	assert_int_equal(aur_checkpoint_finish(&writer), AUR_INTERNAL);
	assert_null(writer);
	assert_int_equal(files_in(((struct folder *)*state)->path), 0);
	free(values);
}

static void abandoned_writer_leaves_the_old_file(void **state)
{
	const char *path = in_folder(state, "c.h5");
	struct aur_checkpoint_writer *writer;
	assert_ok(save_some(path, "checkpoint", 0, 1));
	assert_ok(begin(path, "checkpoint", &writer));
	float *values = make_values(1, 0);
	assert_ok(aur_checkpoint_write(writer, AUR_PART_PARAMS, &tensors[1], values));
	free(values);
	aur_checkpoint_abandon(&writer);
	aur_checkpoint_abandon(&writer);
	assert_int_equal(files_in(((struct folder *)*state)->path), 1);
	assert_ok(aur_checkpoint_verify(path));
}

static void bad_tensors_are_refused_by_the_writer(void **state)
{
	struct aur_checkpoint_writer *writer;
	const float value = 1.0f;
	assert_ok(begin(in_folder(state, "m.h5"), "model", &writer));
	const struct aur_tensor_record slash = {"a/b", 1, {1}}, nameless = {"", 1, {1}}, scalar = {"a", 0, {1}},
								   deep = {"a", 5, {1, 1, 1, 1}}, negative = {"a", 1, {-1}}, good = {"a", 1, {1}};
	assert_int_equal(aur_checkpoint_write(writer, AUR_PART_PARAMS, &slash, &value), AUR_INTERNAL);
	assert_int_equal(aur_checkpoint_write(writer, AUR_PART_PARAMS, &nameless, &value), AUR_INTERNAL);
	assert_int_equal(aur_checkpoint_write(writer, AUR_PART_PARAMS, &scalar, &value), AUR_SHAPE);
	assert_int_equal(aur_checkpoint_write(writer, AUR_PART_PARAMS, &deep, &value), AUR_SHAPE);
	assert_int_equal(aur_checkpoint_write(writer, AUR_PART_PARAMS, &negative, &value), AUR_SHAPE);
	assert_int_equal(aur_checkpoint_write(writer, AUR_PART_M, &good, &value), AUR_INTERNAL);
	assert_ok(aur_checkpoint_write(writer, AUR_PART_PARAMS, &good, &value));
	assert_int_equal(aur_checkpoint_write(writer, AUR_PART_PARAMS, &good, &value), AUR_IO);
	aur_checkpoint_abandon(&writer);
}

static void partial_file_is_no_checkpoint(void **state)
{
	const char *path = in_folder(state, "c.h5"), *copy = in_folder(state, "copy.h5");
	struct aur_checkpoint_writer *writer;
	size_t bytes;
	float *values = make_values(1, 0);
	assert_ok(begin(path, "model", &writer));
	assert_ok(aur_checkpoint_write(writer, AUR_PART_PARAMS, &tensors[1], values));
	free(values);
	unsigned char *data = read_file(in_folder(state, "c.h5.partial"), &bytes);
	write_file(copy, data, bytes);
	free(data);
	assert_int_equal(aur_checkpoint_verify(copy), AUR_INPUT);
	aur_checkpoint_abandon(&writer);
}

/* The two kinds of file are told from each other by whoever opens the wrong one. */
static void dataset_and_checkpoint_are_told_apart(void **state)
{
	const char *path = in_folder(state, "c.h5");
	struct aur_tokens *tokens;
	char kind[32];
	assert_ok(save_some(path, "checkpoint", 0, 1));
	assert_ok(aur_hdf5_kind(path, kind));
	assert_string_equal(kind, "aurelius-checkpoint");
	assert_int_equal(aur_tokens_open(path, &tokens), AUR_INPUT);
	assert_message_has("is a checkpoint or model, but a token dataset is needed here");
	const struct aur_vocab vocab = letters(3);
	const struct aur_tokens_create create = {
		.path = path, .vocab = &vocab, .ids = (const int32_t[]){0, 1}, .train_tokens = 1, .val_tokens = 1};
	assert_ok(aur_tokens_write(&create));
	assert_int_equal(aur_checkpoint_verify(path), AUR_INPUT);
	assert_message_has("is a token dataset, but a checkpoint or model is needed here");
}

/* A killed process may leave the partial name as a second name of a good file. */
static void leftover_partial_name_of_a_good_file_does_no_harm(void **state)
{
	const char *good = in_folder(state, "step-1.h5");
	char other[512], partial[520];
	snprintf(other, sizeof other, "%s/best.h5", ((struct folder *)*state)->path);
	snprintf(partial, sizeof partial, "%s.partial", other);
	assert_ok(save_some(good, "checkpoint", 0, 1));
	assert_int_equal(link(good, partial), 0);
	assert_ok(save_some(other, "checkpoint", 0, 1));
	assert_ok(aur_checkpoint_verify(good));
	struct stat a, b;
	assert_int_equal(stat(good, &a), 0);
	assert_int_equal(stat(other, &b), 0);
	assert_true(a.st_ino != b.st_ino);
}

int main(void)
{
	aur_hdf5_start();
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_setup, folder_teardown)
	const struct CMUnitTest tests[] = {
		IN_FOLDER(every_tensor_comes_back),
		IN_FOLDER(any_slice_of_a_tensor_comes_back),
		IN_FOLDER(metadata_comes_back),
		IN_FOLDER(choices_may_be_absent),
		IN_FOLDER(history_grows_from_any_length),
		IN_FOLDER(model_has_no_optimizer_state_to_read),
		IN_FOLDER(other_shape_or_name_is_refused_by_name),
		IN_FOLDER(checkpoint_without_all_parts_is_not_finished),
		IN_FOLDER(abandoned_writer_leaves_the_old_file),
		IN_FOLDER(bad_tensors_are_refused_by_the_writer),
		IN_FOLDER(partial_file_is_no_checkpoint),
		IN_FOLDER(leftover_partial_name_of_a_good_file_does_no_harm),
		IN_FOLDER(dataset_and_checkpoint_are_told_apart),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
