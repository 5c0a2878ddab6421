#include "prepare.h"
#include "prepare_report.h"

#include <stdlib.h>

static aur_status refuse_bad(const struct aur_prepare *prepare, const struct aur_shards_sum *sum)
{
	if (sum->bad == 0 || aur_prepare_skips(prepare))
		return AUR_OK;
	return aur_fail(AUR_INPUT, "%s: line %lld: %s (--on-bad skip leaves such documents out)",
		aur_corpus_file_name(&prepare->sources, sum->first_bad.source, prepare->standard_input),
		(long long)sum->first_bad.line + 1, sum->first_bad.why);
}

static aur_status write_shards(struct aur_prepare *prepare, struct aur_shards *shards, const struct aur_shards_sum *sum)
{
	const int64_t size = aur_tokenizer_vocab(prepare->tokenizer)->size;
	int64_t *counts = calloc((size_t)size, sizeof *counts);
	aur_status status =
		counts ? AUR_OK : aur_fail(AUR_MEMORY, "no memory for the counts of %lld tokens", (long long)size);
	AUR_TRY_CLEANUP(aur_comm_agree(prepare->world, status));
	AUR_TRY_CLEANUP(aur_shards_write(shards, counts));
	/* All is written: a report that cannot be printed or drawn is no reason to keep the work. */
	status = prepare->world->rank == 0 ? aur_work_remove(prepare->work) : AUR_OK;
	AUR_TRY_CLEANUP(aur_comm_agree(prepare->world, status));
	status = prepare->world->rank == 0 ? aur_prepare_print(prepare, sum, counts) : AUR_OK;
	status = aur_comm_agree(prepare->world, status);
cleanup:
	free(counts);
	return status;
}

aur_status aur_prepare_write(struct aur_prepare *prepare)
{
	const struct aur_prepare_request *request = prepare->request;
	const struct aur_shards_request wanted = {.world = prepare->world,
		.sources = &prepare->sources,
		.store = prepare->store,
		.work = prepare->work,
		.vocab = aur_tokenizer_vocab(prepare->tokenizer),
		.end_of_text = prepare->end_of_text,
		.out = request->out,
		.shard_tokens = request->shard_tokens,
		.val_fraction = request->val_fraction,
		.compress = request->compress,
		.line = &prepare->line};
	struct aur_unit_record *units = NULL;
	struct aur_shards *shards = NULL;
	struct aur_shards_sum sum;
	int64_t count;
	aur_status status = aur_unit_store_collect(prepare->store, &prepare->sources, &units, &count);
	AUR_TRY_CLEANUP(aur_comm_agree(prepare->world, status));
	status = aur_shards_plan(&wanted, units, count, &shards, &sum);
	if (status == AUR_OK)
		status = refuse_bad(prepare, &sum);
	AUR_TRY_CLEANUP(aur_comm_agree(prepare->world, status));
	status = write_shards(prepare, shards, &sum);
cleanup:
	aur_shards_destroy(&shards);
	free(units);
	return status;
}
