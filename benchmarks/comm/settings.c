#include "bench.h"
#include "options.h"

#include <string.h>

const char *const bench_help =
	"Measures the bandwidth of the exchanges between ranks that a training step makes.\n"
	"\n"
	"  mpirun -np N aurelius-bench-comm [options]\n"
	"\n"
	"  --op NAME        exchange, reduce_scatter, all_gather or all_reduce, given once or more (default: all). "
	"all_reduce\n"
	"                   is a reduce_scatter and an all_gather, as a step makes them\n"
	"  --min SIZE       bytes of all slices together: 65536, 64K, 1M, 2G (default 64K)\n"
	"  --max SIZE       (default 64M)\n"
	"  --factor N       from one size to the next (default 4)\n"
	"  --repeats N      calls that are timed (default 20); --warm-ups N before them (default 5)\n"
	"  --slices HOW     equal (default), as nccl-tests has them, or training: cut where a training cuts\n"
	"  --bucket-mb X    system.allreduce_bucket_mb (default 25)\n"
	"  --backend NAME   auto (default), cpu or cuda: whose memory\n"
	"  --share-gpu      several ranks may use one GPU: staged by way of the host\n"
	"  --json           one JSON object instead of the table\n";

static const char *const op_names[BENCH_OPS] = {"exchange", "reduce_scatter", "all_gather", "all_reduce"};

const char *bench_op_name(enum bench_op op)
{
	return op_names[op];
}

enum { MOST_COUNT = 1000000 };
enum { OP = 256, MIN, MAX, FACTOR, REPEATS, WARM_UPS, SLICES, BUCKET, BACKEND, SHARE, JSON, HELP };

static const struct option options[] = {
	{"op", required_argument, NULL, OP},
	{"min", required_argument, NULL, MIN},
	{"max", required_argument, NULL, MAX},
	{"factor", required_argument, NULL, FACTOR},
	{"repeats", required_argument, NULL, REPEATS},
	{"warm-ups", required_argument, NULL, WARM_UPS},
	{"slices", required_argument, NULL, SLICES},
	{"bucket-mb", required_argument, NULL, BUCKET},
	{"backend", required_argument, NULL, BACKEND},
	{"share-gpu", no_argument, NULL, SHARE},
	{"json", no_argument, NULL, JSON},
	{"help", no_argument, NULL, HELP},
	{NULL, 0, NULL, 0},
};

static aur_status parse_op(const char *text, struct bench_settings *settings)
{
	for (int op = 0; op < BENCH_OPS; op++)
		if (strcmp(text, op_names[op]) == 0) {
			settings->ops[op] = 1;
			return AUR_OK;
		}
	return aur_fail(AUR_USAGE, "--op %s: unknown (--help lists what there is)", text);
}

static aur_status parse_bytes(const char *option, const char *text, int64_t *bytes)
{
	double number;
	AUR_TRY(bench_options_number(option, text, 4, 1e12, &number));
	*bytes = (int64_t)number;
	return AUR_OK;
}

static aur_status parse_slices(const char *text, int *as_training)
{
	*as_training = strcmp(text, "training") == 0;
	if (*as_training || strcmp(text, "equal") == 0)
		return AUR_OK;
	return aur_fail(AUR_USAGE, "--slices %s: use equal or training", text);
}

static aur_status parse_one(int option, const char *text, void *context)
{
	struct bench_settings *settings = context;
	switch (option) {
	case OP:
		return parse_op(text, settings);
	case MIN:
		return parse_bytes("--min", text, &settings->least);
	case MAX:
		return parse_bytes("--max", text, &settings->most);
	case FACTOR:
		return bench_options_count("--factor", text, 2, MOST_COUNT, &settings->factor);
	case REPEATS:
		return bench_options_count("--repeats", text, 1, MOST_COUNT, &settings->repeats);
	case WARM_UPS:
		return bench_options_count("--warm-ups", text, 0, MOST_COUNT, &settings->warm_ups);
	case SLICES:
		return parse_slices(text, &settings->as_training);
	case BUCKET:
		return bench_options_number("--bucket-mb", text, 1e-6, 4096, &settings->bucket_mb);
	case BACKEND:
		settings->backend = text;
		return AUR_OK;
	default:
		settings->share_gpu |= option == SHARE;
		settings->json |= option == JSON;
		settings->help |= option == HELP;
		return AUR_OK;
	}
}

static aur_status finish(struct bench_settings *settings)
{
	int chosen = 0;
	for (int op = 0; op < BENCH_OPS; op++)
		chosen |= settings->ops[op];
	for (int op = 0; op < BENCH_OPS; op++)
		settings->ops[op] |= !chosen;
	if (settings->least > settings->most)
		return aur_fail(
			AUR_USAGE, "--min %lld is more than --max %lld", (long long)settings->least, (long long)settings->most);
	return AUR_OK;
}

aur_status bench_settings_parse(int argc, char **argv, struct bench_settings *settings)
{
	*settings = (struct bench_settings){.least = 64 << 10,
		.most = 64 << 20,
		.factor = 4,
		.repeats = 20,
		.warm_ups = 5,
		.bucket_mb = 25,
		.backend = "auto"};
	AUR_TRY(bench_options_parse(argc, argv, options, parse_one, settings));
	return finish(settings);
}
