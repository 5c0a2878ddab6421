#include "keys.h"

#include "config/sources.h"
#include "core/suggest.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORD_BYTES = 64, CHOICES = 8, SHOWN_BYTES = 60 };

static void *field_of(const struct aur_key *key, struct aur_config *config)
{
	return (char *)config + key->offset;
}

static const void *const_field_of(const struct aur_key *key, const struct aur_config *config)
{
	return (const char *)config + key->offset;
}

/* Long values are cut in messages: a line is read by people. */
static aur_status refuse(const struct aur_key *key, const char *text, const char *what)
{
	const char *more = strlen(text) > SHOWN_BYTES ? "..." : "";
	return aur_fail(AUR_USAGE, "%s.%s: \"%.*s%s\" is %s", key->section, key->name, SHOWN_BYTES, text, more, what);
}

static aur_status refuse_range(const struct aur_key *key, const char *text)
{
	return aur_fail(
		AUR_USAGE, "%s.%s: %.*s is out of range (%s)", key->section, key->name, SHOWN_BYTES, text, key->values);
}

static int in_range(const struct aur_key *key, double value)
{
	const int low = key->above_low ? value > key->low : value >= key->low;
	const int high = key->below_high ? value < key->high : value <= key->high;
	return low && high;
}

/* Decimal only: strtod would also take hexadecimal, inf and nan. */
static int read_decimal(const char *text, double *value)
{
	char *end = NULL;
	if (!text[0] || text[strspn(text, "0123456789+-.eE")])
		return 0;
	*value = strtod(text, &end);
	return *end == '\0';
}

static int read_integer(const char *text, int64_t *value)
{
	double wide = 0.0;
	char *end = NULL;
	if (!read_decimal(text, &wide))
		return 0;
	errno = 0;
	*value = strtoll(text, &end, 10);
	if (*end == '\0')
		return errno == 0;
	/* 1e5 and 2.5e3 are whole numbers too; up to 2^53 a double says so for certain. */
	if (wide != floor(wide) || fabs(wide) > 0x1p53)
		return 0;
	*value = (int64_t)wide;
	return 1;
}

static aur_status set_integer(const struct aur_key *key, struct aur_config *config, const char *text)
{
	double wide = 0.0;
	int64_t value = 0;
	if (!read_integer(text, &value)) {
		if (read_decimal(text, &wide) && wide == floor(wide))
			return refuse_range(key, text);
		return refuse(key, text, "not an integer");
	}
	if (!in_range(key, (double)value))
		return refuse_range(key, text);
	memcpy(field_of(key, config), &value, sizeof value);
	return AUR_OK;
}

static aur_status set_number(const struct aur_key *key, struct aur_config *config, const char *text)
{
	double value = 0.0;
	if (!read_decimal(text, &value))
		return refuse(key, text, "not a number");
	if (!isfinite(value) || !in_range(key, value))
		return refuse_range(key, text);
	value = value == 0.0 ? 0.0 : value; /* no -0 */
	memcpy(field_of(key, config), &value, sizeof value);
	return AUR_OK;
}

static aur_status set_switch(const struct aur_key *key, struct aur_config *config, const char *text)
{
	const int value = strcmp(text, "true") == 0;
	if (!value && strcmp(text, "false") != 0)
		return refuse(key, text, "neither true nor false");
	memcpy(field_of(key, config), &value, sizeof value);
	return AUR_OK;
}

/* Splits the table's "a, b, c". Returns the number of words. */
static int choices_of(const struct aur_key *key, char words[CHOICES][WORD_BYTES])
{
	int n = 0;
	for (const char *at = key->values; *at && n < CHOICES; n++) {
		const size_t bytes = strcspn(at, ",");
		snprintf(words[n], WORD_BYTES, "%.*s", (int)bytes, at);
		at += bytes;
		at += strspn(at, ", ");
	}
	return n;
}

static aur_status set_choice(const struct aur_key *key, struct aur_config *config, const char *text)
{
	char words[CHOICES][WORD_BYTES];
	const char *candidates[CHOICES];
	const int n = choices_of(key, words);
	for (int i = 0; i < n; i++) {
		candidates[i] = words[i];
		if (strcmp(text, words[i]) == 0) {
			memcpy(field_of(key, config), &i, sizeof i);
			return AUR_OK;
		}
	}
	const char *near = aur_suggest(text, candidates, n);
	(void)refuse(key, text, "not one of its values");
	char problem[4 * WORD_BYTES];
	snprintf(problem, sizeof problem, "%s", aur_error_message());
	return aur_fail(AUR_USAGE, "%s: %s%s%s%s", problem, key->values, near ? "; did you mean " : "", near ? near : "",
		near ? "?" : "");
}

