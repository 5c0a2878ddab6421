#ifndef AUR_BENCH_OPS_REPORT_H
#define AUR_BENCH_OPS_REPORT_H

#include "ceilings.h"
#include "measure.h"

/* All that one run measured. */
struct bench_report {
	const struct bench_settings *settings;
	struct bench_machine machine;
	char variant[96]; /* the backend's */
	char copy_way[32];
	double copy_bytes_per_s, stream_bytes_per_s, read_bytes_per_s; /* medians before the cases */
	uint64_t read_sum;                                             /* of what was read */
	struct bench_ceilings ceilings;
	struct bench_result results[BENCH_CASES];
	int n_results;
};

/* What the table says before its cases, one case of it, and what it says after them. */
void bench_print_head(const struct bench_report *report);
void bench_print_result(const struct bench_report *report, const struct bench_result *result);

/* The whole report as one JSON object. AUR_MEMORY. */
aur_status bench_print_json(const struct bench_report *report);

/* "L2", "L3" or "memory" */
const char *bench_place_name(enum bench_place place);

#endif
