#include "bench.h"

#include "core/build_info.h"

#include <jansson.h>
#include <stdio.h>

static const char *device_of(const struct bench *bench)
{
	return bench->backend->device[0] ? bench->backend->device : bench->backend->variant;
}

static const char *slices_of(const struct bench *bench)
{
	return bench->settings->as_training ? "as a training cuts them" : "equal";
}

void bench_print_head(const struct bench *bench)
{
	printf("%d ranks, %d on this node, %s memory (%s), communicator %s, slices %s\n", bench->world->size,
		bench->world->ranks_on_node, bench->backend->name, device_of(bench), bench->comm->name, slices_of(bench));
	printf("%-15s %12s %12s %12s %12s %8s\n", "operation", "bytes", "us", "alg. GB/s", "bus GB/s", "wrong");
}

void bench_print_result(const struct bench_result *result)
{
	printf("%-15s %12lld %12.1f %12.3f %12.3f %8lld\n", bench_op_name(result->op), (long long)result->bytes,
		1e6 * result->seconds, 1e-9 * result->algorithm_rate, 1e-9 * result->bus_rate, (long long)result->wrong);
	fflush(stdout);
}

static json_t *results_array(const struct bench_result *results, int n_results)
{
	json_t *array = json_array();
	for (int i = 0; i < n_results; i++)
		json_array_append_new(
			array, json_pack("{s:s, s:I, s:f, s:f, s:f, s:I}", "operation", bench_op_name(results[i].op), "bytes",
					   (json_int_t)results[i].bytes, "seconds", results[i].seconds, "algorithm_gb_per_s",
					   1e-9 * results[i].algorithm_rate, "bus_gb_per_s", 1e-9 * results[i].bus_rate, "wrong",
					   (json_int_t)results[i].wrong));
	return array;
}

aur_status bench_print_json(const struct bench *bench, const struct bench_result *results, int n_results)
{
	json_t *root = json_pack("{s:s, s:s, s:i, s:i, s:s, s:s, s:s, s:s, s:f, s:i, s:o}", "version", AUR_VERSION,
		"commit", AUR_COMMIT, "ranks", bench->world->size, "ranks_on_node", bench->world->ranks_on_node, "backend",
		bench->backend->name, "device", device_of(bench), "communicator", bench->comm->name, "slices", slices_of(bench),
		"bucket_mb", bench->settings->bucket_mb, "repeats", bench->settings->repeats, "results",
		results_array(results, n_results));
	const int printed = root && json_dumpf(root, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(6)) == 0;
	json_decref(root);
	if (!printed)
		return aur_fail(AUR_MEMORY, "--json: the report cannot be written");
	printf("\n");
	return AUR_OK;
}
