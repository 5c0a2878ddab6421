#include "io/metrics.h"
#include "io_helpers.h"

#include <locale.h>
#include <math.h>
#include <signal.h>
#include <sys/resource.h>

static void write_text(const char *path, const char *text)
{
	write_file(path, text, strlen(text));
}

static char *text_of(const char *path)
{
	size_t bytes;
	char *text = (char *)read_file(path, &bytes);
	text[bytes] = '\0';
	return text;
}

static void lines_have_the_documented_fields(void **state)
{
	const char *path = in_folder(state, "log.jsonl");
	struct aur_metrics *metrics;
	const struct aur_metrics_step step = {.step = 3,
		.loss = 2.5,
		.grad_norm = INFINITY,
		.learning_rate = 0.001,
		.tokens = 768,
		.tokens_per_s = 1234.5,
		.of_ceiling = 0.625,
		.ms_step = 10,
		.ms_data = 1,
		.ms_forward = 2,
		.ms_backward = 4,
		.ms_reduce_wait = 0.5,
		.ms_optimizer = 1.5};
	assert_ok(aur_metrics_open(path, &metrics));
	assert_ok(aur_metrics_write_start(metrics, 0, 2, 1, 1000, "0.1 \"x\"\n", "a\\b", "fp32"));
	assert_ok(aur_metrics_write_step(metrics, &step));
	assert_ok(aur_metrics_write_eval(metrics, 3, NAN, 2.25));
	assert_ok(aur_metrics_write_checkpoint(metrics, 3, "checkpoints/step-3.h5", 0.25));
	assert_ok(aur_metrics_write_end(metrics, 3, "done"));
	aur_metrics_close(&metrics);
	assert_null(metrics);
	char *text = text_of(path);
	assert_string_equal(text,
		"{\"event\":\"start\",\"step\":0,\"ranks\":2,\"threads\":1,\"parameters\":1000,"
		"\"program\":\"0.1 \\\"x\\\"\\u000a\",\"variant\":\"a\\\\b\",\"precision\":\"fp32\"}\n"
		"{\"event\":\"step\",\"step\":3,\"loss\":2.5,\"grad_norm\":null,\"learning_rate\":0.001,\"tokens\":768,"
		"\"tokens_per_s\":1234.5,\"of_ceiling\":0.625,\"ms\":{\"step\":10,\"data\":1,\"forward\":2,\"backward\":4,"
		"\"reduce_wait\":0.5,"
		"\"optimizer\":1.5}}\n"
		"{\"event\":\"eval\",\"step\":3,\"train_loss\":null,\"val_loss\":2.25}\n"
		"{\"event\":\"checkpoint\",\"step\":3,\"path\":\"checkpoints/step-3.h5\",\"seconds\":0.25}\n"
		"{\"event\":\"end\",\"step\":3,\"reason\":\"done\"}\n");
	free(text);
}

/* A run's folder may have a name in Latin-1; its log must still be JSON. */
static void a_path_that_is_not_utf8_leaves_the_log_readable(void **state)
{
	const char *path = in_folder(state, "latin.jsonl");
	struct aur_metrics *metrics;
	struct aur_metrics_curve curve;
	assert_ok(aur_metrics_open(path, &metrics));
	assert_ok(aur_metrics_write_checkpoint(metrics, 1, "caf\xe9/\xc3\xa9/a\xff-b/\xf4\x90-\xe2\x82", 0.5));
	assert_ok(aur_metrics_write_eval(metrics, 2, 1.5, 2.5));
	aur_metrics_close(&metrics);
	char *text = text_of(path);
	assert_non_null(strstr(text, "\"path\":\"caf?/\xc3\xa9/a?-b/\?\?-\?\?\""));
	free(text);
	assert_ok(aur_metrics_read(path, &curve));
	assert_int_equal(curve.n_evals, 1);
	aur_metrics_curve_clear(&curve);
}

