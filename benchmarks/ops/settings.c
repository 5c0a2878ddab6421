#include "settings.h"

#include "options.h"

#include <string.h>

const char *const bench_help =
	"Times every operation of the CPU backend against this machine's copy rate and matrix libraries.\n"
	"\n"
	"  aurelius-bench-ops [--op NAME]... [--case TEXT]... [--shape-set SET] [--precision P] [--threads N]\n"
	"\n"
	"  --op NAME         an operation as the backend's table names it, or its first words: linear, linear_forward\n"
	"  --case TEXT       cases whose label holds TEXT\n"
	"  --shape-set SET   gpt2-124m, shakespeare-char-cpu or all (default)\n"
	"  --precision P     fp32 (default) or bf16; with bf16 only operations that have both\n"
	"  --threads N       default: the cores this process may use\n"
	"  --operands WHERE  auto (default): cold for gpt2-124m, warm for shakespeare-char-cpu; cold: calls take turns on\n"
	"                    operand sets larger together than twice the last-level cache; warm: one set\n"
	"  --repeats N       samples of a case, at least (default 7)\n"
	"  --seconds X       time of a case, at least (default 0.25)\n"
	"  --no-ceilings     leaves out the matrix libraries on the model's shapes\n"
	"  --json            one JSON object instead of the table\n"
	"  --list            names the cases and ends\n";

enum { MOST_COUNT = 4096 };
enum { OP = 256, CASE, SHAPE_SET, PRECISION, THREADS, OPERANDS, REPEATS, SECONDS, NO_CEILINGS, JSON, LIST, HELP };

static const struct option options[] = {
	{"op", required_argument, NULL, OP},
	{"case", required_argument, NULL, CASE},
	{"shape-set", required_argument, NULL, SHAPE_SET},
	{"precision", required_argument, NULL, PRECISION},
	{"threads", required_argument, NULL, THREADS},
	{"operands", required_argument, NULL, OPERANDS},
	{"repeats", required_argument, NULL, REPEATS},
	{"seconds", required_argument, NULL, SECONDS},
	{"no-ceilings", no_argument, NULL, NO_CEILINGS},
	{"json", no_argument, NULL, JSON},
	{"list", no_argument, NULL, LIST},
	{"help", no_argument, NULL, HELP},
	{NULL, 0, NULL, 0},
};

static aur_status add_filter(const char *option, const char *text, const char **filters, int *n_filters)
{
	if (*n_filters == BENCH_FILTERS)
		return aur_fail(AUR_USAGE, "%s: given more than %d times", option, BENCH_FILTERS);
	filters[(*n_filters)++] = text;
	return AUR_OK;
}

/* The place of `text` in the list, as a number from 0. */
static aur_status parse_word(const char *option, const char *text, const char *const words[], int *place)
{
	for (int i = 0; words[i]; i++) {
		*place = i;
		if (strcmp(text, words[i]) == 0)
			return AUR_OK;
	}
	return aur_fail(AUR_USAGE, "%s %s: unknown (--help lists what there is)", option, text);
}

static aur_status parse_choice(int option, const char *text, struct bench_settings *settings)
{
	static const char *const sets[] = {"gpt2-124m", "shakespeare-char-cpu", "all", NULL};
	static const char *const precisions[] = {"fp32", "bf16", NULL};
	static const char *const places[] = {"auto", "cold", "warm", NULL};
	int place = 0;
	if (option == SHAPE_SET) {
		AUR_TRY(parse_word("--shape-set", text, sets, &place));
		settings->set = (enum bench_set[]){BENCH_GPT2_124M, BENCH_SHAKESPEARE, BENCH_ALL}[place];
	} else if (option == PRECISION) {
		AUR_TRY(parse_word("--precision", text, precisions, &place));
		settings->precision = place ? AUR_BF16 : AUR_F32;
	} else {
		AUR_TRY(parse_word("--operands", text, places, &place));
		settings->operands = (enum bench_operands)place;
	}
	return AUR_OK;
}

static aur_status parse_one(int option, const char *text, void *context)
{
	struct bench_settings *settings = context;
	switch (option) {
	case OP:
		return add_filter("--op", text, settings->operations, &settings->n_operations);
	case CASE:
		return add_filter("--case", text, settings->labels, &settings->n_labels);
	case SHAPE_SET:
	case PRECISION:
	case OPERANDS:
		return parse_choice(option, text, settings);
	case THREADS:
		return bench_options_count("--threads", text, 1, MOST_COUNT, &settings->threads);
	case REPEATS:
		return bench_options_count("--repeats", text, 1, MOST_COUNT, &settings->repeats);
	case SECONDS:
		return bench_options_number("--seconds", text, 0, 3600, &settings->seconds);
	default:
		settings->ceilings &= option != NO_CEILINGS;
		settings->json |= option == JSON;
		settings->list |= option == LIST;
		settings->help |= option == HELP;
		return AUR_OK;
	}
}

aur_status bench_settings_parse(int argc, char **argv, struct bench_settings *settings)
{
	*settings = (struct bench_settings){.set = BENCH_ALL, .repeats = 7, .seconds = 0.25, .ceilings = 1};
	return bench_options_parse(argc, argv, options, parse_one, settings);
}

static int names_operation(const char *filter, const char *operation)
{
	const size_t length = strlen(filter);
	return strncmp(filter, operation, length) == 0 && (operation[length] == '\0' || operation[length] == '_');
}

static int names_one(const struct bench_settings *settings, const char *operation)
{
	for (int i = 0; i < settings->n_operations; i++)
		if (names_operation(settings->operations[i], operation))
			return 1;
	return settings->n_operations == 0;
}

static int holds_one(const struct bench_settings *settings, const char *label)
{
	for (int i = 0; i < settings->n_labels; i++)
		if (strstr(label, settings->labels[i]))
			return 1;
	return settings->n_labels == 0;
}

int bench_settings_choose(const struct bench_settings *settings, const struct bench_case *one)
{
	return (one->set & settings->set) != 0 && (settings->precision == AUR_F32 || one->any_precision) &&
		   names_one(settings, one->op) && holds_one(settings, one->label);
}
