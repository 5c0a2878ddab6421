#include "internal.h"

#include "core/process.h"
#include "cpu/cpu.h"
#include "gemm.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
	ALIGNMENT = 256,
	COPY_BLOCK = 256 << 10, /* bytes of a large copy that one thread takes at a time */
};
static const size_t huge_page = (size_t)2 << 20;

struct variant {
	const char *name;
	const struct aur_backend_ops *ops; /* NULL where it was not compiled */
	int (*supported)(void);
	int multiplies_bf16; /* with instructions of its own */
};

extern const struct aur_backend_ops aur_cpu_table_baseline;

static int any_processor(void)
{
	return 1;
}

#ifdef AUR_CPU_X86

extern const struct aur_backend_ops aur_cpu_table_avx2;
extern const struct aur_backend_ops aur_cpu_table_avx512;
extern const struct aur_backend_ops aur_cpu_table_avx512bf16;

static int has_avx2(void)
{
	return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
		   __builtin_cpu_supports("bmi2");
}

static int has_avx512(void)
{
	return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
		   __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
		   __builtin_cpu_supports("avx512vl");
}

static int has_avx512bf16(void)
{
	return has_avx512() && __builtin_cpu_supports("avx512bf16");
}

#else

static int has_avx2(void)
{
	return 0;
}

static int has_avx512(void)
{
	return 0;
}

static int has_avx512bf16(void)
{
	return 0;
}

#endif

/* A program need not be built for all of them (AURELIUS_CPU_WITHOUT). */
#ifdef AUR_CPU_WITH_avx2
#define TABLE_AVX2 (&aur_cpu_table_avx2)
#else
#define TABLE_AVX2 NULL
#endif
#ifdef AUR_CPU_WITH_avx512
#define TABLE_AVX512 (&aur_cpu_table_avx512)
#else
#define TABLE_AVX512 NULL
#endif
#ifdef AUR_CPU_WITH_avx512bf16
#define TABLE_AVX512BF16 (&aur_cpu_table_avx512bf16)
#else
#define TABLE_AVX512BF16 NULL
#endif

/* Best first. */
static const struct variant variants[] = {
	{"avx512bf16", TABLE_AVX512BF16, has_avx512bf16, 1},
	{"avx512", TABLE_AVX512, has_avx512, 0},
	{"avx2", TABLE_AVX2, has_avx2, 0},
	{"baseline", &aur_cpu_table_baseline, any_processor, 0},
};
enum { VARIANTS = sizeof variants / sizeof *variants };

static aur_status choose_forced(const char *name, const struct variant **chosen)
{
	for (int i = 0; i < VARIANTS; i++) {
		if (strcmp(name, variants[i].name) != 0)
			continue;
		if (!variants[i].ops || !variants[i].supported())
			return aur_fail(AUR_DEVICE, "AURELIUS_CPU_VARIANT=%s: this %s does not have these instructions (unset it)",
				name, variants[i].ops ? "processor" : "program");
		*chosen = &variants[i];
		return AUR_OK;
	}
	return aur_fail(AUR_USAGE, "AURELIUS_CPU_VARIANT=%s: unknown, use baseline, avx2, avx512 or avx512bf16", name);
}

static aur_status choose_variant(const struct variant **chosen)
{
	const char *forced = getenv("AURELIUS_CPU_VARIANT");
	if (forced && *forced)
		return choose_forced(forced, chosen);
	int i = 0;
	while (!variants[i].ops || !variants[i].supported())
		i++;
	*chosen = &variants[i];
	return AUR_OK;
}

