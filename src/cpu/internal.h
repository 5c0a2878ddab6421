#ifndef AUR_CPU_INTERNAL_H
#define AUR_CPU_INTERNAL_H

/* Inside of the CPU backend, for the files of operations. */

#include "variant.h"

#include "backend/backend.h"
#include "backend/check.h"

#include <omp.h>
#include <stddef.h>
#include <stdint.h>

/* What one operation needs beside its operands: bytes shared by all threads, and bytes for each thread. */
struct aur_cpu_scratch {
	size_t shared;
	size_t per_thread;
};

struct aur_cpu {
	struct aur_backend base;        /* first, so that the handle is this struct */
	struct aur_cpu_scratch scratch; /* as reserved; per_thread is a multiple of 256 bytes */
	int threads;                    /* OpenMP threads when it was reserved */
	int rooms_for;                  /* threads that `rooms` holds a room for */
	char *rooms;                    /* owned: for packed operands of products, AUR_GEMM_ROOM bytes a thread */
	char *shared;                   /* owned, 256-byte aligned */
	char *per_thread;               /* owned: thread i's part begins at i * scratch.per_thread */
	struct aur_backend_limits limits;
};

static inline struct aur_cpu *aur_cpu_of(struct aur_backend *backend)
{
	return (struct aur_cpu *)(void *)backend;
}

/* Before a region of threads that multiply: their rooms are there. Allocates only when there are more threads than ever
 * before. AUR_MEMORY. */
aur_status aur_cpu_take_rooms(struct aur_cpu *cpu);

/* The calling thread's part of the scratch. */
static inline void *aur_cpu_own(const struct aur_cpu *cpu)
{
	return cpu->per_thread + (size_t)omp_get_thread_num() * cpu->scratch.per_thread;
}

/* The calling thread's room for aur_gemm. */
void *aur_cpu_room(const struct aur_cpu *cpu);

static inline float *aur_f32(const struct aur_tensor *tensor)
{
	return tensor->data;
}

/* One part of `count` things cut into `parts` of nearly equal size, in units of `unit`: [begin, end) of part i. The
 * number of parts is a constant of the shape, never of the thread count: so bits do not depend on the threads. */
struct aur_span {
	int64_t begin, end;
};

static inline struct aur_span aur_span_of(int64_t count, int64_t unit, int64_t parts, int64_t i)
{
	const int64_t units = (count + unit - 1) / unit;
	const int64_t begin = units * i / parts * unit;
	const int64_t end = units * (i + 1) / parts * unit;
	return (struct aur_span){begin < count ? begin : count, end < count ? end : count};
}

/* Rows of an element-wise pass that one block holds: about 16 Ki elements, so that a block is worth a thread's while
 * and fits the second-level cache. */
static inline int64_t aur_rows_per_block(int64_t columns)
{
	const int64_t rows = 16384 / (columns > 0 ? columns : 1);
	return rows > 0 ? rows : 1;
}

aur_status aur_embedding_forward_cpu(struct aur_backend *, const struct aur_embedding_forward *);
aur_status aur_embedding_backward_cpu(struct aur_backend *, const struct aur_embedding_backward *);
aur_status aur_residual_norm_forward_cpu(struct aur_backend *, const struct aur_residual_norm_forward *);
aur_status aur_residual_norm_backward_cpu(struct aur_backend *, const struct aur_residual_norm_backward *);
aur_status aur_linear_forward_cpu(struct aur_backend *, const struct aur_linear_forward *);
aur_status aur_linear_backward_cpu(struct aur_backend *, const struct aur_linear_backward *);
aur_status aur_activation_forward_cpu(struct aur_backend *, const struct aur_activation_forward *);
aur_status aur_activation_backward_cpu(struct aur_backend *, const struct aur_activation_backward *);
aur_status aur_attention_forward_cpu(struct aur_backend *, const struct aur_attention_forward *);
aur_status aur_attention_backward_cpu(struct aur_backend *, const struct aur_attention_backward *);
aur_status aur_attention_cached_cpu(struct aur_backend *, const struct aur_attention_cached *);
aur_status aur_head_loss_cpu(struct aur_backend *, const struct aur_head_loss *);
aur_status aur_table_loss_cpu(struct aur_backend *, const struct aur_table_loss *);
aur_status aur_adamw_cpu(struct aur_backend *, const struct aur_adamw *);
aur_status aur_sum_of_squares_cpu(struct aur_backend *, const struct aur_sum_of_squares *);
aur_status aur_clip_cpu(struct aur_backend *, const struct aur_clip *);
aur_status aur_tree_add_cpu(struct aur_backend *, const struct aur_tree_add *);
aur_status aur_cast_cpu(struct aur_backend *, const struct aur_cast *);

struct aur_cpu_scratch aur_embedding_scratch(const struct aur_backend_limits *limits);
struct aur_cpu_scratch aur_residual_norm_scratch(const struct aur_backend_limits *limits);
struct aur_cpu_scratch aur_linear_scratch(const struct aur_backend_limits *limits);
struct aur_cpu_scratch aur_attention_scratch(const struct aur_backend_limits *limits);
struct aur_cpu_scratch aur_head_loss_scratch(const struct aur_backend_limits *limits);
struct aur_cpu_scratch aur_table_loss_scratch(const struct aur_backend_limits *limits);

/* scratch.c: backend.h's reserve(). */
aur_status aur_cpu_reserve(struct aur_backend *backend, const struct aur_backend_limits *limits, size_t *bytes);

/* registry.c, one copy for all variants: backend.h's operations on memory. */
aur_status aur_cpu_allocate(struct aur_backend *backend, size_t bytes, void **memory);
void aur_cpu_release(struct aur_backend *backend, void *memory);
aur_status aur_cpu_copy(struct aur_backend *backend, void *to, const void *from, size_t bytes);
aur_status aur_cpu_zero(struct aur_backend *backend, void *memory, size_t bytes);
aur_status aur_cpu_synchronise(struct aur_backend *backend);
aur_status aur_cpu_memory_room(struct aur_backend *backend, int64_t *bytes);
void aur_cpu_close(struct aur_backend *backend);

/* Fails with AUR_INPUT unless each number, of a tensor whose shape was checked, is in [0, vocabulary): a wild number
 * must not become a wild address. */
aur_status aur_check_token_range(
	const char *operation, const char *name, const struct aur_tensor *tokens, int64_t vocabulary);

/* Fails with AUR_SHAPE when more scratch memory is needed than reserve() sized. */
aur_status aur_check_scratch(
	const struct aur_backend *backend, const char *operation, size_t shared, size_t per_thread);

#endif
