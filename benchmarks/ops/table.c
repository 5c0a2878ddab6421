#include "report.h"

#include "core/build_info.h"

#include <stdio.h>

static const double mib = 1024.0 * 1024.0;

const char *bench_place_name(enum bench_place place)
{
	static const char *const names[] = {"L2", "L3", "memory"};
	return names[place];
}

static void print_ceilings(const struct bench_ceilings *ceilings)
{
	for (int i = 0; i < ceilings->n_items; i++) {
		const struct bench_ceiling *item = &ceilings->items[i];
		char version[64];
		item->matrix_library->version(version, sizeof version);
		printf("%-34s %s %lldx%lldx%lld, %d thread%s: %7.1f GFLOP/s\n", version, bench_product_letters(&item->product),
			(long long)item->product.m, (long long)item->product.n, (long long)item->product.k, item->threads,
			item->threads == 1 ? " " : "s", 1e-9 * item->flops_per_s);
	}
	if (ceilings->n_items > 0)
		printf("ceiling: %.1f GFLOP/s, by one thread %.1f\n", 1e-9 * ceilings->best, 1e-9 * ceilings->one_thread);
}

void bench_print_head(const struct bench_report *report)
{
	const struct bench_machine *machine = &report->machine;
	printf("%s, %d cores, L2 %.1f MiB a core, last-level cache %.1f MiB\n", machine->processor, machine->cores,
		(double)machine->level2 / mib, (double)machine->last_level / mib);
	printf("aurelius %s %s, %s, %d threads, %s\n", AUR_VERSION, AUR_COMMIT, report->variant, report->settings->threads,
		aur_dtype_name(report->settings->precision));
	printf("copy: %.1f GB/s read and written (%s)", 1e-9 * report->copy_bytes_per_s, report->copy_way);
	if (report->stream_bytes_per_s > 0)
		printf(", %.1f past the cache", 1e-9 * report->stream_bytes_per_s);
	printf("; reading alone: %.1f GB/s\n", 1e-9 * report->read_bytes_per_s);
	print_ceilings(&report->ceilings);
	printf("\n%-23s %-36s %9s %6s %10s %7s %6s %8s %8s %8s %9s %6s\n", "operation", "case", "operands", "in", "ms",
		"GB/s", "% copy", "% stream", "GFLOP/s", "% ceil.", "libs ms", "x libs");
}

static void print_rates(const struct bench_report *report, const struct bench_result *result)
{
	const double seconds = 1e-3 * result->ms;
	printf(" %10.4f %7.2f", result->ms, 1e-9 * result->work.bytes / seconds);
	if (result->one->bound == BENCH_MEMORY)
		printf(" %6.0f %8.0f", 100 * result->of_copy, 100 * result->of_stream);
	else
		printf(" %6s %8s", "", "");
	if (result->one->bound == BENCH_MEMORY || result->work.flops == 0)
		return;
	printf(" %8.1f", 1e-9 * result->work.flops / seconds);
	if (report->ceilings.best > 0)
		printf(" %8.0f", 100 * result->work.flops / seconds / report->ceilings.best);
	else
		printf(" %8s", "");
	if (result->of_products > 0)
		printf(" %9.3f %6.2f", result->products_ms, result->of_products);
}

void bench_print_result(const struct bench_report *report, const struct bench_result *result)
{
	printf("%-23s %-36s", result->one->op, result->one->label);
	if (result->supported) {
		printf(" %5.1f MiB %6s", (double)result->operand_bytes / mib, bench_place_name(result->place));
		print_rates(report, result);
		printf("\n");
	} else {
		printf(" not supported in %s\n", aur_dtype_name(result->precision));
	}
	fflush(stdout);
}
