#ifndef AUR_COMMANDS_OPTIONS_H
#define AUR_COMMANDS_OPTIONS_H

#include "core/status.h"

#include <stdint.h>

/* The command line of one command, described by a table from which parsing and --help come. */

enum aur_option_kind {
	AUR_OPTION_FLAG,    /* int *: set to 1; takes no value */
	AUR_OPTION_TEXT,    /* const char **: borrowed from argv */
	AUR_OPTION_INTEGER, /* int64_t * */
	AUR_OPTION_REAL,    /* double *: finite */
};

struct aur_option {
	const char *name; /* without dashes: "val-fraction" */
	enum aur_option_kind kind;
	void *destination;   /* holds the default before parsing; of two equal options the last wins */
	const char *metavar; /* "FILE"; NULL for flags */
	const char *meaning; /* one line for --help */
	int required;        /* 1: AUR_USAGE without it */
};

struct aur_options {
	const char *usage; /* "prepare TEXT... --out FILE.h5 [options]" */
	const char *about; /* what the command does, one or two lines */
	const struct aur_option *options;
	int n_options;
	const char *argument; /* what the other arguments are, for messages: "TEXT" */
	int least_arguments;  /* how many are needed */
	int most_arguments;   /* how many are allowed; -1: any number */
	int takes_overrides;  /* 1: every --section.key=value is collected */
	const char *notes;    /* more lines for --help; may be NULL */

	/* Filled by aur_options_parse; the lists are owned, the strings borrowed from argv. */
	int help; /* 1: --help was given and printed; nothing is to be done */
	const char **arguments;
	int n_arguments;
	const char **overrides; /* "section.key=value", in the order given */
	int n_overrides;
};

/* Parses argv[1..argc). `--name value` and `--name=value`; `--` ends the options. AUR_USAGE names what is wrong and the
 * nearest known option. aur_options_clear frees the lists, whatever came back. */
aur_status aur_options_parse(struct aur_options *options, int argc, char **argv);
void aur_options_clear(struct aur_options *options);

#endif
