#ifndef AUR_CUDA_LIBRARIES_H
#define AUR_CUDA_LIBRARIES_H

/* The large libraries that a GPU alone needs are opened when a GPU is: loading cuBLASLt takes some 60 ms of every
 * start, and a machine without GPUs need not have it. cublaslt.c and cudnn.c hold functions of the libraries' own names
 * that pass each call on; until the library is open they fail with its "not initialised".
 */

#include "core/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Fails with AUR_DEVICE, the library's name and the loader's text. Does nothing once it is open. */
aur_status aur_cublaslt_open(void);

/* Whether cuDNN could be opened; `why` (may be NULL) gets the reason why not. */
int aur_cudnn_open(char *why, size_t bytes);

#ifdef __cplusplus
}
#endif

#endif