/* Losses are compared between runs: every bit comes back. */
static void losses_come_back_exactly(void **state)
{
	const char *path = in_folder(state, "log.jsonl");
	struct aur_metrics *metrics;
	struct aur_metrics_curve curve;
	assert_ok(aur_metrics_open(path, &metrics));
	for (int i = 1; i <= 100; i++) {
		const struct aur_metrics_step step = {.step = i, .loss = 1.0 / i + 1e-17};
		assert_ok(aur_metrics_write_step(metrics, &step));
	}
	assert_ok(aur_metrics_write_eval(metrics, 100, 0.1, NAN));
	aur_metrics_close(&metrics);
	assert_ok(aur_metrics_read(path, &curve));
	assert_int_equal(curve.n_steps, 100);
	for (int i = 0; i < 100; i++)
		assert_true(curve.step[i] == i + 1 && curve.loss[i] == 1.0 / (i + 1) + 1e-17);
	assert_int_equal(curve.n_evals, 1);
	assert_true(curve.eval_train[0] == 0.1 && isnan(curve.eval_val[0]));
	assert_string_equal(curve.end_reason, "");
	aur_metrics_curve_clear(&curve);
}

/* Killed after logging step 30, resumed from the checkpoint of step 20. */
static void resumed_run_replaces_what_was_lost(void **state)
{
	const char *path = in_folder(state, "log.jsonl");
	struct aur_metrics_curve curve;
	write_text(path,
		"{\"event\":\"start\",\"step\":0}\n"
		"{\"event\":\"step\",\"step\":10,\"loss\":3}\n{\"event\":\"step\",\"step\":20,\"loss\":2}\n"
		"{\"event\":\"eval\",\"step\":20,\"train_loss\":2,\"val_loss\":2}\n"
		"{\"event\":\"step\",\"step\":30,\"loss\":1}\n"
		"{\"event\":\"eval\",\"step\":30,\"train_loss\":1,\"val_loss\":1}\n"
		"{\"event\":\"start\",\"step\":20}\n"
		"{\"event\":\"step\",\"step\":30,\"loss\":1.5}\n{\"event\":\"end\",\"step\":30,\"reason\":\"done\"}\n");
	assert_ok(aur_metrics_read(path, &curve));
	assert_int_equal(curve.n_steps, 3);
	assert_int_equal(curve.step[2], 30);
	assert_true(curve.loss[2] == 1.5 && curve.loss[1] == 2);
	assert_int_equal(curve.n_evals, 1);
	assert_string_equal(curve.end_reason, "done");
	aur_metrics_curve_clear(&curve);
}

static void cut_last_line_is_ignored(void **state)
{
	const char *path = in_folder(state, "log.jsonl");
	struct aur_metrics_curve curve;
	write_text(path, "{\"event\":\"step\",\"step\":10,\"loss\":3}\n{\"event\":\"step\",\"step\":20,\"lo");
	assert_ok(aur_metrics_read(path, &curve));
	assert_int_equal(curve.n_steps, 1);
	aur_metrics_curve_clear(&curve);
}

/* The next run begins on a line of its own, and the cut one is passed over for ever after. */
static void run_after_a_cut_line_begins_a_new_one(void **state)
{
	const char *path = in_folder(state, "log.jsonl");
	struct aur_metrics *metrics;
	struct aur_metrics_curve curve;
	write_text(path, "{\"event\":\"step\",\"step\":10,\"loss\":3}\n{\"event\":\"step\",\"step\":20,\"lo");
	assert_ok(aur_metrics_open(path, &metrics));
	assert_ok(aur_metrics_write_start(metrics, 10, 1, 1, 1, "p", "v", "bf16"));
	const struct aur_metrics_step step = {.step = 20, .loss = 2};
	assert_ok(aur_metrics_write_step(metrics, &step));
	aur_metrics_close(&metrics);
	assert_ok(aur_metrics_read(path, &curve));
	assert_int_equal(curve.n_steps, 2);
	assert_true(curve.loss[1] == 2);
	aur_metrics_curve_clear(&curve);
}

static void what_is_no_log_is_refused(void **state)
{
	const char *path = in_folder(state, "log.jsonl");
	struct aur_metrics_curve curve;
	static const char *const texts[] = {"some text\n", "no line end", "[1]\n", "{\"event\":3,\"step\":1}\n",
		"{\"event\":\"step\",\"step\":1,\"loss\":2}\nrubbish\n{\"event\":\"step\",\"step\":2,\"loss\":2}\n",
		"{\"event\":\"step\",\"step\":-1,\"loss\":2}\n"};
	assert_int_equal(aur_metrics_read(path, &curve), AUR_INPUT);
	assert_message_has(path);
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		write_text(path, texts[i]);
		assert_int_equal(aur_metrics_read(path, &curve), AUR_INPUT);
		assert_message_has(path);
		assert_null(curve.step);
	}
}

