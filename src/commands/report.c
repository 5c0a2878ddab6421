#include "report.h"

#include "print.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

json_t *aur_report_section(json_t *object, const char *name)
{
	json_t *section = json_object();
	json_object_set_new(object, name, section);
	return json_object_get(object, name);
}

void aur_report_rounded(json_t *object, const char *key, double value, int digits)
{
	char text[64];
	if (!isfinite(value)) {
		json_object_set_new(object, key, json_null());
		return;
	}
	snprintf(text, sizeof text, "%.*g", digits, value);
	json_object_set_new(object, key, json_real(strtod(text, NULL)));
}

void aur_report_add_line(json_t *object, const char *key, const char *format, ...)
{
	char text[512];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	if (!json_object_get(object, key))
		json_object_set_new(object, key, json_array());
	json_array_append_new(json_object_get(object, key), json_string(text));
}

/* "write_mb_per_s" as "write MB/s": names of members carry their units. */
static void label_text(const char *key, char *label, size_t bytes)
{
	static const struct {
		const char *ending, *text;
	} units[] = {{"_mb_per_s", " MB/s"}, {"_gb_per_s", " GB/s"}, {"_gflops", " GFLOP/s"}, {"_gflop", " GFLOP"},
		{"_mb", " MB"}, {"_gb", " GB"}, {"_ms", " ms"}};
	const size_t length = strlen(key);
	snprintf(label, bytes, "%s", key);
	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		const size_t ending = strlen(units[i].ending);
		if (length > ending && strcmp(key + length - ending, units[i].ending) == 0) {
			snprintf(label + length - ending, bytes - (length - ending), "%s", units[i].text);
			break;
		}
	}
	for (; *label; label++)
		if (*label == '_')
			*label = ' ';
}

static void print_value(const json_t *value)
{
	if (json_is_string(value))
		aur_print("%s\n", json_string_value(value));
	else if (json_is_boolean(value))
		aur_print("%s\n", json_is_true(value) ? "yes" : "no");
	else if (json_is_integer(value))
		aur_print("%" JSON_INTEGER_FORMAT "\n", json_integer_value(value));
	else if (json_is_real(value))
		aur_print("%.6g\n", json_real_value(value));
	else
		aur_print("none\n");
}

static void print_list(const json_t *list, int indent)
{
	for (size_t i = 0; i < json_array_size(list); i++)
		aur_print("%*s%s\n", indent, "", json_string_value(json_array_get(list, i)));
}

static void print_members(const json_t *section)
{
	const char *key;
	json_t *value;
	char label[64];
	json_object_foreach((json_t *)(uintptr_t)section, key, value)
	{
		label_text(key, label, sizeof label);
		if (json_is_array(value)) {
			aur_print("  %s\n", label);
			print_list(value, 4);
			continue;
		}
		aur_print("  %-33s  ", label);
		print_value(value);
	}
}

static void print_sections(const json_t *object)
{
	const char *key;
	json_t *value;
	int n = 0;
	json_object_foreach((json_t *)(uintptr_t)object, key, value)
	{
		char label[64];
		label_text(key, label, sizeof label);
		aur_print("%s%s\n", n++ ? "\n" : "", label);
		if (json_is_array(value))
			print_list(value, 2);
		else
			print_members(value);
	}
}

aur_status aur_report_print(const json_t *object, int json)
{
	if (!json) {
		print_sections(object);
		return aur_print_end();
	}
	char *text = json_dumps(object, JSON_INDENT(2) | JSON_REAL_PRECISION(12));
	if (!text)
		return aur_fail(AUR_MEMORY, "no memory for the JSON of a report");
	aur_print("%s\n", text);
	free(text);
	return aur_print_end();
}
