#include "options.h"

#include "core/suggest.h"
#include "print.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPTIONS_LIMIT = 64, HELP_COLUMN = 26 };

/* ---- help ---- */

static void print_option(const char *name, const char *metavar, const char *meaning)
{
	char left[80];
	snprintf(left, sizeof left, "--%s%s%s", name, metavar ? " " : "", metavar ? metavar : "");
	/* A long option takes a line of its own. */
	if (strlen(left) >= HELP_COLUMN)
		aur_print("  %s\n  %*s%s\n", left, HELP_COLUMN, "", meaning);
	else
		aur_print("  %-*s%s\n", HELP_COLUMN, left, meaning);
}

static void print_help(const struct aur_options *options)
{
	aur_print("usage: aurelius %s\n\n%s\n\n", options->usage, options->about);
	for (int i = 0; i < options->n_options; i++)
		print_option(options->options[i].name, options->options[i].metavar, options->options[i].meaning);
	if (options->takes_overrides)
		print_option("section.key=VALUE", NULL, "override a key of the configuration");
	print_option("help", NULL, "print this and do nothing");
	if (options->notes)
		aur_print("\n%s\n", options->notes);
}

/* ---- values ---- */

static aur_status parse_integer(const char *name, const char *text, int64_t *value)
{
	char *end;
	errno = 0;
	const long long parsed = strtoll(text, &end, 10);
	if (end == text || *end != '\0' || isspace((unsigned char)*text))
		return aur_fail(AUR_USAGE, "--%s: '%s' is not a whole number", name, text);
	if (errno == ERANGE)
		return aur_fail(AUR_USAGE, "--%s: '%s' is too large a number", name, text);
	*value = parsed;
	return AUR_OK;
}

static aur_status parse_real(const char *name, const char *text, double *value)
{
	char *end;
	const double parsed = strtod(text, &end);
	if (end == text || *end != '\0' || isspace((unsigned char)*text) || !isfinite(parsed))
		return aur_fail(AUR_USAGE, "--%s: '%s' is not a number", name, text);
	*value = parsed;
	return AUR_OK;
}

static aur_status store(const struct aur_option *option, const char *text)
{
	switch (option->kind) {
	case AUR_OPTION_FLAG:
		*(int *)option->destination = 1;
		return AUR_OK;
	case AUR_OPTION_TEXT:
		*(const char **)option->destination = text;
		return AUR_OK;
	case AUR_OPTION_INTEGER:
		return parse_integer(option->name, text, option->destination);
	case AUR_OPTION_REAL:
		return parse_real(option->name, text, option->destination);
	}
	return aur_fail(AUR_INTERNAL, "--%s: an option of no known kind", option->name);
}

/* ---- names ---- */

static int find(const struct aur_options *options, const char *name, size_t length)
{
	for (int i = 0; i < options->n_options; i++)
		if (strlen(options->options[i].name) == length && strncmp(options->options[i].name, name, length) == 0)
			return i;
	return -1;
}

static aur_status unknown_option(const struct aur_options *options, const char *name, size_t length)
{
	const char *candidates[OPTIONS_LIMIT + 1];
	char typed[64];
	int n = 0;
	snprintf(typed, sizeof typed, "%.*s", (int)(length < sizeof typed ? length : sizeof typed - 1), name);
	for (int i = 0; i < options->n_options && n < OPTIONS_LIMIT; i++)
		candidates[n++] = options->options[i].name;
	candidates[n++] = "help";
	const char *nearest = aur_suggest(typed, candidates, n);
	if (nearest)
		return aur_fail(AUR_USAGE, "unknown option --%s: did you mean --%s?", typed, nearest);
	return aur_fail(AUR_USAGE, "unknown option --%s (--help lists them)", typed);
}

/* An option where a value should stand is a forgotten value, not a file of that name. */
static int looks_like_option(const struct aur_options *options, const char *text)
{
	if (strncmp(text, "--", 2) != 0)
		return 0;
	return text[2] == '\0' || find(options, text + 2, strcspn(text + 2, "=")) >= 0;
}

/* ---- the line ---- */

struct scan {
	struct aur_options *options;
	int argc;
	char **argv;
	int at; /* the argument being read */
	char seen[OPTIONS_LIMIT];
};

