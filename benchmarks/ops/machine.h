#ifndef AUR_BENCH_OPS_MACHINE_H
#define AUR_BENCH_OPS_MACHINE_H

#include <stddef.h>

/* What the figures depend on. */
struct bench_machine {
	char processor[128];
	int cores;         /* this process may use */
	size_t level2;     /* bytes of one core's second-level cache; 0 where the system does not say */
	size_t last_level; /* bytes of the largest cache; 32 MiB where the system does not say */
};

void bench_machine_read(struct bench_machine *machine);

#endif
