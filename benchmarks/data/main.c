#include "bench.h"

#include "config/config.h"
#include "core/build_info.h"
#include "core/clock.h"
#include "core/process.h"
#include "train/loader.h"

#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char help_text[] =
	"Measures how fast token shards are read in the order of a training, and how long a step waits for them.\n"
	"\n"
	"  aurelius-bench-data --folder FOLDER [options]\n"
	"\n"
	"  --folder FOLDER  where the corpus is written, once, and read from\n"
	"  --tokens N       of the corpus (default 1e8); --files N it is cut into (default 4)\n"
	"  --compress       deflated, as prepare --compress writes it\n"
	"  --order NAME     shuffle (default), random or sequential\n"
	"  --block N        tokens of a window (default 1024); --batch N windows of a step (default 32)\n"
	"  --prefetch N     batches kept ready (default 4)\n"
	"  --read N         tokens read by one thread as fast as it goes (default 2e8)\n"
	"  --cold           without reading everything once before, which checks all checksums\n"
	"  --rate X         tokens a second that a step takes (default 1e6); --steps N of them (default 300)\n";

struct measured {
	double open_s, read_s, wait_s, longest_wait_s, paced_s;
	int64_t tokens;
};

enum { FOLDER = 256, TOKENS, FILES, COMPRESS, ORDER, BLOCK, BATCH, PREFETCH, READ, COLD, RATE, STEPS, HELP };

static const struct option options[] = {
	{"folder", required_argument, NULL, FOLDER},
	{"tokens", required_argument, NULL, TOKENS},
	{"files", required_argument, NULL, FILES},
	{"compress", no_argument, NULL, COMPRESS},
	{"order", required_argument, NULL, ORDER},
	{"block", required_argument, NULL, BLOCK},
	{"batch", required_argument, NULL, BATCH},
	{"prefetch", required_argument, NULL, PREFETCH},
	{"read", required_argument, NULL, READ},
	{"cold", no_argument, NULL, COLD},
	{"rate", required_argument, NULL, RATE},
	{"steps", required_argument, NULL, STEPS},
	{"help", no_argument, NULL, HELP},
	{NULL, 0, NULL, 0},
};

static aur_status parse_number(const char *option, int64_t least, int64_t *number)
{
	char *end;
	const double value = strtod(optarg, &end);
	if (end == optarg || *end || !(value >= (double)least && value <= 1e12))
		return aur_fail(AUR_USAGE, "--%s %s: must be a number from %lld to 1e12", option, optarg, (long long)least);
	*number = (int64_t)value;
	return AUR_OK;
}

static aur_status parse_order(struct bench_settings *settings)
{
	static const char *const names[] = {"shuffle", "random", "sequential"};
	for (int i = 0; i < 3; i++)
		if (strcmp(optarg, names[i]) == 0) {
			settings->order = i;
			return AUR_OK;
		}
	return aur_fail(AUR_USAGE, "--order %s: must be shuffle, random or sequential", optarg);
}

static aur_status parse_option(int code, struct bench_settings *settings)
{
	int64_t rate;
	switch (code) {
	case FOLDER:
		settings->folder = optarg;
		return AUR_OK;
	case TOKENS:
		return parse_number("tokens", 1000, &settings->tokens);
	case FILES:
		return parse_number("files", 1, &settings->files);
	case COMPRESS:
		settings->compress = 1;
		return AUR_OK;
	case ORDER:
		return parse_order(settings);
	case BLOCK:
		return parse_number("block", 1, &settings->block);
	case BATCH:
		return parse_number("batch", 1, &settings->batch);
	case PREFETCH:
		return parse_number("prefetch", 1, &settings->prefetch);
	case READ:
		return parse_number("read", 1, &settings->read);
	case COLD:
		settings->warm = 0;
		return AUR_OK;
	case RATE:
		AUR_TRY(parse_number("rate", 1, &rate));
		settings->rate = (double)rate;
		return AUR_OK;
	case STEPS:
		return parse_number("steps", 1, &settings->steps);
	case HELP:
		settings->help = 1;
		return AUR_OK;
	}
	return aur_fail(AUR_USAGE, "unknown option (--help lists what there is)");
}

static aur_status parse(int argc, char **argv, struct bench_settings *settings)
{
	opterr = 0;
	for (int code; (code = getopt_long(argc, argv, "", options, NULL)) != -1;)
		AUR_TRY(parse_option(code, settings));
	if (!settings->folder && !settings->help)
		return aur_fail(AUR_USAGE, "--folder FOLDER is missing");
	return AUR_OK;
}

/* Every token once, which is what the first pass of a training does besides. */
static aur_status warm_up(struct aur_dataset *dataset, int64_t positions, int32_t *room)
{
	const int64_t windows = aur_dataset_windows(dataset, AUR_TRAIN, positions);
	for (int64_t i = 0; i < windows; i++)
		AUR_TRY(aur_dataset_window(dataset, AUR_TRAIN, positions, i, room, room + positions));
	return AUR_OK;
}