static aur_status take_value(struct scan *scan, const struct aur_option *option, const char *equals)
{
	if (option->kind == AUR_OPTION_FLAG)
		return equals ? aur_fail(AUR_USAGE, "--%s takes no value", option->name) : store(option, NULL);
	if (equals)
		return store(option, equals + 1);
	if (scan->at + 1 >= scan->argc || looks_like_option(scan->options, scan->argv[scan->at + 1]))
		return aur_fail(AUR_USAGE, "--%s needs a value: --%s %s", option->name, option->name, option->metavar);
	return store(option, scan->argv[++scan->at]);
}

static aur_status take_option(struct scan *scan, const char *name)
{
	struct aur_options *options = scan->options;
	const size_t length = strcspn(name, "=");
	const char *equals = name[length] == '=' ? name + length : NULL;
	const int index = find(options, name, length);
	if (index >= 0) {
		if (index < OPTIONS_LIMIT)
			scan->seen[index] = 1;
		return take_value(scan, &options->options[index], equals);
	}
	if (!options->takes_overrides || !memchr(name, '.', length))
		return unknown_option(options, name, length);
	if (!equals)
		return aur_fail(AUR_USAGE, "--%s needs a value: --%s=VALUE", name, name);
	options->overrides[options->n_overrides++] = name;
	return AUR_OK;
}

static aur_status take_argument(struct scan *scan, int options_ended)
{
	struct aur_options *options = scan->options;
	const char *text = scan->argv[scan->at];
	if (!options_ended && text[0] == '-' && text[1] == '-')
		return take_option(scan, text + 2);
	if (!options_ended && text[0] == '-' && text[1] != '\0')
		return aur_fail(AUR_USAGE, "unknown option %s: options begin with two dashes (--help lists them)", text);
	options->arguments[options->n_arguments++] = text;
	return AUR_OK;
}

static aur_status check_complete(const struct scan *scan)
{
	const struct aur_options *options = scan->options;
	const char *command = scan->argv[0];
	for (int i = 0; i < options->n_options && i < OPTIONS_LIMIT; i++)
		if (options->options[i].required && !scan->seen[i])
			return aur_fail(AUR_USAGE, "%s needs --%s %s (usage: aurelius %s)", command, options->options[i].name,
				options->options[i].metavar, options->usage);
	if (options->n_arguments < options->least_arguments)
		return aur_fail(AUR_USAGE, "%s needs %s (usage: aurelius %s)", command, options->argument, options->usage);
	for (int i = 0; i < options->least_arguments; i++)
		if (options->arguments[i][0] == '\0')
			return aur_fail(AUR_USAGE, "%s needs %s, and the name given is empty (usage: aurelius %s)", command,
				options->argument, options->usage);
	if (options->most_arguments >= 0 && options->n_arguments > options->most_arguments)
		return aur_fail(AUR_USAGE, "%s: '%s' is one argument too many (usage: aurelius %s)", command,
			options->arguments[options->most_arguments], options->usage);
	return AUR_OK;
}

static int asks_for_help(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return 1;
	return 0;
}

aur_status aur_options_parse(struct aur_options *options, int argc, char **argv)
{
	if (asks_for_help(argc, argv)) {
		options->help = 1;
		print_help(options);
		return aur_print_end();
	}
	options->arguments = calloc((size_t)argc + 1, sizeof *options->arguments);
	options->overrides = calloc((size_t)argc + 1, sizeof *options->overrides);
	if (!options->arguments || !options->overrides)
		return aur_fail(AUR_MEMORY, "no memory for %d arguments", argc);
	struct scan scan = {.options = options, .argc = argc, .argv = argv, .at = 1};
	int ended = 0;
	for (; scan.at < argc; scan.at++) {
		if (!ended && strcmp(argv[scan.at], "--") == 0)
			ended = 1;
		else
			AUR_TRY(take_argument(&scan, ended));
	}
	return check_complete(&scan);
}

void aur_options_clear(struct aur_options *options)
{
	free(options->arguments);
	free(options->overrides);
	options->arguments = NULL;
	options->overrides = NULL;
	options->n_arguments = 0;
	options->n_overrides = 0;
}
