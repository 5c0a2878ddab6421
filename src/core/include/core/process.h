#ifndef AUR_CORE_PROCESS_H
#define AUR_CORE_PROCESS_H

#include <stdint.h>

/* Memory of this process in bytes, as Linux counts what is resident: its own pages, files it maps and its libraries.
 * 0 where the system does not say. */
int64_t aur_process_resident(void);

/* The most it has been so far. */
int64_t aur_process_peak(void);

#endif
