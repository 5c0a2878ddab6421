#include "checkpoint_format.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static const char group[] = "/meta", choices[] = "/meta/choices";

/* One row a field: what is written is what is read. */
struct field {
	const char *name;
	enum aur_h5_type type;
	size_t offset, bytes;
};

#define FIELD(member, kind)                                                                                            \
	{                                                                                                                  \
#member, kind, offsetof(struct aur_checkpoint_meta, member), sizeof(((struct aur_checkpoint_meta *)0)->member) \
	}

static const struct field fields[] = {
	FIELD(kind, AUR_H5_TEXT),
	FIELD(step, AUR_H5_I64),
	FIELD(samples, AUR_H5_I64),
	FIELD(updates, AUR_H5_I64),
	FIELD(skipped, AUR_H5_I64),
	FIELD(seed, AUR_H5_U64),
	FIELD(ranks, AUR_H5_I64),
	FIELD(val_loss, AUR_H5_F64),
	FIELD(best_val_loss, AUR_H5_F64),
	FIELD(best_step, AUR_H5_I64),
	FIELD(vocab_hash, AUR_H5_U64),
	FIELD(data_hash, AUR_H5_U64),
	FIELD(program, AUR_H5_TEXT),
	FIELD(variant, AUR_H5_TEXT),
	FIELD(created, AUR_H5_TEXT),
};

enum { FIELDS = sizeof fields / sizeof fields[0] };

static aur_status put_field(struct aur_h5 *file, const struct field *field, const void *value)
{
	int64_t integer;
	uint64_t natural;
	double number;
	switch (field->type) {
	case AUR_H5_TEXT:
		return aur_h5_put_text(file, group, field->name, value);
	case AUR_H5_U64:
		memcpy(&natural, value, sizeof natural);
		return aur_h5_put_uint(file, group, field->name, natural);
	case AUR_H5_F64:
		memcpy(&number, value, sizeof number);
		return aur_h5_put_double(file, group, field->name, number);
	default:
		memcpy(&integer, value, sizeof integer);
		return aur_h5_put_int(file, group, field->name, integer);
	}
}

static aur_status get_field(struct aur_h5 *file, const struct field *field, void *value)
{
	switch (field->type) {
	case AUR_H5_TEXT:
		return aur_h5_get_text(file, group, field->name, value, field->bytes);
	case AUR_H5_U64:
		return aur_h5_get_uint(file, group, field->name, value);
	case AUR_H5_F64:
		return aur_h5_get_double(file, group, field->name, value);
	default:
		return aur_h5_get_int(file, group, field->name, value);
	}
}

void aur_checkpoint_meta_clear(struct aur_checkpoint_meta *meta)
{
	if (!meta)
		return;
	free(meta->config);
	free(meta->choices);
	*meta = (struct aur_checkpoint_meta){0};
}

aur_status aur_h5_put_meta(struct aur_h5 *file, const struct aur_checkpoint_meta *meta)
{
	AUR_TRY(aur_h5_put_text(file, "/", "format", AUR_CHECKPOINT_FORMAT));
	AUR_TRY(aur_h5_put_int(file, "/", "version", AUR_CHECKPOINT_VERSION));
	AUR_TRY(aur_h5_put_text(file, "/", "kind", meta->kind));
	AUR_TRY(aur_h5_group(file, group));
	for (int i = 0; i < FIELDS; i++)
		AUR_TRY(put_field(file, &fields[i], (const char *)meta + fields[i].offset));
	AUR_TRY(aur_h5_put_long_text(file, "/meta/config", meta->config ? meta->config : ""));
	return meta->choices ? aur_h5_put_long_text(file, choices, meta->choices) : AUR_OK;
}

aur_status aur_h5_get_meta(struct aur_h5 *file, struct aur_checkpoint_meta *meta)
{
	AUR_TRY(aur_h5_get_int(file, "/", "version", &meta->version));
	for (int i = 0; i < FIELDS; i++)
		AUR_TRY(get_field(file, &fields[i], (char *)meta + fields[i].offset));
	if (strcmp(meta->kind, "checkpoint") != 0 && strcmp(meta->kind, "model") != 0)
		return aur_h5_damaged(file, group, "kind is \"%s\", neither checkpoint nor model", meta->kind);
	if (meta->step < 0 || meta->samples < 0 || meta->updates < 0 || meta->skipped < 0)
		return aur_h5_damaged(file, group, "step, samples, updates or skipped is negative");
	AUR_TRY(aur_h5_get_long_text(file, "/meta/config", &meta->config));
	return aur_h5_has(file, choices) ? aur_h5_get_long_text(file, choices, &meta->choices) : AUR_OK;
}
