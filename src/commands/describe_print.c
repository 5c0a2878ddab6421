#include "describe.h"
#include "print.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { VALUE_BYTES = 4096 };

/* 1234567 as "1,234,567". */
static void group_digits(int64_t value, char *text, size_t bytes)
{
	char plain[32];
	const int digits = snprintf(plain, sizeof plain, "%" PRId64, value);
	size_t used = 0;
	for (int i = 0; i < digits && used + 2 < bytes; i++) {
		text[used++] = plain[i];
		if (plain[i] != '-' && i + 1 < digits && (digits - 1 - i) % 3 == 0)
			text[used++] = ',';
	}
	text[used] = '\0';
}

/* Texts, or the files of a mixture with their weights as they are typed. */
static void join(const json_t *list, char *text, size_t bytes)
{
	size_t used = 0;
	text[0] = '\0';
	for (size_t i = 0; i < json_array_size(list) && used + 1 < bytes; i++) {
		const json_t *item = json_array_get(list, i), *path = json_object_get(item, "path");
		const char *name = json_string_value(path ? path : item);
		int length = snprintf(text + used, bytes - used, "%s%s", i ? ", " : "", name ? name : "?");
		if (path && length > 0 && used + (size_t)length < bytes)
			length += snprintf(text + used + length, bytes - used - (size_t)length, "@%g",
				json_number_value(json_object_get(item, "weight")));
		used += length > 0 ? (size_t)length : 0;
	}
}

static void value_text(const char *key, const json_t *value, char *text, size_t bytes)
{
	if (json_is_string(value))
		snprintf(text, bytes, "%s", json_string_value(value));
	else if (json_is_boolean(value))
		snprintf(text, bytes, "%s", json_is_true(value) ? "yes" : "no");
	else if (json_is_integer(value) && (strcmp(key, "seed") == 0 || strcmp(key, "version") == 0))
		snprintf(text, bytes, "%" PRId64, (int64_t)json_integer_value(value));
	else if (json_is_integer(value))
		group_digits(json_integer_value(value), text, bytes);
	else if (json_is_real(value))
		snprintf(text, bytes, "%.6g", json_real_value(value));
	else if (json_is_array(value))
		join(value, text, bytes);
	else
		snprintf(text, bytes, "none");
}

/* "train_tokens" as "train tokens" with a space for `joint`. */
static void label_text(const char *key, char *label, size_t bytes, char joint)
{
	snprintf(label, bytes, "%s", key);
	for (; *label; label++)
		if (*label == '_')
			*label = joint;
}

/* A checkpoint of a run on one line: where, which step, how good. */
static void checkpoint_text(const json_t *summary, char *text, size_t bytes)
{
	const char *path = json_string_value(json_object_get(summary, "path"));
	const json_t *loss = json_object_get(summary, "val_loss");
	const int used = snprintf(text, bytes, "%s, step %" PRId64, path ? path : "?",
		(int64_t)json_integer_value(json_object_get(summary, "step")));
	if (json_is_real(loss) && used > 0 && (size_t)used < bytes)
		snprintf(text + used, bytes - (size_t)used, ", val loss %.4f", json_real_value(loss));
}

/* `keys` prints the names of a configuration as they are typed. */
static void print_members(const json_t *object, int indent, int width, int keys)
{
	const char *key;
	json_t *value;
	/* jansson walks an object as it was filled; the macro wants one that is not const and changes nothing. */
	json_object_foreach((json_t *)(uintptr_t)object, key, value)
	{
		char label[64], text[VALUE_BYTES];
		if (strcmp(key, "tensors") == 0 || strcmp(key, "config") == 0)
			continue;
		label_text(key, label, sizeof label, keys ? '_' : ' ');
		if (json_is_object(value))
			checkpoint_text(value, text, sizeof text);
		else
			value_text(key, value, text, sizeof text);
		aur_print("%*s%-*s  %s\n", indent, "", width, label, text);
	}
}

static int widest_key(const json_t *object)
{
	const char *key;
	json_t *value;
	int width = 0;
	json_object_foreach((json_t *)(uintptr_t)object, key, value) width =
		(int)strlen(key) > width ? (int)strlen(key) : width;
	return width;
}

static void print_tensors(const json_t *tensors)
{
	int width = 0;
	for (size_t i = 0; i < json_array_size(tensors); i++) {
		const int length = (int)json_string_length(json_object_get(json_array_get(tensors, i), "name"));
		width = length > width ? length : width;
	}
	aur_print("\ntensors\n");
	for (size_t i = 0; i < json_array_size(tensors); i++) {
		const json_t *tensor = json_array_get(tensors, i);
		const json_t *shape = json_object_get(tensor, "shape");
		aur_print("  %-*s  ", width, json_string_value(json_object_get(tensor, "name")));
		for (size_t d = 0; d < json_array_size(shape); d++)
			aur_print("%s%" JSON_INTEGER_FORMAT, d ? " x " : "", json_integer_value(json_array_get(shape, d)));
		aur_print("\n");
	}
}

static void print_config(const json_t *config)
{
	const char *section;
	json_t *keys;
	aur_print("\nconfiguration\n");
	json_object_foreach((json_t *)(uintptr_t)config, section, keys)
	{
		aur_print("  %s\n", section);
		print_members(keys, 4, widest_key(keys), 1);
	}
}

void aur_describe_print(const json_t *object)
{
	const json_t *tensors = json_object_get(object, "tensors"), *config = json_object_get(object, "config");
	print_members(object, 0, widest_key(object), 0);
	if (tensors)
		print_tensors(tensors);
	if (config)
		print_config(config);
}
