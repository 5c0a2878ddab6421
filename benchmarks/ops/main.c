#include "core/threads.h"
#include "cpu/cpu.h"
#include "report.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Waiting of threads has to be settled before the libraries load that wait: the program starts itself once more.
 * OpenBLAS's own threads, which only the ceilings use, stop spinning 2^16 cycles after their work. */
static void settle_environment(char **argv)
{
	const int timeout = !getenv("OPENBLAS_THREAD_TIMEOUT") && setenv("OPENBLAS_THREAD_TIMEOUT", "16", 0) == 0;
	if (aur_threads_environment() || timeout)
		execv("/proc/self/exe", argv);
}

static void list_cases(const struct bench_suite *suite, const struct bench_settings *settings)
{
	for (int i = 0; i < suite->n_cases; i++) {
		const struct bench_case *one = &suite->cases[i];
		if (bench_settings_choose(settings, one))
			printf("%-23s %-36s %s\n", one->op, one->label, bench_set_name(one->set));
	}
}

static aur_status read_machine(struct bench_settings *settings, struct bench_report *report)
{
	struct aur_threads threads = {.requested = settings->threads, .ranks_on_node = 1};
	struct aur_backend *backend;
	aur_threads_setup(&threads);
	settings->threads = threads.threads;
	report->settings = settings;
	bench_machine_read(&report->machine);
	report->machine.cores = threads.cores;
	AUR_TRY(aur_backend_open("cpu", &backend));
	snprintf(report->variant, sizeof report->variant, "%s", backend->variant);
	aur_backend_close(&backend);
	return AUR_OK;
}

static aur_status measure_cases(
	const struct bench_suite *suite, const struct bench_copy *copy, struct bench_report *report)
{
	const struct bench_settings *settings = report->settings;
	for (int i = 0; i < suite->n_cases; i++) {
		struct bench_result *result = &report->results[report->n_results];
		if (!bench_settings_choose(settings, &suite->cases[i]))
			continue;
		AUR_TRY(bench_measure(&suite->cases[i], settings, &report->machine, copy, result));
		report->n_results++;
		if (!settings->json)
			bench_print_result(report, result);
	}
	if (report->n_results == 0)
		return aur_fail(AUR_USAGE, "--op, --case, --shape-set, --precision: no such case (--list names them)");
	return AUR_OK;
}

static int needs_ceilings(const struct bench_suite *suite, const struct bench_settings *settings)
{
	for (int i = 0; i < suite->n_cases && settings->ceilings; i++)
		if (suite->cases[i].bound == BENCH_PRODUCT && bench_settings_choose(settings, &suite->cases[i]))
			return 1;
	return 0;
}

static void measure_copies(const struct bench_copy *copy, struct bench_report *report)
{
	enum { COPIES = 7 };
	double rates[COPIES], streams[COPIES], reads[COPIES];
	for (int i = 0; i < COPIES; i++) {
		streams[i] = bench_copy_stream_rate(copy);
		rates[i] = bench_copy_rate(copy);
		reads[i] = bench_copy_read_rate(copy, &report->read_sum);
	}
	report->copy_bytes_per_s = bench_median(rates, COPIES);
	report->stream_bytes_per_s = bench_median(streams, COPIES);
	report->read_bytes_per_s = bench_median(reads, COPIES);
	snprintf(report->copy_way, sizeof report->copy_way, "%s", bench_copy_way(copy));
}

static aur_status measure_all(
	const struct bench_suite *suite, const struct bench_copy *copy, struct bench_report *report)
{
	measure_copies(copy, report);
	if (needs_ceilings(suite, report->settings))
		AUR_TRY(bench_ceilings_measure(report->settings->precision, report->settings->threads, &report->ceilings));
	if (!report->settings->json)
		bench_print_head(report);
	AUR_TRY(measure_cases(suite, copy, report));
	return report->settings->json ? bench_print_json(report) : AUR_OK;
}

static aur_status run(int argc, char **argv)
{
	static struct bench_suite suite;
	static struct bench_report report;
	struct bench_settings settings;
	struct bench_copy copy;
	AUR_TRY(bench_settings_parse(argc, argv, &settings));
	bench_suite_fill(&suite);
	if (settings.help || settings.list) {
		settings.help ? (void)fputs(bench_help, stdout) : list_cases(&suite, &settings);
		return AUR_OK;
	}
	AUR_TRY(read_machine(&settings, &report));
	AUR_TRY(bench_copy_create(settings.threads, report.machine.last_level, &copy));
	const aur_status status = measure_all(&suite, &copy, &report);
	bench_copy_destroy(&copy);
	return status;
}

int main(int argc, char **argv)
{
	settle_environment(argv);
	aur_backend_register(&aur_cpu_factory);
	const aur_status status = run(argc, argv);
	if (status != AUR_OK)
		fprintf(stderr, "aurelius-bench-ops: %s\n", aur_error_message());
	return aur_status_exit_code(status);
}
