#include "shard.h"

#include <math.h>
#include <stdlib.h>

int aur_shards_is_text(const struct aur_shards *shards, int64_t unit)
{
	return shards->request.sources->all[shards->units[unit].source].kind == AUR_CORPUS_TEXT;
}

static void place_units(struct aur_shards *shards)
{
	int64_t begin = 0, in_source = 0;
	for (int64_t i = 0; i < shards->count; i++) {
		const struct aur_unit_record *unit = &shards->units[i];
		const int text = aur_shards_is_text(shards, i);
		in_source = (unit->part > 0 ? in_source : 0) + unit->tokens;
		struct aur_place *place = &shards->places[i];
		place->begin = begin;
		place->opening = text && unit->tokens > 0 && in_source == unit->tokens;
		place->closing = text && unit->last && in_source > 0 && shards->request.end_of_text >= 0;
		begin += unit->tokens + place->closing;
	}
	shards->places[shards->count].begin = begin;
}

static void add_up(const struct aur_shards *shards, struct aur_shards_sum *sum)
{
	int64_t lines = 0;
	int open = 0;
	for (int64_t i = 0; i < shards->count; i++) {
		const struct aur_unit_record *unit = &shards->units[i];
		lines = unit->part == 0 ? 0 : lines;
		open = unit->part == 0 ? 0 : open;
		open = unit->bytes > 0 ? unit->open_line : open;
		sum->bytes += unit->bytes;
		sum->characters += unit->characters;
		sum->lines += unit->lines + (unit->last && open);
		sum->unknown += unit->unknown;
		sum->documents += aur_shards_is_text(shards, i) ? shards->places[i].opening : unit->documents;
		if (sum->bad == 0 && unit->bad > 0) {
			sum->first_bad = unit->first_bad;
			sum->first_bad.line += lines;
		}
		sum->bad += unit->bad;
		lines += unit->text_lines;
	}
}

/* floor((1 - fraction) n), where a product that is whole but for the rounding of `fraction` counts as whole. */
static int64_t training_part(int64_t n, double fraction)
{
	const double exact = (1 - fraction) * (double)n;
	const double nearest = round(exact);
	const double rounding = 4e-16 * (double)n;
	return (int64_t)(fabs(exact - nearest) <= rounding ? nearest : floor(exact));
}

static aur_status split(struct aur_shards *shards, struct aur_shards_sum *sum)
{
	const int64_t tokens = shards->places[shards->count].begin, wanted = shards->request.shard_tokens;
	shards->train_tokens = training_part(tokens, shards->request.val_fraction);
	sum->train_tokens = shards->train_tokens;
	sum->val_tokens = tokens - sum->train_tokens;
	if (tokens == 0)
		return aur_fail(AUR_INPUT, "no token is left of the text: nothing to train on");
	if (sum->train_tokens == 0 || (shards->request.val_fraction > 0 && sum->val_tokens == 0))
		return aur_fail(AUR_INPUT, "%lld token%s: too short a text to split with --val-fraction %g", (long long)tokens,
			tokens == 1 ? "" : "s", shards->request.val_fraction);
	shards->shard_tokens = wanted > 0 && wanted < tokens ? wanted : tokens;
	shards->n_shards = (tokens + shards->shard_tokens - 1) / shards->shard_tokens;
	if (shards->n_shards > 99999)
		return aur_fail(AUR_USAGE, "--shard-tokens: %lld would make %lld shards of %lld tokens: at most 99999",
			(long long)wanted, (long long)shards->n_shards, (long long)tokens);
	sum->shards = wanted > 0 ? shards->n_shards : 0;
	return AUR_OK;
}

aur_status aur_shards_plan(const struct aur_shards_request *request, const struct aur_unit_record *units, int64_t count,
	struct aur_shards **shards, struct aur_shards_sum *sum)
{
	*sum = (struct aur_shards_sum){0};
	*shards = calloc(1, sizeof **shards);
	if (!*shards)
		return aur_fail(AUR_MEMORY, "no memory for the order of the texts");
	(*shards)->request = *request;
	(*shards)->units = units;
	(*shards)->count = count;
	(*shards)->places = calloc((size_t)count + 1, sizeof *(*shards)->places);
	(*shards)->lanes = calloc((size_t)request->vocab->size, AUR_SHARD_LANES * sizeof *(*shards)->lanes);
	aur_status status =
		(*shards)->places && (*shards)->lanes ? AUR_OK : aur_fail(AUR_MEMORY, "no memory for the order of the texts");
	if (status == AUR_OK) {
		place_units(*shards);
		add_up(*shards, sum);
		status = split(*shards, sum);
	}
	if (status != AUR_OK)
		aur_shards_destroy(shards);
	return status;
}

void aur_shards_destroy(struct aur_shards **shards)
{
	if (!shards || !*shards)
		return;
	free((*shards)->places);
	free((*shards)->lanes);
	free(*shards);
	*shards = NULL;
}

int64_t aur_shards_unit_at(const struct aur_shards *shards, int64_t at)
{
	int64_t low = 0, high = shards->count - 1;
	while (low < high) {
		const int64_t middle = low + (high - low + 1) / 2;
		if (shards->places[middle].begin <= at)
			low = middle;
		else
			high = middle - 1;
	}
	return low;
}
