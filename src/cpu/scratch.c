#include "gemm.h"
#include "internal.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 256 };

static size_t round_up(size_t bytes)
{
	return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static struct aur_cpu_scratch largest(const struct aur_backend_limits *limits)
{
	struct aur_cpu_scratch (*const all[])(const struct aur_backend_limits *) = {aur_embedding_scratch,
		aur_residual_norm_scratch, aur_linear_scratch, aur_attention_scratch, aur_head_loss_scratch,
		aur_table_loss_scratch};
	struct aur_cpu_scratch most = {0, 0};
	for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
		const struct aur_cpu_scratch one = all[i](limits);
		most.shared = one.shared > most.shared ? one.shared : most.shared;
		most.per_thread = one.per_thread > most.per_thread ? one.per_thread : most.per_thread;
	}
	return (struct aur_cpu_scratch){round_up(most.shared), round_up(most.per_thread)};
}

static void release_both(struct aur_cpu *cpu)
{
	free(cpu->shared);
	free(cpu->per_thread);
	cpu->shared = NULL;
	cpu->per_thread = NULL;
	cpu->scratch = (struct aur_cpu_scratch){0, 0};
}

static aur_status take_both(struct aur_cpu *cpu, struct aur_cpu_scratch scratch, int threads)
{
	void *shared = NULL;
	void *per_thread = NULL;
	aur_status status = aur_cpu_allocate(&cpu->base, scratch.shared, &shared);
	if (status == AUR_OK)
		status = aur_cpu_allocate(&cpu->base, scratch.per_thread * (size_t)threads, &per_thread);
	if (status != AUR_OK) {
		free(shared);
		return aur_add_context(status, "scratch memory of the operations");
	}
	cpu->shared = shared;
	cpu->per_thread = per_thread;
	cpu->scratch = scratch;
	cpu->threads = threads;
	return AUR_OK;
}

aur_status aur_cpu_reserve(struct aur_backend *backend, const struct aur_backend_limits *limits, size_t *bytes)
{
	struct aur_cpu *cpu = aur_cpu_of(backend);
	const struct aur_cpu_scratch scratch = largest(limits);
	const int threads = omp_get_max_threads();
	const size_t room = limits->activations == AUR_BF16 ? AUR_GEMM_ROOM : AUR_GEMM_ROOM_OPERANDS;
	if (bytes)
		*bytes = scratch.shared + (scratch.per_thread + room) * (size_t)threads;
	if (limits->count_only)
		return AUR_OK;
	release_both(cpu);
	AUR_TRY(take_both(cpu, scratch, threads));
	cpu->limits = *limits;
	/* Each thread touches its own part first, so that its pages lie near it. */
#pragma omp parallel num_threads(threads)
	memset(cpu->per_thread + (size_t)omp_get_thread_num() * scratch.per_thread, 0, scratch.per_thread);
	memset(cpu->shared, 0, scratch.shared);
	return AUR_OK;
}

aur_status aur_check_scratch(const struct aur_backend *backend, const char *operation, size_t shared, size_t per_thread)
{
	const struct aur_cpu *cpu = (const struct aur_cpu *)(const void *)backend;
	if (shared > cpu->scratch.shared || per_thread > cpu->scratch.per_thread)
		return aur_fail(AUR_SHAPE,
			"%s: needs %zu bytes of scratch memory and %zu a thread, %zu and %zu were reserved for smaller shapes",
			operation, shared, per_thread, cpu->scratch.shared, cpu->scratch.per_thread);
	if (per_thread > 0 && omp_get_max_threads() > cpu->threads)
		return aur_fail(AUR_SHAPE, "%s: runs on %d threads, scratch memory was reserved for %d", operation,
			omp_get_max_threads(), cpu->threads);
	return AUR_OK;
}