static aur_status open_cpu(struct aur_backend **backend)
{
	const struct variant *variant = NULL;
	AUR_TRY(choose_variant(&variant));
	struct aur_cpu *cpu = calloc(1, sizeof *cpu);
	if (!cpu)
		return aur_fail(AUR_MEMORY, "cpu: no memory for the backend (%zu bytes)", sizeof *cpu);
	cpu->base = (struct aur_backend){
		.ops = variant->ops, .name = "cpu", .host_memory = 1, .deterministic = 1, .private_data = cpu};
	snprintf(cpu->base.variant, sizeof cpu->base.variant, "%s", variant->name);
	cpu->base.fast_bf16 = variant->multiplies_bf16;
	const aur_status status = aur_cpu_take_rooms(cpu);
	if (status != AUR_OK) {
		free(cpu);
		return status;
	}
	*backend = &cpu->base;
	return AUR_OK;
}

const struct aur_backend_factory aur_cpu_factory = {.name = "cpu", .open = open_cpu};

void aur_cpu_close(struct aur_backend *backend)
{
	struct aur_cpu *cpu = aur_cpu_of(backend);
	free(cpu->shared);
	free(cpu->per_thread);
	free(cpu->rooms);
	free(cpu);
}

/* Arenas are walked with strides of a row: pages of 2 MiB spare address translation, where the system grants them. */
aur_status aur_cpu_allocate(struct aur_backend *backend, size_t bytes, void **memory)
{
	(void)backend;
	const size_t alignment = bytes >= 2 * huge_page ? huge_page : ALIGNMENT;
	const size_t size = (bytes + alignment - 1) / alignment * alignment;
	*memory = NULL;
	if (size >= bytes)
		*memory = aligned_alloc(alignment, size ? size : alignment);
	if (!*memory)
		return aur_fail(
			AUR_MEMORY, "cpu: no memory for %zu bytes; a smaller model or micro_batch_size takes less", bytes);
	if (alignment == huge_page)
		(void)madvise(*memory, size, MADV_HUGEPAGE);
	return AUR_OK;
}

void aur_cpu_release(struct aur_backend *backend, void *memory)
{
	(void)backend;
	free(memory);
}

aur_status aur_cpu_take_rooms(struct aur_cpu *cpu)
{
	const int threads = omp_get_max_threads();
	void *rooms;
	if (threads <= cpu->rooms_for)
		return AUR_OK;
	AUR_TRY(aur_cpu_allocate(&cpu->base, AUR_GEMM_ROOM * (size_t)threads, &rooms));
	free(cpu->rooms);
	cpu->rooms = rooms;
	cpu->rooms_for = threads;
	return AUR_OK;
}

void *aur_cpu_room(const struct aur_cpu *cpu)
{
	return cpu->rooms + AUR_GEMM_ROOM * (size_t)omp_get_thread_num();
}

aur_status aur_cpu_copy(struct aur_backend *backend, void *to, const void *from, size_t bytes)
{
	(void)backend;
	const int64_t blocks = (int64_t)((bytes + COPY_BLOCK - 1) / COPY_BLOCK);
#pragma omp parallel for schedule(static) if (blocks > 4)
	for (int64_t i = 0; i < blocks; i++) {
		const size_t begin = (size_t)i * COPY_BLOCK;
		const size_t size = bytes - begin < COPY_BLOCK ? bytes - begin : COPY_BLOCK;
		memcpy((char *)to + begin, (const char *)from + begin, size);
	}
	return AUR_OK;
}

aur_status aur_cpu_zero(struct aur_backend *backend, void *memory, size_t bytes)
{
	(void)backend;
	const int64_t blocks = (int64_t)((bytes + COPY_BLOCK - 1) / COPY_BLOCK);
#pragma omp parallel for schedule(static) if (blocks > 4)
	for (int64_t i = 0; i < blocks; i++) {
		const size_t begin = (size_t)i * COPY_BLOCK;
		memset((char *)memory + begin, 0, bytes - begin < COPY_BLOCK ? bytes - begin : COPY_BLOCK);
	}
	return AUR_OK;
}

aur_status aur_cpu_synchronise(struct aur_backend *backend)
{
	(void)backend;
	return AUR_OK;
}

aur_status aur_cpu_memory_room(struct aur_backend *backend, int64_t *bytes)
{
	(void)backend;
	*bytes = aur_process_room(1);
	return AUR_OK;
}
