#include "regex.h"

#include <ctype.h>
#include <string.h>

static aur_status refuse(const char *regex, const char *at, int length)
{
	return aur_fail(AUR_INPUT,
		"the regular expression %s: '%.*s' is not read the same by every engine and is not supported", regex, length,
		at);
}

static int is_escape(char letter)
{
	return letter != '\0' && (ispunct((unsigned char)letter) || strchr("sSdDpPrntx", letter) != NULL);
}

/* Behind a {m,n} that begins at `at`; `at` itself where none does. */
static const char *pass_count(const char *at)
{
	const char *next = at + 1;
	if (*at != '{' || !isdigit((unsigned char)*next))
		return at;
	next += strspn(next, "0123456789,");
	return *next == '}' ? next + 1 : at;
}

aur_status aur_regex_check(const char *regex)
{
	int within = 0; /* in a class of characters */
	for (const char *at = regex; *at; at++) {
		if (*at == '\\') {
			if (!is_escape(at[1]))
				return refuse(regex, at, 2);
			at++;
		} else if (within) {
			if (*at == '[' || (*at == '&' && at[1] == '&'))
				return refuse(regex, at, 2);
			within = *at != ']';
		} else if (*at == '[') {
			within = 1;
			at += at[1] == '^';
		} else if (*at == '^' || *at == '$') {
			return refuse(regex, at, 1);
		} else if (pass_count(at) > at && *pass_count(at) == '+') {
			return refuse(regex, at, (int)(pass_count(at) - at) + 1);
		}
	}
	return AUR_OK;
}
