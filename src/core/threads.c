#include "core/threads.h"

#include <omp.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int cores_in_mask(void)
{
	cpu_set_t mask;
	if (sched_getaffinity(0, sizeof mask, &mask) != 0)
		return 1;
	const int count = CPU_COUNT(&mask);
	return count > 0 ? count : 1;
}

/* Asks for every core; the kernel grants those of the process's cpuset. Returns how many it may use now. */
static int widen_mask(void)
{
	cpu_set_t all;
	memset(&all, 0xff, sizeof all);
	if (sched_setaffinity(0, sizeof all, &all) != 0)
		return cores_in_mask();
	return cores_in_mask();
}

/* A Slurm job may use no more cores of the node than it was given, though the kernel would often grant them all. */
static int limit_to_job(int cores)
{
	const char *given = getenv("SLURM_JOB_ID") ? getenv("SLURM_CPUS_ON_NODE") : NULL;
	const int count = given ? atoi(given) : 0;
	return count > 0 && count < cores ? count : cores;
}

void aur_threads_setup(struct aur_threads *threads)
{
	cpu_set_t original;
	const int original_known = sched_getaffinity(0, sizeof original, &original) == 0;
	threads->confined_to = cores_in_mask();
	threads->cores = limit_to_job(widen_mask());
	const int ranks = threads->ranks_on_node > 0 ? threads->ranks_on_node : 1;
	const int share = threads->cores / ranks > 0 ? threads->cores / ranks : 1;
	threads->threads = threads->requested > 0 ? threads->requested : share;
	threads->widened = threads->confined_to < threads->threads && threads->cores > threads->confined_to;
	threads->confined = threads->cores < threads->threads;
	/* A mask that is wide enough was somebody's decision: it is put back. */
	if (!threads->widened && original_known)
		sched_setaffinity(0, sizeof original, &original);
	omp_set_dynamic(0);
	omp_set_num_threads(threads->threads);
}

int aur_threads_now(void)
{
	return omp_get_max_threads();
}

void aur_threads_use(int threads)
{
	omp_set_num_threads(threads);
}

static int set_default(const char *name, const char *value)
{
	if (getenv(name))
		return 0;
	return setenv(name, value, 0) == 0;
}

int aur_threads_environment(void)
{
	int changed = 0;
	if (!getenv("OMP_WAIT_POLICY")) {
		changed |= set_default("GOMP_SPINCOUNT", "1000");
		changed |= set_default("KMP_BLOCKTIME", "0"); /* clang's library */
	}
	return changed;
}