static aur_status read_fast(const struct bench_settings *settings, struct aur_dataset *dataset,
	const struct aur_sample_order *order, struct measured *measured)
{
	int32_t *room = malloc(2 * (size_t)settings->block * sizeof *room);
	if (!room)
		return aur_fail(AUR_MEMORY, "no memory for a window");
	aur_status status = settings->warm ? warm_up(dataset, settings->block, room) : AUR_OK;
	const double start = aur_clock_s();
	for (int64_t sample = 0; status == AUR_OK && measured->tokens < settings->read; sample++) {
		const struct aur_place place = aur_order_place(order, sample);
		status = aur_dataset_read(
			dataset, AUR_TRAIN, place.file, place.begin, settings->block, room, room + settings->block);
		measured->tokens += settings->block;
	}
	measured->read_s = aur_clock_s() - start;
	free(room);
	return status;
}

static void sleep_until(double when)
{
	for (double left; (left = when - aur_clock_s()) > 0;) {
		const struct timespec pause = {.tv_sec = (time_t)left, .tv_nsec = (long)((left - (double)(time_t)left) * 1e9)};
		nanosleep(&pause, NULL);
	}
}

/* A reader that takes a step's time for every batch: what it waits on top is what a training would wait. */
static aur_status read_paced(const struct bench_settings *settings, struct aur_dataset *dataset,
	const struct aur_sample_order *order, struct measured *measured)
{
	const double step_s = (double)(settings->batch * settings->block) / settings->rate;
	const struct aur_loader_options loader_options = {.dataset = dataset,
		.order = order,
		.batch_size = settings->batch,
		.count = settings->batch,
		.depth = settings->prefetch};
	struct aur_loader *loader;
	AUR_TRY(aur_loader_create(&loader_options, &loader));
	aur_status status = AUR_OK;
	const double start = aur_clock_s();
	for (int64_t step = 0; status == AUR_OK && step < settings->steps; step++) {
		const int32_t *tokens, *targets;
		const double before = aur_clock_s();
		status = aur_loader_next(loader, &tokens, &targets);
		const double now = aur_clock_s(), waited = now - before;
		measured->wait_s += waited;
		measured->longest_wait_s = waited > measured->longest_wait_s ? waited : measured->longest_wait_s;
		sleep_until(now + step_s);
	}
	measured->paced_s = aur_clock_s() - start;
	aur_loader_destroy(&loader);
	return status;
}

static aur_status print(const struct bench_settings *settings, const struct measured *measured)
{
	static const char *const orders[] = {"shuffle", "random", "sequential"};
	json_t *root = json_pack("{s:s, s:s, s:I, s:I, s:b, s:s, s:I, s:I, s:b, s:f, s:I, s:f, s:f, s:f, s:{s:I, s:I, s:f, "
							 "s:f, s:f, s:f, s:f}}",
		"version", AUR_VERSION, "commit", AUR_COMMIT, "corpus_tokens", (json_int_t)settings->tokens, "files",
		(json_int_t)settings->files, "compressed", settings->compress, "order", orders[settings->order], "block",
		(json_int_t)settings->block, "prefetch", (json_int_t)settings->prefetch, "verified_before", settings->warm,
		"open_s", measured->open_s, "tokens", (json_int_t)measured->tokens, "seconds", measured->read_s, "tokens_per_s",
		(double)measured->tokens / measured->read_s, "peak_mb", (double)aur_process_peak() * 1e-6, "waiting", "steps",
		(json_int_t)settings->steps, "batch", (json_int_t)settings->batch, "rate", settings->rate, "seconds",
		measured->paced_s, "waited_s", measured->wait_s, "longest_s", measured->longest_wait_s, "share",
		measured->wait_s / measured->paced_s);
	const int printed = root && json_dumpf(root, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(6)) == 0;
	json_decref(root);
	if (!printed)
		return aur_fail(AUR_MEMORY, "the report cannot be written");
	printf("\n");
	return AUR_OK;
}

static aur_status measure(const struct bench_settings *settings)
{
	char glob[1024];
	struct measured measured = {0};
	struct aur_dataset *dataset = NULL;
	struct aur_sample_order order = {0};
	aur_status status;
	AUR_TRY_CLEANUP(bench_make_corpus(settings, glob, sizeof glob));
	const double start = aur_clock_s();
	AUR_TRY_CLEANUP(aur_dataset_open(glob, "", 0, &dataset));
	measured.open_s = aur_clock_s() - start;
	AUR_TRY_CLEANUP(aur_order_create(dataset, settings->order, 1337, settings->block, &order));
	AUR_TRY_CLEANUP(read_fast(settings, dataset, &order, &measured));
	AUR_TRY_CLEANUP(read_paced(settings, dataset, &order, &measured));
	status = print(settings, &measured);
cleanup:
	aur_order_clear(&order);
	aur_dataset_close(&dataset);
	return status;
}

int main(int argc, char **argv)
{
	struct bench_settings settings = {.tokens = 100000000,
		.files = 4,
		.block = 1024,
		.batch = 32,
		.prefetch = 4,
		.read = 200000000,
		.steps = 300,
		.rate = 1e6,
		.warm = 1};
	aur_status status = parse(argc, argv, &settings);
	if (status == AUR_OK && settings.help)
		fputs(help_text, stdout);
	else if (status == AUR_OK)
		status = measure(&settings);
	if (status != AUR_OK)
		fprintf(stderr, "aurelius-bench-data: %s\n", aur_error_message());
	return aur_status_exit_code(status);
}
