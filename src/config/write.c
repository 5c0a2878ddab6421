#include "keys.h"

#include "config/sources.h"

#include <yaml.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Text that grows: what the emitter writes into. */
struct growing {
	char *bytes;
	size_t used, size;
};

static int append(void *context, unsigned char *bytes, size_t count)
{
	struct growing *text = context;
	if (text->used + count + 1 > text->size) {
		const size_t size = 2 * (text->used + count + 1);
		char *larger = realloc(text->bytes, size);
		if (!larger)
			return 0;
		text->bytes = larger;
		text->size = size;
	}
	memcpy(text->bytes + text->used, bytes, count);
	text->used += count;
	text->bytes[text->used] = '\0';
	return 1;
}

static int emit_scalar(yaml_emitter_t *emitter, const char *text, int quoted)
{
	yaml_event_t event;
	const yaml_scalar_style_t style = quoted ? YAML_DOUBLE_QUOTED_SCALAR_STYLE : YAML_PLAIN_SCALAR_STYLE;
	/* The emitter copies the value before emit returns. */
	return yaml_scalar_event_initialize(
			   &event, NULL, NULL, (const yaml_char_t *)text, (int)strlen(text), 1, 1, style) &&
		   yaml_emitter_emit(emitter, &event);
}

static int emit_mapping_start(yaml_emitter_t *emitter)
{
	yaml_event_t event;
	return yaml_mapping_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE) &&
		   yaml_emitter_emit(emitter, &event);
}

static int emit_mapping_end(yaml_emitter_t *emitter)
{
	yaml_event_t event;
	return yaml_mapping_end_event_initialize(&event) && yaml_emitter_emit(emitter, &event);
}

static int emit_start(yaml_emitter_t *emitter)
{
	yaml_event_t stream, document;
	return yaml_stream_start_event_initialize(&stream, YAML_UTF8_ENCODING) && yaml_emitter_emit(emitter, &stream) &&
		   yaml_document_start_event_initialize(&document, NULL, NULL, NULL, 1) &&
		   yaml_emitter_emit(emitter, &document);
}

static int emit_end(yaml_emitter_t *emitter)
{
	yaml_event_t document, stream;
	return yaml_document_end_event_initialize(&document, 1) && yaml_emitter_emit(emitter, &document) &&
		   yaml_stream_end_event_initialize(&stream) && yaml_emitter_emit(emitter, &stream);
}

static int emit_list_start(yaml_emitter_t *emitter)
{
	yaml_event_t event;
	return yaml_sequence_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_SEQUENCE_STYLE) &&
		   yaml_emitter_emit(emitter, &event);
}

static int emit_list_end(yaml_emitter_t *emitter)
{
	yaml_event_t event;
	return yaml_sequence_end_event_initialize(&event) && yaml_emitter_emit(emitter, &event);
}

static int emit_source(yaml_emitter_t *emitter, const struct aur_source *source)
{
	char weight[32];
	if (source->weight == 0)
		return emit_scalar(emitter, source->path, 1);
	aur_weight_text(source->weight, weight, sizeof weight);
	return emit_mapping_start(emitter) && emit_scalar(emitter, "path", 0) && emit_scalar(emitter, source->path, 1) &&
		   emit_scalar(emitter, "weight", 0) && emit_scalar(emitter, weight, 0) && emit_mapping_end(emitter);
}

static int emit_files(yaml_emitter_t *emitter, const char *text)
{
	struct aur_sources sources;
	if (aur_sources_parse("data", text, &sources) != AUR_OK)
		return 0;
	int good = 1;
	if (aur_sources_need_list(&sources, text)) {
		good = emit_list_start(emitter);
		for (int64_t i = 0; good && i < sources.count; i++)
			good = emit_source(emitter, &sources.items[i]);
		good = good && emit_list_end(emitter);
	} else
		good = emit_scalar(emitter, text, 1);
	aur_sources_clear(&sources);
	return good;
}

static int emit_section(yaml_emitter_t *emitter, const char *section, const struct aur_config *config)
{
	char value[AUR_TEXT_VALUE];
	int good = emit_scalar(emitter, section, 0) && emit_mapping_start(emitter);
	for (int64_t i = 0; good && i < aur_key_count; i++) {
		const struct aur_key *key = &aur_key_table[i];
		if (strcmp(key->section, section) != 0)
			continue;
		aur_key_text(key, config, value);
		good = emit_scalar(emitter, key->name, 0) &&
			   (key->list ? emit_files(emitter, value) : emit_scalar(emitter, value, key->kind == AUR_KEY_TEXT));
	}
	return good && emit_mapping_end(emitter);
}

static int emit_config(yaml_emitter_t *emitter, const struct aur_config *config)
{
	int good = emit_start(emitter) && emit_mapping_start(emitter);
	for (int i = 0; good && i < AUR_KEY_SECTIONS; i++)
		good = emit_section(emitter, aur_key_sections[i], config);
	return good && emit_mapping_end(emitter) && emit_end(emitter);
}

aur_status aur_config_write(const struct aur_config *config, char **yaml)
{
	yaml_emitter_t emitter;
	struct growing text = {0};
	*yaml = NULL;
	if (!yaml_emitter_initialize(&emitter))
		return aur_fail(AUR_MEMORY, "writing the configuration: out of memory");
	yaml_emitter_set_output(&emitter, append, &text);
	yaml_emitter_set_unicode(&emitter, 1);
	yaml_emitter_set_width(&emitter, -1);
	const int good = emit_config(&emitter, config);
	yaml_emitter_delete(&emitter);
	if (!good) {
		free(text.bytes);
		return aur_fail(AUR_MEMORY, "writing the configuration: out of memory");
	}
	*yaml = text.bytes;
	return AUR_OK;
}

void aur_config_compare(
	const struct aur_config *was, const struct aur_config *is, aur_config_difference difference, void *context)
{
	char before[AUR_TEXT_VALUE], after[AUR_TEXT_VALUE], name[AUR_TEXT_VALUE];
	for (int64_t i = 0; i < aur_key_count; i++) {
		const struct aur_key *key = &aur_key_table[i];
		aur_key_text(key, was, before);
		aur_key_text(key, is, after);
		if (strcmp(before, after) == 0)
			continue;
		snprintf(name, sizeof name, "%s.%s", key->section, key->name);
		difference(context, name, before, after, key->may_change);
	}
}
