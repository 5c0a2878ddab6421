#ifndef AUR_TESTS_ROUNDS_H
#define AUR_TESTS_ROUNDS_H

#include <stdlib.h>
#include <string.h>

/* Of `all` rounds with other inputs, or a tenth of them where AURELIUS_TEST_ROUNDS is "few": under valgrind an
 * instruction costs fifty times as much, and what is read before it is written shows in the first rounds. */
static inline int rounds_of(int all)
{
	static int few = -1;
	if (few < 0) {
		const char *wanted = getenv("AURELIUS_TEST_ROUNDS");
		few = wanted && strcmp(wanted, "few") == 0;
	}
	return few ? (all + 9) / 10 : all;
}

#endif
