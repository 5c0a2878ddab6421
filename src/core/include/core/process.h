#ifndef AUR_CORE_PROCESS_H
#define AUR_CORE_PROCESS_H

#include <stdint.h>

/* Memory of this process in bytes, as Linux counts what is resident: its own pages, files it maps and its libraries.
 * 0 where the system does not say. */
int64_t aur_process_resident(void);

/* The most it has been so far. */
int64_t aur_process_peak(void);

/* Memory of the machine, or of the container where that is granted less: all of it, and what can be taken without
 * swapping. 0 where the system does not say. */
void aur_machine_memory(int64_t *all, int64_t *available);

/* The most that this process can ever hold as one of `sharers` alike on this machine: its part of memory and swap, or
 * of what their container grants, unless its own limit (ulimit -v) is less. 0 where the system does not say. */
int64_t aur_process_room(int sharers);

#endif
