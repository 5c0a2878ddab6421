#include "keys.h"

#include "config/sources.h"

#include <yaml.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_BYTES = 1 << 20, NAME_BYTES = 64, MOST_NESTED = 256 };

/* One file being read: what was given so far, to find what is given twice. */
struct reading {
	const char *name;
	yaml_document_t *document;
	struct aur_config *config;
	struct aur_config_grid *grid; /* NULL: checked and not kept */
	unsigned char *visited;       /* [nodes] an alias leads to a node a second time */
	int sections[AUR_KEY_SECTIONS], sweep;
	int *keys; /* [aur_key_count] line on which it was given, 0: not yet */
	int *axes; /* [aur_key_count] the same of the grid */
};

static int line_of(const yaml_node_t *node)
{
	return (int)node->start_mark.line + 1;
}

static aur_status at_line(const struct reading *reading, const yaml_node_t *node, aur_status status)
{
	return status == AUR_OK ? AUR_OK : aur_add_context(status, "%s:%d", reading->name, line_of(node));
}

/* The node of that number. Refused where an anchor or a tag makes it more than what stands there. */
static aur_status node_at(struct reading *reading, int index, const yaml_node_t **node)
{
	static const char *const plain_tags[] = {YAML_STR_TAG, YAML_SEQ_TAG, YAML_MAP_TAG};
	const yaml_node_t *found = yaml_document_get_node(reading->document, index);
	*node = found;
	if (!found)
		return aur_fail(AUR_INTERNAL, "%s: node %d is not there", reading->name, index);
	if (reading->visited[index - 1]++)
		return at_line(reading, found, aur_fail(AUR_USAGE, "an alias (*) stands for this; write the value out"));
	for (size_t i = 0; i < sizeof plain_tags / sizeof plain_tags[0]; i++)
		if (strcmp((const char *)found->tag, plain_tags[i]) == 0)
			return AUR_OK;
	return at_line(
		reading, found, aur_fail(AUR_USAGE, "tags (!...) are not used in a configuration; write the value alone"));
}

/* A name is short, and text: anything else cannot be a section or a key. */
static aur_status name_at(struct reading *reading, int index, char name[NAME_BYTES], const yaml_node_t **node)
{
	AUR_TRY(node_at(reading, index, node));
	const yaml_node_t *found = *node;
	if (found->type != YAML_SCALAR_NODE)
		return at_line(reading, found, aur_fail(AUR_USAGE, "a name is expected here, not a list or a section"));
	const size_t bytes = found->data.scalar.length;
	if (bytes == 0 || bytes >= NAME_BYTES || memchr(found->data.scalar.value, '\0', bytes))
		return at_line(reading, found,
			aur_fail(AUR_USAGE, "unknown key \"%.20s\"; docs/configuration.md lists the keys",
				(const char *)found->data.scalar.value));
	memcpy(name, found->data.scalar.value, bytes + 1);
	return AUR_OK;
}

