#ifndef AUR_CUDA_CUDA_H
#define AUR_CUDA_CUDA_H

#include "backend/backend.h"

/* The CUDA backend. Opening it takes the device that aur_backend_use_device chose (0 unless it was called) and fails
 * with AUR_DEVICE and what is missing: no driver, a driver or a GPU too old, no cuBLASLt. Under the emulator the device
 * is this processor. */
extern const struct aur_backend_factory aur_cuda_factory;

#endif