/* The length of the UTF-8 sequence at `text`, 0 where there is none (Unicode 15, table 3-7). */
static size_t sequence_at(const unsigned char *text, size_t left)
{
	const unsigned char first = text[0];
	const size_t bytes = first < 0x80   ? 1
						 : first < 0xC2 ? 0
						 : first < 0xE0 ? 2
						 : first < 0xF0 ? 3
						 : first < 0xF5 ? 4
										: 0;
	if (bytes == 0 || bytes > left)
		return 0;
	for (size_t i = 1; i < bytes; i++)
		if ((text[i] & 0xC0) != 0x80)
			return 0;
	const int overlong = (first == 0xE0 && text[1] < 0xA0) || (first == 0xF0 && text[1] < 0x90);
	const int beyond = (first == 0xED && text[1] > 0x9F) || (first == 0xF4 && text[1] > 0x8F);
	return overlong || beyond ? 0 : bytes;
}

static int is_utf8(const char *text, size_t bytes)
{
	for (size_t at = 0; at < bytes;) {
		const size_t step = sequence_at((const unsigned char *)text + at, bytes - at);
		if (step == 0)
			return 0;
		at += step;
	}
	return 1;
}

/* Lists whose entries are more than names are kept in one form, so that two that say the same are the same. */
static aur_status settle_list(const struct aur_key *key, char text[AUR_TEXT_VALUE])
{
	char name[WORD_BYTES];
	struct aur_sources sources;
	aur_status status = AUR_OK;
	snprintf(name, sizeof name, "%s.%s", key->section, key->name);
	AUR_TRY(aur_sources_parse(name, text, &sources));
	if (sources.weighted && !key->weights)
		status = aur_fail(AUR_USAGE, "%s: weights mean nothing here: every window counts once", name);
	else if (aur_sources_need_list(&sources, text) && !aur_sources_text(&sources, text, AUR_TEXT_VALUE))
		status = aur_fail(AUR_USAGE, "%s: the list is longer than %d bytes", name, AUR_TEXT_VALUE - 1);
	aur_sources_clear(&sources);
	return status;
}

static aur_status set_text(
	const struct aur_key *key, struct aur_config *config, char text[AUR_TEXT_VALUE], size_t bytes)
{
	char *field = field_of(key, config);
	if (!is_utf8(text, bytes))
		return aur_fail(AUR_USAGE, "%s.%s: the text is not UTF-8", key->section, key->name);
	if (key->list)
		AUR_TRY(settle_list(key, text));
	memset(field, 0, AUR_TEXT_VALUE);
	memcpy(field, text, strlen(text));
	return AUR_OK;
}

aur_status aur_key_set(const struct aur_key *key, struct aur_config *config, const char *text, size_t bytes)
{
	char value[AUR_TEXT_VALUE];
	if (bytes >= sizeof value)
		return aur_fail(AUR_USAGE, "%s.%s: the value has %zu bytes, at most %d are taken", key->section, key->name,
			bytes, AUR_TEXT_VALUE - 1);
	if (memchr(text, '\0', bytes))
		return aur_fail(AUR_USAGE, "%s.%s: the value holds a zero byte", key->section, key->name);
	memcpy(value, text, bytes);
	value[bytes] = '\0';
	if (bytes == 0 && key->kind != AUR_KEY_TEXT)
		return aur_fail(AUR_USAGE, "%s.%s: no value given (%s)", key->section, key->name, key->values);
	switch (key->kind) {
	case AUR_KEY_INTEGER:
		return set_integer(key, config, value);
	case AUR_KEY_NUMBER:
		return set_number(key, config, value);
	case AUR_KEY_SWITCH:
		return set_switch(key, config, value);
	case AUR_KEY_CHOICE:
		return set_choice(key, config, value);
	case AUR_KEY_TEXT:
		return set_text(key, config, value, bytes);
	}
	return aur_fail(AUR_INTERNAL, "%s.%s: a key of no known type", key->section, key->name);
}

/* The shortest decimal that reads back to the same bits. */
static void number_text(double value, char text[AUR_TEXT_VALUE])
{
	for (int digits = 1; digits <= 17; digits++) {
		snprintf(text, AUR_TEXT_VALUE, "%.*g", digits, value);
		if (strtod(text, NULL) == value)
			return;
	}
}

static void choice_text(const struct aur_key *key, int value, char text[AUR_TEXT_VALUE])
{
	char words[CHOICES][WORD_BYTES];
	const int n = choices_of(key, words);
	snprintf(text, AUR_TEXT_VALUE, "%s", value >= 0 && value < n ? words[value] : "?");
}

void aur_key_text(const struct aur_key *key, const struct aur_config *config, char text[AUR_TEXT_VALUE])
{
	const void *field = const_field_of(key, config);
	switch (key->kind) {
	case AUR_KEY_INTEGER:
		snprintf(text, AUR_TEXT_VALUE, "%lld", (long long)*(const int64_t *)field);
		break;
	case AUR_KEY_NUMBER:
		number_text(*(const double *)field, text);
		break;
	case AUR_KEY_SWITCH:
		snprintf(text, AUR_TEXT_VALUE, "%s", *(const int *)field ? "true" : "false");
		break;
	case AUR_KEY_CHOICE:
		choice_text(key, *(const int *)field, text);
		break;
	case AUR_KEY_TEXT:
		snprintf(text, AUR_TEXT_VALUE, "%s", (const char *)field);
		break;
	}
}
