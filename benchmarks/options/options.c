#include "options.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static double unit_of(const char *suffix)
{
	static const char letters[] = "KMG";
	const char *letter = *suffix && !suffix[1] ? strchr(letters, *suffix) : NULL;
	double unit = *suffix ? 0 : 1;
	if (letter)
		for (unit = 1024; letter > letters; letter--)
			unit *= 1024;
	return unit;
}

aur_status bench_options_number(const char *option, const char *text, double least, double most, double *number)
{
	char *end;
	errno = 0;
	*number = strtod(text, &end);
	const double unit = unit_of(end);
	*number *= unit;
	if (errno != 0 || end == text || unit == 0 || !(*number >= least && *number <= most))
		return aur_fail(AUR_USAGE, "%s %s: must be a number from %g to %g", option, text, least, most);
	return AUR_OK;
}

aur_status bench_options_count(const char *option, const char *text, int least, int most, int *count)
{
	double number;
	AUR_TRY(bench_options_number(option, text, least, most, &number));
	*count = (int)number;
	if ((double)*count != number)
		return aur_fail(AUR_USAGE, "%s %s: must be a whole number", option, text);
	return AUR_OK;
}

aur_status bench_options_parse(int argc, char **argv, const struct option *options,
	aur_status (*take)(int option, const char *text, void *settings), void *settings)
{
	opterr = 0;
	for (;;) {
		const int at = optind;
		const int option = getopt_long(argc, argv, "+", options, NULL);
		if (option == -1)
			break;
		if (option == '?')
			return aur_fail(AUR_USAGE, "%s: unknown option or without its value (--help lists them)", argv[at]);
		AUR_TRY(take(option, optarg, settings));
	}
	if (optind < argc)
		return aur_fail(AUR_USAGE, "%s: unexpected (--help lists the options)", argv[optind]);
	return AUR_OK;
}
