#include "internal.h"

#include <map>
#include <stdlib.h>
#include <string.h>
#include <string>

/* Faults for tests of what comes after them. */

int inject_failure(const char *kind)
{
	static std::map<std::string, long> counts;
	const char *set = getenv("AURELIUS_EMULATOR_FAIL");
	const size_t length = strlen(kind);
	const long now = ++counts[kind];
	return set && strncmp(set, kind, length) == 0 && set[length] == ':' && atol(set + length + 1) == now;
}

int inject_refusal(const char *kind, int algorithm)
{
	const char *set = getenv("AURELIUS_EMULATOR_REFUSE");
	const size_t length = strlen(kind);
	return set && strncmp(set, kind, length) == 0 && set[length] == ':' && (atol(set + length + 1) >> algorithm & 1);
}

int inject_busy(void)
{
	static long queries;
	const char *set = getenv("AURELIUS_EMULATOR_BUSY");
	const long busy = set ? atol(set) : 0;
	return busy > 0 && queries++ % (busy + 1) < busy;
}
