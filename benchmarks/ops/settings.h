#ifndef AUR_BENCH_OPS_SETTINGS_H
#define AUR_BENCH_OPS_SETTINGS_H

#include "bench.h"

enum { BENCH_FILTERS = 16 };

/* Where a case's operands come from between its calls. */
enum bench_operands {
	BENCH_OPERANDS_AUTO, /* as the trainer meets them: gpt2-124m COLD, shakespeare-char-cpu WARM */
	BENCH_OPERANDS_COLD, /* calls take turns on enough operand sets to exceed twice the last-level cache */
	BENCH_OPERANDS_WARM, /* one set, used again and again */
};

/* The command line. */
struct bench_settings {
	const char *operations[BENCH_FILTERS]; /* --op: a name, or the beginning of one up to an underscore */
	int n_operations;
	const char *labels[BENCH_FILTERS]; /* --case: a part of the label */
	int n_labels;
	enum bench_set set;
	enum aur_dtype precision;
	enum bench_operands operands;
	int threads;    /* 0 until the machine's are counted */
	int repeats;    /* at least */
	double seconds; /* of measuring a case, at least */
	int json, list, help, ceilings;
};

/* Fails with AUR_USAGE and the option's name. */
aur_status bench_settings_parse(int argc, char **argv, struct bench_settings *settings);

/* 1 when the command line asks for this case. */
int bench_settings_choose(const struct bench_settings *settings, const struct bench_case *one);

/* The text of --help. */
extern const char *const bench_help;

#endif
