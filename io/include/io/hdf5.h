#ifndef AUR_IO_HDF5_H
#define AUR_IO_HDF5_H

#include "core/status.h"

#include <stddef.h>

/* Prepares the HDF5 library for this process. main calls it before anything else that may use HDF5, and ignores SIGXFSZ
 * so that a file-size limit is an error of a write and not the end of the process. Everything else in this box calls it
 * by itself, so that forgetting it costs only the guarantee of being first.
 *
 *   no exit handler   it crashes after a failed write (a full disk), and everything is closed explicitly anyway
 *   no plugins        a file must not be able to have code loaded
 *   no printing       errors travel as messages
 */
void aur_hdf5_start(void);

/* What a file is, by its attribute `format`: "aurelius-tokens" or "aurelius-checkpoint". Fails with AUR_INPUT and what
 * it is instead when it is neither. */
aur_status aur_hdf5_kind(const char *path, char kind[32]);

/* "1.10.8", and whether this build of the library may be called by several threads. */
void aur_hdf5_version(char *version, size_t bytes, int *thread_safe);

#endif
