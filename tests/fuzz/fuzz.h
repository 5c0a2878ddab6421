#ifndef AUR_TESTS_FUZZ_FUZZ_H
#define AUR_TESTS_FUZZ_FUZZ_H

#include "core/status.h"

#include <stddef.h>
#include <stdint.h>

/* Fuzzing of one parser: it is given its seeds, small valid inputs, then the same with bytes flipped, cut, doubled,
 * spliced, numbers edited and pieces inserted. It has to return a status each time: AUR_OK or that of a refusal, with a
 * message of one line. What fails the test:
 *
 *   a crash or what a sanitizer finds
 *   an input that takes longer than its seconds of processor time
 *   AUR_MEMORY: it wanted more than FUZZ_MEMORY_MB for a small input
 *   another status, or a refusal without a message
 *   a seed that is refused, or not one of the changed inputs
 *   a file descriptor that stays open
 *
 * Input n follows from the seeds and n alone. A failure names n and leaves the input in NAME.failed, in the working
 * folder. In the environment:
 *
 *   AURELIUS_FUZZ_TIMES=100   so many times the target's rounds
 *   AURELIUS_FUZZ_ROUND=n     only input n, for the debugger
 */

enum { FUZZ_SECONDS = 10, FUZZ_MEMORY_MB = 512, FUZZ_SEEDS = 64 };

struct fuzz_input {
	const char *bytes; /* not terminated; freed memory follows */
	size_t size;
	const char *path; /* a file of these bytes, where the target asks for one, or NULL */
};

struct fuzz_target {
	const char *name; /* "config": for messages and file names */
	/* Parses the input and frees what it got. It may return AUR_INTERNAL (fuzz_fail) for what it finds wrong in a
	 * result that was taken for good. */
	aur_status (*parse)(const struct fuzz_input *input);
	aur_status refusal;       /* of a bad input; AUR_OK stands for AUR_INPUT */
	const char *file;         /* the input lies in a file of this name, such as "x.json"; NULL: in memory alone */
	const char *const *words; /* pieces of the format that are put in here and there, up to NULL; NULL: none */
	int64_t rounds;           /* changed inputs: some seconds' worth */
	int seconds;              /* an input may take; 0: FUZZ_SECONDS */
};

/* A valid input, copied. At most FUZZ_SEEDS. */
void fuzz_seed(const void *bytes, size_t size);
void fuzz_seed_text(const char *text);
void fuzz_seed_file(const char *path);

/* Runs all of it and returns the program's exit code. */
int fuzz_run(const struct fuzz_target *target);

/* A path in the target's scratch folder, which is removed at the end: for making seeds of files. Valid until the next
 * call. */
const char *fuzz_scratch(const char *name);

/* Says what is wrong and returns AUR_INTERNAL: for `parse`. */
aur_status fuzz_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
