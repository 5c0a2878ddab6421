#include "bench.h"

#include "comm/mpi.h"
#include "core/log.h"
#include "cpu/cpu.h"
#ifdef AUR_WITH_CUDA
#include "cuda/cuda.h"
#endif
#ifdef AUR_WITH_NCCL
#include "comm/nccl.h"
#endif

#include <stdio.h>

enum { RESULTS = 256 };

static void register_parts(void)
{
#ifdef AUR_WITH_CUDA
	aur_backend_register(&aur_cuda_factory);
#endif
	aur_backend_register(&aur_cpu_factory);
#ifdef AUR_WITH_NCCL
	aur_comm_register(&aur_comm_nccl_factory);
#endif
}

static aur_status measure_all(struct bench *bench)
{
	static struct bench_result results[RESULTS];
	const struct bench_settings *settings = bench->settings;
	const int prints = bench->world->rank == 0;
	int n_results = 0;
	int64_t wrong = 0;
	if (prints && !settings->json)
		bench_print_head(bench);
	for (int op = 0; op < BENCH_OPS; op++)
		for (int64_t bytes = settings->least; settings->ops[op] && bytes <= settings->most; bytes *= settings->factor) {
			if (n_results == RESULTS)
				return aur_fail(AUR_USAGE, "more than %d sizes: raise --factor", RESULTS);
			struct bench_result *result = &results[n_results++];
			AUR_TRY(bench_measure(bench, (enum bench_op)op, bytes, result));
			wrong += result->wrong;
			if (prints && !settings->json)
				bench_print_result(result);
		}
	if (prints && settings->json)
		AUR_TRY(bench_print_json(bench, results, n_results));
	return wrong == 0 ? AUR_OK : aur_fail(AUR_NETWORK, "%lld elements arrived wrong", (long long)wrong);
}

static aur_status run(struct bench *bench, int argc, char **argv)
{
	static struct bench_settings settings;
	AUR_TRY(aur_comm_agree(bench->world, bench_settings_parse(argc, argv, &settings)));
	bench->settings = &settings;
	if (settings.help) {
		if (bench->world->rank == 0)
			fputs(bench_help, stdout);
		return AUR_OK;
	}
	aur_status status = bench_open(bench);
	if (status == AUR_OK)
		status = measure_all(bench);
	bench_close(bench);
	return status;
}

int main(int argc, char **argv)
{
	struct bench bench = {0};
	register_parts();
	aur_status status = aur_comm_mpi_start(&argc, &argv);
	if (status == AUR_OK)
		status = aur_comm_mpi_create(MPI_COMM_WORLD, &bench.world);
	if (status == AUR_OK)
		status = run(&bench, argc, argv);
	if (status != AUR_OK && aur_error_message()[0] != '\0')
		fprintf(stderr, "aurelius-bench-comm: %s\n", aur_error_message());
	if (bench.world && status != AUR_OK && status != bench.world->agreed)
		MPI_Abort(MPI_COMM_WORLD, aur_status_exit_code(status));
	aur_comm_close(&bench.world);
	MPI_Finalize();
	return aur_status_exit_code(status);
}
