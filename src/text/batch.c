#include "batch.h"

#include "core/crew.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Slices of a batch: many where texts are short. Several slices of full size a thread even out. */
enum { MOST_SLICES = 1024, SLICES_A_THREAD = 4 };

struct job {
	struct aur_text slice;
	char *copy; /* owned: the slice, where its source keeps it only until the next one */
	size_t copy_room;
	struct aur_token_list list;
};

struct aur_batch {
	const struct aur_tokenizer *tokenizer;
	int threads;
	void **workers; /* owned [threads] */
	struct aur_crew *crew;
	struct job *jobs; /* owned [most] */
	int most, n, given;
	atomic_int taken;
};

aur_status aur_batch_create(const struct aur_tokenizer *tokenizer, int threads, struct aur_batch **batch)
{
	aur_status status = AUR_OK;
	struct aur_batch *created = calloc(1, sizeof *created);
	if (!created)
		return aur_fail(AUR_MEMORY, "no memory to encode with");
	created->tokenizer = tokenizer;
	created->threads = threads;
	created->most = threads > 1 ? MOST_SLICES : 1;
	created->workers = calloc((size_t)threads, sizeof *created->workers);
	created->jobs = calloc((size_t)created->most, sizeof *created->jobs);
	if (!created->workers || !created->jobs)
		AUR_TRY_CLEANUP(aur_fail(AUR_MEMORY, "no memory to encode with %d threads", threads));
	for (int i = 0; i < threads; i++)
		AUR_TRY_CLEANUP(tokenizer->ops->begin(&tokenizer->vocab, tokenizer->lookup, &created->workers[i]));
	*batch = created;
	return AUR_OK;
cleanup:
	aur_batch_destroy(&created);
	return status;
}

void aur_batch_destroy(struct aur_batch **batch)
{
	if (!batch || !*batch)
		return;
	struct aur_batch *old = *batch;
	aur_crew_destroy(&old->crew);
	for (int i = 0; old->workers && i < old->threads; i++)
		old->tokenizer->ops->end(old->workers[i]);
	for (int i = 0; old->jobs && i < old->most; i++) {
		free(old->jobs[i].copy);
		free(old->jobs[i].list.ids);
	}
	free(old->workers);
	free(old->jobs);
	free(old);
	*batch = NULL;
}

static aur_status keep_copy(struct job *job, struct aur_text slice)
{
	if (job->copy_room < slice.size) {
		free(job->copy);
		job->copy = malloc(slice.size);
		job->copy_room = job->copy ? slice.size : 0;
	}
	if (!job->copy)
		return aur_fail(AUR_MEMORY, "no memory for %zu bytes of text", slice.size);
	job->slice = (struct aur_text){memcpy(job->copy, slice.bytes, slice.size), slice.size};
	return AUR_OK;
}

static aur_status take_slices(struct aur_batch *batch, struct aur_source *source)
{
	const size_t enough = (size_t)batch->threads * SLICES_A_THREAD * AUR_SLICE_BYTES;
	const int changed = batch->tokenizer->vocab.lowercase || strcmp(batch->tokenizer->vocab.clean, "none") != 0;
	size_t bytes = 0;
	batch->n = batch->given = 0;
	while (batch->n < batch->most && bytes < enough) {
		struct job *job = &batch->jobs[batch->n];
		AUR_TRY(aur_source_next(source, &job->slice));
		if (job->slice.size == 0)
			break;
		if (changed && batch->most > 1)
			AUR_TRY(keep_copy(job, job->slice));
		bytes += job->slice.size;
		batch->n++;
	}
	return AUR_OK;
}

static aur_status work(void *context, int member)
{
	struct aur_batch *batch = context;
	for (;;) {
		const int i = atomic_fetch_add(&batch->taken, 1);
		if (i >= batch->n)
			return AUR_OK;
		struct job *job = &batch->jobs[i];
		AUR_TRY(batch->tokenizer->ops->encode_slice(batch->workers[member], job->slice, &job->list));
	}
}

aur_status aur_batch_fill(struct aur_batch *batch, struct aur_source *source)
{
	AUR_TRY(take_slices(batch, source));
	atomic_store(&batch->taken, 0);
	if (batch->n > 1 && !batch->crew)
		AUR_TRY(aur_crew_create(batch->threads, 1, &batch->crew));
	return batch->n > 1 ? aur_crew_run(batch->crew, work, batch) : work(batch, 0);
}

const struct aur_token_list *aur_batch_next(struct aur_batch *batch)
{
	return batch->given < batch->n ? &batch->jobs[batch->given++].list : NULL;
}
