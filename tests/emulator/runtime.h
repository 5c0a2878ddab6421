#ifndef AUR_EMULATOR_RUNTIME_H
#define AUR_EMULATOR_RUNTIME_H

/* What kernels compiled for the emulator ask of its runtime. device.h makes CUDA's own words of it.
 *
 * A grid runs on the calling processor thread: block after block, the threads of a block as fibers that change places
 * only where they wait for each other. Whatever breaks CUDA's rules there (a barrier that some threads never reach, a
 * shuffle that reads a lane which is not there, memory outside an allocation) ends the launch with a text on stderr;
 * the launch then fails as it would on a device.
 */

#include <cuda_runtime.h>
#include <stddef.h>
#include <stdint.h>

enum { AUR_WARP = 32 };

/* One launch: `run` is called once a thread, with `arguments`. `function` tells kernels apart. */
struct aur_emulator_launch {
	const char *name;
	const void *function;
	void (*run)(const void *arguments);
	const void *arguments;
	size_t arguments_bytes;
	const void *first; /* the first argument where that is a pointer, else NULL */
	dim3 grid, block;
	size_t shared_bytes;
	cudaStream_t stream;
};

/* Runs the grid to its end. What went wrong is what cudaGetLastError returns next. */
void aur_emulator_run(const struct aur_emulator_launch *launch);

/* From a kernel: ends the launch with this text. It does not return. */
[[noreturn]] void aur_emulator_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The text of the last failure, for tests; "" when there was none. Borrowed until the next one. */
const char *aur_emulator_message(void);

/* Where in the source a thread waits. */
struct aur_emulator_place {
	const char *file;
	int line;
};

/* A barrier of the block. Returns how many threads came with a predicate other than 0. */
enum aur_emulator_barrier_kind { AUR_BARRIER_PLAIN, AUR_BARRIER_COUNT, AUR_BARRIER_AND, AUR_BARRIER_OR };
int aur_emulator_barrier(enum aur_emulator_barrier_kind kind, int predicate, struct aur_emulator_place place);

/* A meeting of the lanes in `mask`: each brings its own `mine`, and once all are there `settle` is called, once, with
 * the pointers of all of them: NULL for a lane outside the mask or one that has returned. It reads what the lanes
 * brought and writes what they get; then they go on. Every warp operation is such a meeting. */
typedef void (*aur_emulator_settle)(void *const lanes[AUR_WARP]);
void aur_emulator_meet(
	const char *name, unsigned mask, aur_emulator_settle settle, void *mine, struct aur_emulator_place place);

/* The calling thread's lane. */
int aur_emulator_lane(void);
/* The lanes of the calling thread's warp that have not returned. */
unsigned aur_emulator_live_lanes(void);

/* A copy from global to shared memory that goes on beside the thread, from = NULL: zeros. After the wait all that this
 * thread asked for are there. */
void aur_emulator_copy(void *to, const void *from, size_t bytes);
void aur_emulator_copy_wait(void);

/* The block's memory of one declaration, told by `key`; filled with NaN when the block begins. */
void *aur_emulator_shared(const void *key, size_t bytes, const char *name);
/* The block's dynamic shared memory. */
void *aur_emulator_shared_dynamic(void);

#endif
