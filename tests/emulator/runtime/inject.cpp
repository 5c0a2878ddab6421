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

/* "clip:5,6" asks for the fifth and the sixth; a name in parentheses is the same name. */
int inject_spoilt(const char *name)
{
	static std::map<std::string, long> counts;
	const char *set = getenv("AURELIUS_EMULATOR_SPOIL");
	if (!set)
		return 0;
	name += *name == '(';
	const size_t length = strcspn(set, ":");
	if (strncmp(set, name, length) != 0 || (name[length] != ')' && name[length] != '\0'))
		return 0;
	const long now = ++counts[set];
	for (const char *at = set + length; *at != '\0'; at += 1 + strcspn(at + 1, ","))
		if (atol(at + 1) == now)
			return 1;
	return 0;
}
