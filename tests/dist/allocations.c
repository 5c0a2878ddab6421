#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Preloaded into the program: counts every allocation of the process and writes the number to the file that
 * AURELIUS_COUNT names when the process ends. */

extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t count, size_t bytes);
extern void *__libc_realloc(void *memory, size_t bytes);
extern void *__libc_memalign(size_t alignment, size_t bytes);

static atomic_long allocations;

void *malloc(size_t bytes)
{
	atomic_fetch_add(&allocations, 1);
	return __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
	atomic_fetch_add(&allocations, 1);
	return __libc_calloc(count, bytes);
}

void *realloc(void *memory, size_t bytes)
{
	atomic_fetch_add(&allocations, 1);
	return __libc_realloc(memory, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
	atomic_fetch_add(&allocations, 1);
	return __libc_memalign(alignment, bytes);
}

int posix_memalign(void **memory, size_t alignment, size_t bytes)
{
	atomic_fetch_add(&allocations, 1);
	*memory = __libc_memalign(alignment, bytes);
	return *memory ? 0 : ENOMEM;
}

__attribute__((destructor)) static void write_count(void)
{
	const char *path = getenv("AURELIUS_COUNT");
	char text[32];
	const int file = path ? open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666) : -1;
	if (file < 0)
		return;
	const int length = snprintf(text, sizeof text, "%ld\n", atomic_load(&allocations));
	if (write(file, text, (size_t)length) != length)
		abort();
	close(file);
}
