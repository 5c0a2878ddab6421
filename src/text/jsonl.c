#include "text/jsonl.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

static aur_status refuse(json_t *root, char why[128], const char *what, const char *field)
{
	json_decref(root);
	snprintf(why, 128, what, field);
	return AUR_INPUT;
}

/* jansson's text quotes the line behind " near ": that part may be long, and is left out. */
static aur_status not_json(struct aur_text line, const json_error_t *error, char why[128])
{
	const char *near = strstr(error->text, " near ");
	if (json_error_code(error) == json_error_out_of_memory)
		return aur_fail(AUR_MEMORY, "no memory for a document of %zu bytes", line.size);
	if (aur_utf8_check(line.bytes, line.size) >= 0)
		snprintf(why, 128, "not UTF-8");
	else
		snprintf(why, 128, "not JSON: %.*s", near ? (int)(near - error->text) : (int)strcspn(error->text, "\n"),
			error->text);
	return AUR_INPUT;
}

/* Numbers are not looked at: as reals, whole ones of any size are taken, which JSON allows. */
aur_status aur_jsonl_text(
	struct aur_text line, const char *field, void **document, struct aur_text *text, char why[128])
{
	json_error_t error;
	json_t *root = json_loadb(line.bytes, line.size, JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, &error);
	*document = NULL;
	if (!root)
		return not_json(line, &error, why);
	if (!json_is_object(root))
		return refuse(root, why, "not a JSON object%s", "");
	const json_t *value = json_object_get(root, field);
	if (!value)
		return refuse(root, why, "no field \"%.80s\"", field);
	if (!json_is_string(value))
		return refuse(root, why, "its field \"%.80s\" is no string", field);
	*text = (struct aur_text){json_string_value(value), json_string_length(value)};
	*document = root;
	return AUR_OK;
}

void aur_jsonl_release(void *document)
{
	json_decref(document);
}

int aur_jsonl_blank(struct aur_text line)
{
	for (size_t i = 0; i < line.size; i++)
		if (line.bytes[i] != ' ' && line.bytes[i] != '\t' && line.bytes[i] != '\r' && line.bytes[i] != '\n')
			return 0;
	return 1;
}
