#include "describe.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

void aur_describe_text(json_t *object, const char *key, const char *text)
{
	json_t *value = json_string(text);
	json_object_set_new(object, key, value ? value : json_null());
}

void aur_describe_integer(json_t *object, const char *key, int64_t value)
{
	json_object_set_new(object, key, json_integer(value));
}

void aur_describe_number(json_t *object, const char *key, double value)
{
	json_object_set_new(object, key, isfinite(value) ? json_real(value) : json_null());
}

void aur_describe_vocab(json_t *object, const struct aur_vocab *vocab)
{
	char hash[32];
	snprintf(hash, sizeof hash, "%016" PRIx64, aur_vocab_hash(vocab));
	aur_describe_text(object, "tokenizer", vocab->kind);
	aur_describe_integer(object, "vocab_size", vocab->size);
	aur_describe_text(object, "clean", vocab->clean);
	json_object_set_new(object, "lowercase", json_boolean(vocab->lowercase));
	json_object_set_new(object, "unknown_token", vocab->unknown < 0 ? json_null() : json_integer(vocab->unknown));
	if (vocab->n_merges > 0)
		aur_describe_integer(object, "merges", vocab->n_merges);
	aur_describe_text(object, "vocab_hash", hash);
}

/* ---- a configuration ---- */

/* A plain scalar by what it looks like; a quoted one is text. */
static json_t *scalar_value(const yaml_node_t *node)
{
	const char *text = (const char *)node->data.scalar.value;
	char *end;
	if (node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
		return json_string(text);
	if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)
		return json_boolean(text[0] == 't');
	const long long integer = strtoll(text, &end, 10);
	if (end != text && *end == '\0')
		return json_integer(integer);
	const double real = strtod(text, &end);
	return end != text && *end == '\0' && isfinite(real) ? json_real(real) : json_string(text);
}

static json_t *node_value(yaml_document_t *document, const yaml_node_t *node, int depth);

static json_t *list_value(yaml_document_t *document, const yaml_node_t *node, int depth)
{
	json_t *list = json_array();
	for (yaml_node_item_t *item = node->data.sequence.items.start; item < node->data.sequence.items.top; item++)
		json_array_append_new(list, node_value(document, yaml_document_get_node(document, *item), depth + 1));
	return list;
}

/* Sections, their keys, and below a key at most a list of files with weights. */
static json_t *node_value(yaml_document_t *document, const yaml_node_t *node, int depth)
{
	if (!node || node->type == YAML_SCALAR_NODE)
		return node ? scalar_value(node) : NULL;
	if (node->type == YAML_SEQUENCE_NODE && depth == 2)
		return list_value(document, node, depth);
	if (node->type != YAML_MAPPING_NODE || depth > 3)
		return json_null();
	json_t *object = json_object();
	for (yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top; pair++) {
		const yaml_node_t *key = yaml_document_get_node(document, pair->key);
		const yaml_node_t *value = yaml_document_get_node(document, pair->value);
		if (key && key->type == YAML_SCALAR_NODE)
			json_object_set_new(object, (const char *)key->data.scalar.value, node_value(document, value, depth + 1));
	}
	return object;
}

aur_status aur_describe_config(const char *name, const char *yaml, json_t **object)
{
	yaml_parser_t parser;
	yaml_document_t document;
	*object = NULL;
	if (!yaml_parser_initialize(&parser))
		return aur_fail(AUR_MEMORY, "%s: no memory to read its configuration", name);
	yaml_parser_set_input_string(&parser, (const unsigned char *)yaml, strlen(yaml));
	if (yaml_parser_load(&parser, &document)) {
		*object = node_value(&document, yaml_document_get_root_node(&document), 0);
		yaml_document_delete(&document);
	}
	yaml_parser_delete(&parser);
	return *object ? AUR_OK : aur_fail(AUR_INPUT, "%s: its stored configuration is not YAML", name);
}