static int is_plain(const yaml_node_t *node)
{
	return node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

static int is_null(const yaml_node_t *node)
{
	const char *text = (const char *)node->data.scalar.value;
	return is_plain(node) && (strcmp(text, "~") == 0 || strcmp(text, "null") == 0);
}

static aur_status set_scalar(const struct aur_key *key, const yaml_node_t *node, struct aur_config *config)
{
	const char *text = (const char *)node->data.scalar.value;
	if (is_null(node))
		return aur_fail(AUR_USAGE, "%s.%s: no value given; leave the key out for its default", key->section, key->name);
	const int quoted_is_wrong = key->kind != AUR_KEY_TEXT && key->kind != AUR_KEY_CHOICE;
	if (quoted_is_wrong && !is_plain(node))
		return aur_fail(AUR_USAGE, "%s.%s: \"%.60s\" is a text; write it without quotes (%s)", key->section, key->name,
			text, key->values);
	return aur_key_set(key, config, text, node->data.scalar.length);
}

/* A file or glob of a list, taken as it stands: what would mean more within a text gets a backslash. */
static aur_status append_source(
	const struct aur_key *key, const yaml_node_t *path, const char *weight, char joined[AUR_TEXT_VALUE])
{
	const char *text = (const char *)path->data.scalar.value;
	if (path->type != YAML_SCALAR_NODE || path->data.scalar.length == 0 || is_null(path))
		return aur_fail(AUR_USAGE, "%s.%s: an item of the list is not a text", key->section, key->name);
	if (memchr(text, '\0', path->data.scalar.length))
		return aur_fail(AUR_USAGE, "%s.%s: the value holds a zero byte", key->section, key->name);
	if (!aur_sources_append(joined, AUR_TEXT_VALUE, text, weight))
		return aur_fail(AUR_USAGE, "%s.%s: the list is longer than %d bytes; use a glob such as book-*.h5",
			key->section, key->name, AUR_TEXT_VALUE - 1);
	return AUR_OK;
}

/* The scalars of `- path: FILES` and `weight: NUMBER`. */
static aur_status get_weighted(struct reading *reading, const struct aur_key *key, const yaml_node_t *item,
	const yaml_node_t **path, const yaml_node_t **weight)
{
	*path = *weight = NULL;
	const yaml_node_pair_t *pair = item->data.mapping.pairs.start;
	for (; pair < item->data.mapping.pairs.top; pair++) {
		char name[NAME_BYTES];
		const yaml_node_t *name_node = NULL;
		AUR_TRY(name_at(reading, pair->key, name, &name_node));
		const yaml_node_t **value = strcmp(name, "path") == 0 ? path : strcmp(name, "weight") == 0 ? weight : NULL;
		if (!value || *value)
			return at_line(reading, name_node,
				aur_fail(AUR_USAGE, "%s.%s: %s %s in an item, which has a path and a weight", key->section, key->name,
					name, value ? "is given twice" : "is not known"));
		AUR_TRY(node_at(reading, pair->value, value));
	}
	if (*path && *weight)
		return AUR_OK;
	return at_line(reading, item,
		aur_fail(AUR_USAGE, "%s.%s: an item has no %s (- path: a/*.h5, and below it weight: 0.7)", key->section,
			key->name, *path ? "weight" : "path"));
}

static aur_status append_item(
	struct reading *reading, const struct aur_key *key, const yaml_node_t *item, char joined[AUR_TEXT_VALUE])
{
	const yaml_node_t *path, *weight;
	if (item->type != YAML_MAPPING_NODE)
		return at_line(reading, item, append_source(key, item, NULL, joined));
	AUR_TRY(get_weighted(reading, key, item, &path, &weight));
	const char *number = weight->type == YAML_SCALAR_NODE ? (const char *)weight->data.scalar.value : "";
	if (aur_weight_is(number))
		return at_line(reading, path, append_source(key, path, number, joined));
	return at_line(reading, weight,
		aur_fail(AUR_USAGE, "%s.%s: \"%.60s\" is no weight, a number is expected", key->section, key->name, number));
}

static aur_status set_list(struct reading *reading, const struct aur_key *key, const yaml_node_t *node)
{
	char joined[AUR_TEXT_VALUE] = "";
	const yaml_node_item_t *item = node->data.sequence.items.start;
	for (; item < node->data.sequence.items.top; item++) {
		const yaml_node_t *entry = NULL;
		AUR_TRY(node_at(reading, *item, &entry));
		AUR_TRY(append_item(reading, key, entry, joined));
	}
	return at_line(reading, node, aur_key_set(key, reading->config, joined, strlen(joined)));
}

static aur_status set_value(struct reading *reading, const struct aur_key *key, const yaml_node_t *node)
{
	if (node->type == YAML_SCALAR_NODE)
		return at_line(reading, node, set_scalar(key, node, reading->config));
	if (node->type == YAML_SEQUENCE_NODE && key->list)
		return set_list(reading, key, node);
	return at_line(reading, node,
		aur_fail(AUR_USAGE, "%s.%s: one value is expected (%s), not a %s", key->section, key->name, key->values,
			node->type == YAML_SEQUENCE_NODE ? "list" : "section"));
}

static aur_status read_key(struct reading *reading, const char *section, const yaml_node_pair_t *pair)
{
	char name[NAME_BYTES];
	const yaml_node_t *name_node = NULL, *value = NULL;
	AUR_TRY(name_at(reading, pair->key, name, &name_node));
	const struct aur_key *key = aur_key_find(section, name);
	if (!key)
		return at_line(reading, name_node, aur_key_unknown(section, name));
	int *line = &reading->keys[key - aur_key_table];
	if (*line)
		return at_line(
			reading, name_node, aur_fail(AUR_USAGE, "%s.%s is given twice, first on line %d", section, name, *line));
	*line = line_of(name_node);
	AUR_TRY(node_at(reading, pair->value, &value));
	return set_value(reading, key, value);
}

/* ---- the grid of a sweep ---- */

/* Takes over the override, which is freed where there is no room for it. */
static aur_status keep_override(struct reading *reading, char *override)
{
	struct aur_config_grid *grid = reading->grid;
	char **longer = realloc(grid->overrides, (size_t)(grid->n + 1) * sizeof *longer);
	if (!longer) {
		free(override);
		return aur_fail(AUR_MEMORY, "%s: out of memory", reading->name);
	}
	grid->overrides = longer;
	grid->overrides[grid->n++] = override;
	return AUR_OK;
}

/* Each value is one that the key may have; so none holds a comma. */
static aur_status write_values(
	struct reading *reading, const struct aur_key *key, const yaml_node_t *list, FILE *override)
{
	struct aur_config scratch = *reading->config;
	const yaml_node_item_t *item = list->data.sequence.items.start;
	for (; item < list->data.sequence.items.top; item++) {
		const yaml_node_t *value = NULL;
		AUR_TRY(node_at(reading, *item, &value));
		if (value->type != YAML_SCALAR_NODE)
			return at_line(reading, value,
				aur_fail(AUR_USAGE, "sweep: %s.%s: an item of the list is not one value", key->section, key->name));
		const aur_status status = set_scalar(key, value, &scratch);
		if (status != AUR_OK)
			return at_line(reading, value, aur_add_context(status, "sweep"));
		fprintf(override, "%s%s", item == list->data.sequence.items.start ? "" : ",",
			(const char *)value->data.scalar.value);
	}
	return AUR_OK;
}

static aur_status add_axis(struct reading *reading, const struct aur_key *key, const yaml_node_t *list)
{
	char *override = NULL;
	size_t bytes = 0;
	FILE *stream = open_memstream(&override, &bytes);
	if (!stream)
		return aur_fail(AUR_MEMORY, "%s: out of memory", reading->name);
	fprintf(stream, "%s.%s=", key->section, key->name);
	aur_status status = write_values(reading, key, list, stream);
	const int failed = ferror(stream);
	if ((fclose(stream) != 0 || failed) && status == AUR_OK)
		status = aur_fail(AUR_MEMORY, "%s: out of memory", reading->name);
	if (status == AUR_OK && reading->grid)
		return keep_override(reading, override);
	free(override);
	return status;
}

/* `model.block_size: [4, 8]`. */
static aur_status read_axis(struct reading *reading, const yaml_node_pair_t *pair)
{
	char name[NAME_BYTES];
	const yaml_node_t *name_node = NULL, *list = NULL;
	AUR_TRY(name_at(reading, pair->key, name, &name_node));
	char *dot = strchr(name, '.');
	if (!dot)
		return at_line(reading, name_node,
			aur_fail(AUR_USAGE, "sweep: %s: a key stands here with its section, as in train.learning_rate", name));
	*dot = '\0';
	const struct aur_key *key = aur_key_find(name, dot + 1);
	if (!key)
		return at_line(reading, name_node, aur_key_unknown(name, dot + 1));
	int *line = &reading->axes[key - aur_key_table];
	if (*line)
		return at_line(reading, name_node,
			aur_fail(AUR_USAGE, "sweep: %s.%s is given twice, first on line %d", key->section, key->name, *line));
	*line = line_of(name_node);
	AUR_TRY(node_at(reading, pair->value, &list));
	if (key->kind == AUR_KEY_TEXT)
		return at_line(reading, name_node,
			aur_fail(AUR_USAGE, "sweep: %s.%s is a text, which a sweep does not vary", key->section, key->name));
	if (list->type != YAML_SEQUENCE_NODE || list->data.sequence.items.start == list->data.sequence.items.top)
		return at_line(reading, name_node,
			aur_fail(AUR_USAGE, "sweep: %s.%s: a list of values is expected, as in [1, 2]", key->section, key->name));
	return add_axis(reading, key, list);
}

static int section_index(const char *name)
{
	for (int i = 0; i < AUR_KEY_SECTIONS; i++)
		if (strcmp(aur_key_sections[i], name) == 0)
			return i;
	return -1;
}

static aur_status read_section(struct reading *reading, const yaml_node_pair_t *pair)
{
	char name[NAME_BYTES];
	const yaml_node_t *name_node = NULL, *body = NULL;
	AUR_TRY(name_at(reading, pair->key, name, &name_node));
	const int is_sweep = strcmp(name, "sweep") == 0, index = section_index(name);
	if (index < 0 && !is_sweep)
		return at_line(reading, name_node, aur_key_unknown_section(name));
	int *line = is_sweep ? &reading->sweep : &reading->sections[index];
	if (*line)
		return at_line(
			reading, name_node, aur_fail(AUR_USAGE, "section %s is given twice, first on line %d", name, *line));
	*line = line_of(name_node);
	AUR_TRY(node_at(reading, pair->value, &body));
	/* A section whose keys are all commented out. */
	if (body->type == YAML_SCALAR_NODE && is_plain(body) && body->data.scalar.length == 0)
		return AUR_OK;
	if (body->type != YAML_MAPPING_NODE)
		return at_line(reading, name_node,
			aur_fail(AUR_USAGE, "%s is a section: its keys follow on lines of their own, indented", name));
	const yaml_node_pair_t *key = body->data.mapping.pairs.start;
	for (; key < body->data.mapping.pairs.top; key++)
		AUR_TRY(is_sweep ? read_axis(reading, key) : read_key(reading, name, key));
	return AUR_OK;
}

static aur_status read_sections(struct reading *reading)
{
	const yaml_node_t *root = NULL;
	if (!yaml_document_get_root_node(reading->document))
		return aur_fail(
			AUR_USAGE, "%s: there is nothing in it; sections model, data, train, system are expected", reading->name);
	AUR_TRY(node_at(reading, 1, &root));
	if (root->type != YAML_MAPPING_NODE)
		return at_line(reading, root, aur_fail(AUR_USAGE, "sections are expected (model:, data:, train:, system:)"));
	const yaml_node_pair_t *section = root->data.mapping.pairs.start;
	for (; section < root->data.mapping.pairs.top; section++)
		AUR_TRY(read_section(reading, section));
	return AUR_OK;
}

static aur_status read_document(
	const char *name, yaml_document_t *document, struct aur_config *config, struct aur_config_grid *grid)
{
	aur_status status = AUR_OK;
	const size_t nodes = (size_t)(document->nodes.top - document->nodes.start);
	struct reading reading = {.name = name, .document = document, .config = config, .grid = grid};
	reading.visited = calloc(nodes + 1, sizeof *reading.visited);
	reading.keys = calloc((size_t)aur_key_count, sizeof *reading.keys);
	reading.axes = calloc((size_t)aur_key_count, sizeof *reading.axes);
	if (!reading.visited || !reading.keys || !reading.axes)
		status = aur_fail(AUR_MEMORY, "%s: out of memory", name);
	if (status == AUR_OK)
		status = read_sections(&reading);
	free(reading.visited);
	free(reading.keys);
	free(reading.axes);
	return status;
}

static size_t line_of_offset(const char *yaml, size_t bytes, size_t offset)
{
	size_t line = 1;
	for (size_t i = 0; i < offset && i < bytes; i++)
		line += yaml[i] == '\n';
	return line;
}

static aur_status refuse_syntax(const char *name, const char *yaml, size_t bytes, const yaml_parser_t *parser)
{
	const char *problem = parser->problem ? parser->problem : "it cannot be read";
	if (parser->error == YAML_MEMORY_ERROR)
		return aur_fail(AUR_MEMORY, "%s: out of memory", name);
	if (parser->error == YAML_READER_ERROR)
		return aur_fail(AUR_USAGE, "%s:%zu: not a YAML text: %s", name,
			line_of_offset(yaml, bytes, parser->problem_offset), problem);
	const size_t index = parser->problem_mark.index;
	const char *hint = index < bytes && yaml[index] == '\t' ? " (indent with spaces, not tabs)" : "";
	return aur_fail(AUR_USAGE, "%s:%zu: not YAML: %s%s", name, parser->problem_mark.line + 1, problem, hint);
}

/* A second document after `---` would be passed over in silence. */
static aur_status check_nothing_follows(const char *name, const char *yaml, size_t bytes, yaml_parser_t *parser)
{
	yaml_document_t next;
	if (!yaml_parser_load(parser, &next))
		return refuse_syntax(name, yaml, bytes, parser);
	const int more = yaml_document_get_root_node(&next) != NULL;
	const size_t line = next.start_mark.line + 1;
	yaml_document_delete(&next);
	return more ? aur_fail(AUR_USAGE, "%s:%zu: a second document (---); one file is one configuration", name, line)
				: AUR_OK;
}

/* libyaml's time grows with the square of the nesting: a megabyte of brackets, or of "- - -", would keep it busy for an
 * hour. A configuration nests three deep and has a handful of either. */
static aur_status check_nesting(const char *name, const char *yaml, size_t bytes)
{
	int opened = 0, on_line = 0;
	for (size_t i = 0; i < bytes; i++) {
		on_line = yaml[i] == '\n' || yaml[i] == '\r' ? 0 : on_line;
		opened += yaml[i] == '[' || yaml[i] == '{';
		on_line +=
			(yaml[i] == '-' || yaml[i] == '?' || yaml[i] == ':') && i + 1 < bytes && strchr(" \t\r\n", yaml[i + 1]);
		if (opened > MOST_NESTED || on_line > MOST_NESTED)
			return aur_fail(
				AUR_USAGE, "%s:%zu: nested too deep for a configuration", name, line_of_offset(yaml, bytes, i));
	}
	return AUR_OK;
}

static aur_status parse(
	const char *name, const char *yaml, size_t bytes, struct aur_config *config, struct aur_config_grid *grid)
{
	yaml_parser_t parser;
	yaml_document_t document;
	if (bytes > FILE_BYTES)
		return aur_fail(AUR_USAGE, "%s: more than 1 MiB, which is no configuration", name);
	AUR_TRY(check_nesting(name, yaml, bytes));
	if (!yaml_parser_initialize(&parser))
		return aur_fail(AUR_MEMORY, "%s: out of memory", name);
	yaml_parser_set_input_string(&parser, (const unsigned char *)yaml, bytes);
	aur_status status = AUR_OK;
	if (!yaml_parser_load(&parser, &document)) {
		status = refuse_syntax(name, yaml, bytes, &parser);
	} else {
		struct aur_config read = *config; /* a file that fails changes nothing */
		status = read_document(name, &document, &read, grid);
		const int has_content = yaml_document_get_root_node(&document) != NULL;
		if (status == AUR_OK && has_content)
			status = check_nothing_follows(name, yaml, bytes, &parser);
		if (status == AUR_OK)
			*config = read;
		yaml_document_delete(&document);
	}
	yaml_parser_delete(&parser);
	return status;
}

aur_status aur_config_parse(const char *name, const char *yaml, size_t bytes, struct aur_config *config)
{
	return parse(name, yaml, bytes, config, NULL);
}

aur_status aur_config_parse_grid(const char *name, const char *yaml, size_t bytes, struct aur_config_grid *grid)
{
	struct aur_config config;
	*grid = (struct aur_config_grid){0};
	aur_config_defaults(&config);
	return parse(name, yaml, bytes, &config, grid);
}

void aur_config_grid_clear(struct aur_config_grid *grid)
{
	for (int i = 0; i < grid->n; i++)
		free(grid->overrides[i]);
	free(grid->overrides);
	*grid = (struct aur_config_grid){0};
}

/* Opened without blocking: a FIFO must be refused, not waited for. */
static aur_status open_file(const char *path, int *file)
{
	struct stat info;
	*file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (*file < 0)
		return aur_fail(AUR_USAGE, "%s: cannot read the configuration: %s", path, strerror(errno));
	if (fstat(*file, &info) == 0 && S_ISREG(info.st_mode))
		return AUR_OK;
	close(*file);
	*file = -1;
	return aur_fail(AUR_USAGE, "%s: not a regular file; a configuration is a YAML file", path);
}

/* Reads one byte more than is allowed, so that a longer file shows. */
static aur_status read_bytes(const char *path, int file, char *bytes, size_t *count)
{
	*count = 0;
	while (*count < FILE_BYTES + 1) {
		const ssize_t got = read(file, bytes + *count, FILE_BYTES + 1 - *count);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return aur_fail(AUR_USAGE, "%s: cannot read the configuration: %s", path, strerror(errno));
		if (got == 0)
			break;
		*count += (size_t)got;
	}
	return AUR_OK;
}

static aur_status parse_file(const char *path, struct aur_config *config, struct aur_config_grid *grid)
{
	int file = -1;
	size_t count = 0;
	AUR_TRY(open_file(path, &file));
	char *bytes = malloc(FILE_BYTES + 1);
	aur_status status = bytes ? read_bytes(path, file, bytes, &count) : aur_fail(AUR_MEMORY, "%s: out of memory", path);
	close(file);
	if (status == AUR_OK)
		status = parse(path, bytes, count, config, grid);
	free(bytes);
	return status;
}

aur_status aur_config_read(const char *path, struct aur_config *config)
{
	return parse_file(path, config, NULL);
}

aur_status aur_config_read_grid(const char *path, struct aur_config_grid *grid)
{
	struct aur_config config;
	*grid = (struct aur_config_grid){0};
	aur_config_defaults(&config);
	return parse_file(path, &config, grid);
}
