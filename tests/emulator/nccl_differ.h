#ifndef AUR_TESTS_EMULATOR_NCCL_DIFFER_H
#define AUR_TESTS_EMULATOR_NCCL_DIFFER_H

#include <stddef.h>

/* Two ranks of MPI_COMM_WORLD make one call of NCCL each, which on rank 1 has one argument of its own: `type`, `root`
 * and `operation` of a reduction, the operation of one that is `scattered`, the root of a `broadcast`, the type of what
 * is `gathered` or of a `message`; `nothing`: none. Collective.
 *
 * wait: does what streams were asked. Returns whether the call failed, with NCCL's words for it in text. */
int nccl_differ(int rank, const char *what, void (*wait)(void), char *text, size_t bytes);

#endif
