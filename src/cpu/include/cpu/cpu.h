#ifndef AUR_CPU_CPU_H
#define AUR_CPU_CPU_H

#include "backend/backend.h"

/* The CPU backend, for aur_backend_register. Picks the best instruction set the processor has; AURELIUS_CPU_VARIANT
 * (baseline, avx2, avx512) forces one that it has. */
extern const struct aur_backend_factory aur_cpu_factory;

#endif
