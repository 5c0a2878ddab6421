#include "report.h"

#include "core/build_info.h"

#include <jansson.h>
#include <stdio.h>

/* Objects that cannot be made are NULL, and what takes them fails: one check at the end sees them all. */

static json_t *machine_object(const struct bench_report *report)
{
	const struct bench_machine *machine = &report->machine;
	return json_pack("{s:s, s:i, s:I, s:I, s:s, s:s, s:s}", "processor", machine->processor, "cores", machine->cores,
		"l2_bytes", (json_int_t)machine->level2, "last_level_bytes", (json_int_t)machine->last_level, "version",
		AUR_VERSION, "commit", AUR_COMMIT, "variant", report->variant);
}

static json_t *ceiling_object(const struct bench_ceiling *item)
{
	char version[64];
	item->matrix_library->version(version, sizeof version);
	return json_pack("{s:s, s:s, s:I, s:I, s:I, s:i, s:f}", "library", version, "product",
		bench_product_letters(&item->product), "m", (json_int_t)item->product.m, "n", (json_int_t)item->product.n, "k",
		(json_int_t)item->product.k, "threads", item->threads, "gflop_per_s", 1e-9 * item->flops_per_s);
}

static json_t *ceilings_array(const struct bench_ceilings *ceilings)
{
	json_t *array = json_array();
	for (int i = 0; i < ceilings->n_items; i++)
		json_array_append_new(array, ceiling_object(&ceilings->items[i]));
	return array;
}

static void add_times(json_t *object, const struct bench_report *report, const struct bench_result *result)
{
	const double seconds = 1e-3 * result->ms, flops = result->work.flops;
	json_object_set_new(object, "samples", json_integer(result->samples));
	json_object_set_new(object, "ms", json_real(result->ms));
	json_object_set_new(object, "best_ms", json_real(result->best_ms));
	json_object_set_new(object, "bytes", json_integer((json_int_t)result->work.bytes));
	json_object_set_new(object, "gb_per_s", json_real(1e-9 * result->work.bytes / seconds));
	json_object_set_new(object, "copy_gb_per_s", json_real(1e-9 * result->copy_bytes_per_s));
	json_object_set_new(object, "of_copy", json_real(result->of_copy));
	if (result->of_stream > 0)
		json_object_set_new(object, "of_stream", json_real(result->of_stream));
	json_object_set_new(object, "operand_bytes", json_integer((json_int_t)result->operand_bytes));
	json_object_set_new(object, "operand_sets", json_integer(result->sets));
	json_object_set_new(object, "operands_in", json_string(bench_place_name(result->place)));
	if (flops == 0)
		return;
	json_object_set_new(object, "flops", json_integer((json_int_t)flops));
	json_object_set_new(object, "gflop_per_s", json_real(1e-9 * flops / seconds));
	if (report->ceilings.best > 0)
		json_object_set_new(object, "of_ceiling", json_real(flops / seconds / report->ceilings.best));
	if (result->of_products > 0) {
		json_object_set_new(object, "products_ms", json_real(result->products_ms));
		json_object_set_new(object, "of_products", json_real(result->of_products));
	}
}

static json_t *case_object(const struct bench_report *report, const struct bench_result *result)
{
	json_t *object =
		json_pack("{s:s, s:s, s:s, s:s, s:s, s:b}", "operation", result->one->op, "case", result->one->label,
			"shape_set", bench_set_name(result->one->set), "precision", aur_dtype_name(result->precision), "bound",
			result->one->bound == BENCH_MEMORY ? "memory" : "product", "supported", result->supported);
	if (object && result->supported)
		add_times(object, report, result);
	return object;
}

static json_t *cases_array(const struct bench_report *report)
{
	json_t *array = json_array();
	for (int i = 0; i < report->n_results; i++)
		json_array_append_new(array, case_object(report, &report->results[i]));
	return array;
}

aur_status bench_print_json(const struct bench_report *report)
{
	json_t *root =
		json_pack("{s:o, s:i, s:s, s:f, s:s, s:f, s:f, s:f, s:f, s:o, s:o}", "machine", machine_object(report),
			"threads", report->settings->threads, "precision", aur_dtype_name(report->settings->precision),
			"copy_gb_per_s", 1e-9 * report->copy_bytes_per_s, "copy_way", report->copy_way, "stream_gb_per_s",
			1e-9 * report->stream_bytes_per_s, "read_gb_per_s", 1e-9 * report->read_bytes_per_s, "ceiling_gflop_per_s",
			1e-9 * report->ceilings.best, "ceiling_one_thread_gflop_per_s", 1e-9 * report->ceilings.one_thread,
			"ceilings", ceilings_array(&report->ceilings), "cases", cases_array(report));
	const int printed = root && json_dumpf(root, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(6)) == 0;
	json_decref(root);
	if (!printed)
		return aur_fail(AUR_MEMORY, "--json: the report cannot be written");
	printf("\n");
	return AUR_OK;
}
