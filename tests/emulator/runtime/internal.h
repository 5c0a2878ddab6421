#ifndef AUR_EMULATOR_INTERNAL_H
#define AUR_EMULATOR_INTERNAL_H

/* Inside of the emulator's runtime. One launch runs at a time: every entry takes the lock first. */

#include "emulator/runtime.h"

#include <functional>
#include <mutex>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

/* The orders in which blocks and threads take their turns. A kernel whose result depends on them lacks a barrier. */
enum schedule { SCHEDULE_ASCENDING, SCHEDULE_DESCENDING, SCHEDULE_SHUFFLED, SCHEDULES };
const char *schedule_name(enum schedule schedule);

std::recursive_mutex &emulator_lock(void);

/* launch.cpp: runs all blocks under one schedule. What failed has its text recorded. */
cudaError_t grid_run(const struct aur_emulator_launch *launch, enum schedule schedule);
/* Whether the caller is a thread of a kernel. */
int grid_is_running(void);
/* From a kernel's thread, also from a signal's handler on its stack: ends the launch. The text is recorded before. */
[[noreturn]] void grid_abandon(cudaError_t error);
/* After a launch: texts speak of it no more. */
void grid_forget(void);
/* "kernel NAME, block (0,0,0), thread (3,0,0)" of the thread that runs. */
void grid_describe(char *text, size_t bytes);
/* Pseudo-random numbers for the shuffled schedule, the same in every run. */
uint32_t grid_random(void);

/* threads.cpp: one block. */
cudaError_t block_run(const struct aur_emulator_launch *launch, enum schedule schedule);
/* The number in its block of the thread that runs. */
size_t grid_thread(void);

/* copies.cpp: a block of so many threads begins, which have asked for no copies. */
void copies_begin(size_t threads);

/* shared.cpp */
enum {
	SHARED_STATIC_LIMIT = 48 << 10, /* of declarations; dynamic memory beyond it must be asked for */
	SHARED_LIMIT = 227 << 10,
};
/* Fills the block's memory with NaN and forgets its declarations. */
void shared_begin(size_t dynamic_bytes);
/* Whether the guards round every array are whole; records the failure. */
int shared_check(void);

/* message.cpp: the text of a failure, printed once on stderr. */
void message_set(const char *format, ...) __attribute__((format(printf, 1, 2)));
void message_set_list(const char *format, va_list list) __attribute__((format(printf, 1, 0)));

/* error.cpp: what API calls return. A sticky error stays for ever, as on a device. */
cudaError_t error_set(cudaError_t error);
cudaError_t error_set_sticky(cudaError_t error);
cudaError_t error_sticky(void);
void error_forget(void);

/* stream.cpp: what is done takes its time by a clock of the device's own, which is the same in every run. */
int stream_is_known(cudaStream_t stream);
void stream_spend(double ms);
/* One more piece of work on a stream that is known, which is done by the time the call returns. */
void stream_ask(cudaStream_t stream);

/* graph.cpp: 1 when the stream is recording, which then keeps the work; else it is to be done. */
int graph_records(cudaStream_t stream, std::function<void()> work);
int graph_is_recorded(cudaStream_t stream);
/* A call that waits: no stream that records allows it, and the recording is lost. cudaSuccess on any other. */
cudaError_t graph_spoil(cudaStream_t stream);

/* memory.cpp */
struct allocation {
	char *begin; /* as handed out */
	size_t bytes;
	enum cudaMemoryType type;
	char *mapping; /* of device memory: begins on a page, guards included */
	size_t mapped;
	int is_tracked;
};
/* The allocation that holds all of [address, address + bytes), or NULL. */
const struct allocation *memory_find(const void *address, size_t bytes);
/* The one whose guards or bytes hold the address, or NULL. */
const struct allocation *memory_near(const void *address);
int memory_check_guards(void);
void memory_free_all(void);
/* cudaMemcpy, as a stream does it. */
cudaError_t memory_copy(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind);
void memory_each_device(void (*visit)(struct allocation *allocation));

/* tracking.cpp: what schedules write. Catching of faults encloses the rest, on the thread that runs the launch. */
void tracking_catch_faults(void);
void tracking_release_faults(void);
/* Before the first schedule and after the last. */
void tracking_begin(const struct aur_emulator_launch *launch);
void tracking_end(void);
/* After the first schedule: what the others must give. */
void tracking_keep_first(void);
/* Before each further schedule: brings memory back to before the launch. */
void tracking_restore(void);
/* Whether this schedule gave what the first did; records the failure. */
int tracking_agrees(enum schedule schedule);
void tracking_forget(void);

/* inject.cpp: whether AURELIUS_EMULATOR_FAIL asks this call of its kind to fail: `kernel:3` is the third launch. */
int inject_failure(const char *kind);
/* Whether AURELIUS_EMULATOR_REFUSE asks cuBLASLt to refuse this algorithm: `check:5` when it is asked about algorithms
 * 0 and 2, `matmul:5` when they are run; `capture:1` the end of a recording. */
int inject_refusal(const char *kind, int algorithm);
/* AURELIUS_EMULATOR_BUSY=2: of three queries of a stream or an event the first two find it busy. */
int inject_busy(void);
/* Whether AURELIUS_EMULATOR_SPOIL asks for a NaN in the numbers that this launch of the kernel reads. */
int inject_spoilt(const char *name);

#endif
