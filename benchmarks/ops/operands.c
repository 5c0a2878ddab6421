#include "operands.h"

#include <string.h>

static void build(const struct bench_case *one, struct bench_memory *memory, struct bench_job *job,
	struct bench_work *work, struct aur_backend *backend)
{
	*job = (struct bench_job){.backend = backend};
	*work = (struct bench_work){0};
	one->build(&one->shape, memory, job, work);
}

static int count_sets(size_t bytes, size_t at_least)
{
	const size_t sets = bytes > 0 ? at_least / bytes + 1 : 1;
	return sets > BENCH_OPERAND_SETS ? BENCH_OPERAND_SETS : (int)sets;
}

aur_status bench_operands_create(struct aur_backend *backend, const struct bench_case *one, enum aur_dtype dtype,
	size_t at_least, struct bench_operand_sets *sets)
{
	struct bench_memory memory = {.dtype = dtype, .random = 88172645463325252u};
	*sets = (struct bench_operand_sets){.backend = backend};
	build(one, &memory, &sets->jobs[0], &sets->work, backend);
	sets->bytes = memory.arena.used - (size_t)bench_bytes_of(&sets->jobs[0].original);
	sets->n_sets = count_sets(sets->bytes, at_least);
	const size_t total = memory.arena.used * (size_t)sets->n_sets;
	AUR_TRY(backend->ops->allocate(backend, total, &sets->memory));
	aur_arena_bind(&memory.arena, sets->memory, total);
	for (int i = 0; i < sets->n_sets; i++)
		build(one, &memory, &sets->jobs[i], &sets->work, backend);
	const aur_status status = aur_arena_check(&memory.arena);
	if (status != AUR_OK)
		bench_operands_destroy(sets);
	return status;
}

void bench_operands_destroy(struct bench_operand_sets *sets)
{
	if (sets->memory)
		sets->backend->ops->release(sets->backend, sets->memory);
	sets->memory = NULL;
}

aur_status bench_operands_prepare(struct bench_operand_sets *sets)
{
	for (int i = 0; i < sets->n_sets; i++)
		if (sets->jobs[i].prepare)
			AUR_TRY(sets->jobs[i].prepare(&sets->jobs[i]));
	return AUR_OK;
}

void bench_operands_restore(struct bench_operand_sets *sets)
{
	for (int i = 0; i < sets->n_sets; i++) {
		const struct bench_job *job = &sets->jobs[i];
		if (job->restored.data)
			memcpy(job->restored.data, job->original.data, (size_t)bench_bytes_of(&job->restored));
	}
}
