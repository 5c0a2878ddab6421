#include "model/parameters.h"

#include "internal.h"

#include <stdlib.h>
#include <string.h>

/* 256 bytes: the alignment of every part of an arena, and a whole number of any vector or cache line. */
enum { OFFSET_UNIT = 64 };

static int64_t aligned(int64_t count)
{
	return (count + OFFSET_UNIT - 1) / OFFSET_UNIT * OFFSET_UNIT;
}

aur_status aur_parameters_reserve(struct aur_parameters *parameters, int64_t capacity)
{
	*parameters = (struct aur_parameters){.items = calloc((size_t)capacity, sizeof *parameters->items)};
	if (!parameters->items)
		return aur_fail(AUR_MEMORY, "parameter table: no memory for %lld entries", (long long)capacity);
	return AUR_OK;
}

int64_t aur_parameters_append(struct aur_parameters *parameters, const struct aur_parameter *parameter)
{
	struct aur_parameter *item = &parameters->items[parameters->n_items];
	*item = *parameter;
	item->offset = parameters->count;
	item->count = item->dims == 2 ? item->shape[0] * item->shape[1] : item->shape[0];
	item->matrix = item->dims == 2;
	parameters->count = aligned(item->offset + item->count);
	parameters->elements += item->count;
	return parameters->n_items++;
}

const struct aur_parameter *aur_parameters_find(const struct aur_parameters *parameters, const char *name)
{
	for (int64_t i = 0; i < parameters->n_items; i++)
		if (strcmp(parameters->items[i].name, name) == 0)
			return &parameters->items[i];
	return NULL;
}

void aur_parameters_clear(struct aur_parameters *parameters)
{
	if (!parameters)
		return;
	free(parameters->items);
	*parameters = (struct aur_parameters){0};
}

aur_status aur_parameters_acquire(
	const struct aur_parameters *parameters, int layer, const struct aur_weights *arenas, struct aur_weights *weights)
{
	(void)parameters;
	(void)layer;
	*weights = *arenas;
	return AUR_OK;
}

void aur_parameters_release(const struct aur_parameters *parameters, int layer, const struct aur_weights *weights)
{
	(void)parameters;
	(void)layer;
	(void)weights;
}
