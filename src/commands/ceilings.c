#include "ceilings.h"

#include "core/clock.h"
#include "core/threads.h"
#include "train/ceiling.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LEAST_TRIALS = 3, COPIES_AT_ONCE = 16 };
static const size_t copy_bytes = (size_t)64 << 20;
static const size_t disk_piece = (size_t)4 << 20;
static const double product_s = 0.4, copy_s = 0.2, disk_s = 2.0;

int aur_ceiling_threads(int threads)
{
	struct aur_threads setup = {.requested = threads, .ranks_on_node = 1};
	aur_threads_setup(&setup);
	return setup.threads;
}

/* The best time of one call of `work`. */
static aur_status best_time(aur_status (*work)(void *context), void *context, double limit_s, double *best)
{
	const double start = aur_clock_s();
	*best = INFINITY;
	AUR_TRY(work(context));
	for (int i = 0; i < LEAST_TRIALS || aur_clock_s() - start < limit_s; i++) {
		const double before = aur_clock_s();
		AUR_TRY(work(context));
		*best = fmin(*best, aur_clock_s() - before);
	}
	return AUR_OK;
}

/* ---- matrix product ---- */

aur_status aur_ceiling_product(struct aur_backend *backend, enum aur_dtype dtype, double *flops_per_s)
{
	struct aur_ceiling *ceiling = NULL;
	*flops_per_s = 0;
	aur_status status;
	AUR_TRY_CLEANUP(aur_ceiling_open(backend, dtype, &ceiling));
	status = aur_ceiling_run(ceiling, product_s, flops_per_s);
cleanup:
	aur_ceiling_close(&ceiling);
	return status;
}

aur_status aur_ceiling_products(
	struct aur_backend *backend, enum aur_dtype dtype, int threads, double *one_thread, double *all_threads)
{
	enum { ROUNDS = 4 };
	struct aur_ceiling *ceiling = NULL;
	*one_thread = *all_threads = 0;
	aur_ceiling_threads(threads);
	aur_status status;
	AUR_TRY_CLEANUP(aur_ceiling_open(backend, dtype, &ceiling));
	for (int i = 0; i < ROUNDS; i++) {
		aur_ceiling_threads(1);
		AUR_TRY_CLEANUP(aur_ceiling_run(ceiling, product_s / ROUNDS, one_thread));
		aur_ceiling_threads(threads);
		AUR_TRY_CLEANUP(aur_ceiling_run(ceiling, product_s / ROUNDS, all_threads));
	}
cleanup:
	aur_ceiling_threads(threads);
	aur_ceiling_close(&ceiling);
	return status;
}

/* ---- memory ---- */

struct copy {
	struct aur_backend *backend;
	char *from, *to;
	int at_once; /* a device's copies are asked for together: one takes less time than it takes to wait for it */
};

static aur_status copy_once(void *context)
{
	struct copy *copy = context;
	for (int i = 0; i < copy->at_once; i++)
		AUR_TRY(copy->backend->ops->copy(copy->backend, copy->to, copy->from, copy_bytes));
	return copy->backend->ops->synchronise(copy->backend);
}

aur_status aur_ceiling_copy(struct aur_backend *backend, double *bytes_per_s)
{
	void *memory = NULL;
	double seconds;
	AUR_TRY(backend->ops->allocate(backend, 2 * copy_bytes, &memory));
	struct copy copy = {backend, memory, (char *)memory + copy_bytes, backend->host_memory ? 1 : COPIES_AT_ONCE};
	aur_status status;
	AUR_TRY_CLEANUP(backend->ops->zero(backend, memory, 2 * copy_bytes));
	AUR_TRY_CLEANUP(best_time(copy_once, &copy, copy_s, &seconds));
	*bytes_per_s = 2.0 * (double)copy_bytes * copy.at_once / seconds;
cleanup:
	backend->ops->release(backend, memory);
	return status;
}

/* ---- disk ---- */

static aur_status write_pieces(int file, const char *piece, size_t bytes, const char *folder, double *bytes_per_s)
{
	const double start = aur_clock_s();
	size_t written = 0;
	while (written < bytes && aur_clock_s() - start < disk_s) {
		const ssize_t got = write(file, piece, disk_piece);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return aur_fail(AUR_IO, "%s: cannot write: %s", folder, strerror(errno));
		written += (size_t)got;
	}
	if (fsync(file) != 0)
		return aur_fail(AUR_IO, "%s: fsync: %s", folder, strerror(errno));
	*bytes_per_s = (double)written / (aur_clock_s() - start);
	return AUR_OK;
}

aur_status aur_ceiling_disk(const char *folder, size_t bytes, double *bytes_per_s)
{
	char path[4096];
	snprintf(path, sizeof path, "%s/.aurelius-disk-XXXXXX", folder);
	const int file = mkostemp(path, O_CLOEXEC);
	if (file < 0)
		return aur_fail(AUR_IO, "%s: cannot be written: %s", folder, strerror(errno));
	/* Without a name nothing is left whatever happens to this process. */
	unlink(path);
	char *piece = malloc(disk_piece);
	aur_status status = AUR_OK;
	if (!piece)
		status = aur_fail(AUR_MEMORY, "%s: no memory to write from", folder);
	else {
		memset(piece, 'a', disk_piece);
		status = write_pieces(file, piece, bytes, folder, bytes_per_s);
	}
	free(piece);
	close(file);
	return status;
}