static void overlong_text_is_refused_not_cut(void **state)
{
	struct aur_metrics *metrics;
	char text[10000];
	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = '\0';
	assert_ok(aur_metrics_open(in_folder(state, "log.jsonl"), &metrics));
	assert_int_equal(aur_metrics_write_end(metrics, 1, text), AUR_INTERNAL);
	assert_ok(aur_metrics_write_end(metrics, 1, "done"));
	aur_metrics_close(&metrics);
}

static void decimal_comma_of_a_locale_stays_out(void **state)
{
	const char *path = in_folder(state, "log.jsonl");
	struct aur_metrics *metrics;
	if (!setlocale(LC_NUMERIC, "de_DE.UTF-8")) {
		print_message("SKIP: no locale with a decimal comma here\n");
		skip();
	}
	assert_ok(aur_metrics_open(path, &metrics));
	assert_ok(aur_metrics_write_eval(metrics, 1, 0.5, 0.25));
	aur_metrics_close(&metrics);
	setlocale(LC_NUMERIC, "C");
	char *text = text_of(path);
	assert_string_equal(text, "{\"event\":\"eval\",\"step\":1,\"train_loss\":0.5,\"val_loss\":0.25}\n");
	free(text);
}

static void log_that_cannot_be_written_is_an_io_error(void **state)
{
	struct aur_metrics *metrics;
	assert_int_equal(aur_metrics_open(in_folder(state, "no/log.jsonl"), &metrics), AUR_IO);
	assert_null(metrics);
	if (access("/dev/full", W_OK) != 0) {
		print_message("SKIP: /dev/full is not there or not writable\n");
		skip();
	}
	assert_ok(aur_metrics_open("/dev/full", &metrics));
	assert_int_equal(aur_metrics_write_end(metrics, 1, "done"), AUR_IO);
	assert_message_has("No space left on device");
	aur_metrics_close(&metrics);
}

/* A limit on the size of files cuts a write as a full disk does. */
static void line_cut_by_a_full_disk_is_taken_back(void **state)
{
	const char *path = in_folder(state, "log.jsonl");
	struct aur_metrics *metrics;
	struct aur_metrics_curve curve;
	struct rlimit before, limit;
	signal(SIGXFSZ, SIG_IGN);
	assert_ok(aur_metrics_open(path, &metrics));
	assert_ok(aur_metrics_write_eval(metrics, 1, 2.0, 3.0));
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	limit = before;
	limit.rlim_cur = 70;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	const aur_status status = aur_metrics_write_eval(metrics, 2, 2.0, 3.0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(status, AUR_IO);
	assert_ok(aur_metrics_write_eval(metrics, 3, 2.0, 2.5));
	assert_ok(aur_metrics_write_eval(metrics, 4, 2.0, 2.25));
	aur_metrics_close(&metrics);
	assert_ok(aur_metrics_read(path, &curve));
	assert_int_equal(curve.n_evals, 3);
	assert_int_equal(curve.eval_step[1], 3);
	aur_metrics_curve_clear(&curve);
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_setup, folder_teardown)
	const struct CMUnitTest tests[] = {
		IN_FOLDER(lines_have_the_documented_fields),
		IN_FOLDER(a_path_that_is_not_utf8_leaves_the_log_readable),
		IN_FOLDER(losses_come_back_exactly),
		IN_FOLDER(resumed_run_replaces_what_was_lost),
		IN_FOLDER(cut_last_line_is_ignored),
		IN_FOLDER(run_after_a_cut_line_begins_a_new_one),
		IN_FOLDER(what_is_no_log_is_refused),
		IN_FOLDER(overlong_text_is_refused_not_cut),
		IN_FOLDER(decimal_comma_of_a_locale_stays_out),
		IN_FOLDER(log_that_cannot_be_written_is_an_io_error),
		IN_FOLDER(line_cut_by_a_full_disk_is_taken_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
