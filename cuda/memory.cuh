#ifndef AUR_CUDA_MEMORY_CUH
#define AUR_CUDA_MEMORY_CUH

#include "internal.cuh"

/* The memory operations of the table.
 *
 * upload() copies the host's bytes into pinned memory before it returns and goes on from there by itself: the host's
 * memory is borrowed only during the call, and the host waits for nothing but room in that memory, AUR_STAGING_SLOTS of
 * AUR_STAGING_BYTES. A micro-batch takes three, more where its tokens are over AUR_STAGING_BYTES, so the host is a
 * whole step of some twenty micro-batches ahead before it waits, with those queued behind what it waits for. download()
 * returns when the bytes are there, which waits for all operations before it and reports what went wrong in them as
 * synchronise() does: numbers computed from a wrong token look like any. copy() and zero() are asynchronous on the
 * compute stream as every operation.
 */

enum { AUR_STAGING_SLOTS = 64, AUR_STAGING_BYTES = 1 << 17 };

/* Owned pinned memory, taken round after round; a slot is free again when its event has come. */
struct aur_cuda_staging {
	char *slots;                         /* AUR_STAGING_SLOTS * AUR_STAGING_BYTES */
	cudaEvent_t read[AUR_STAGING_SLOTS]; /* the device has read the slot */
	int next;
	int32_t *fault; /* where synchronise() reads the device's fault word */
};

aur_status aur_cuda_staging_create(struct aur_cuda *cuda);
/* Accepts one that was created in part, or never. */
void aur_cuda_staging_destroy(struct aur_cuda *cuda);

aur_status aur_cuda_allocate(struct aur_backend *backend, size_t bytes, void **memory);
void aur_cuda_release(struct aur_backend *backend, void *memory);
aur_status aur_cuda_upload(struct aur_backend *backend, void *to_device, const void *from_host, size_t bytes);
aur_status aur_cuda_download(struct aur_backend *backend, void *to_host, const void *from_device, size_t bytes);
aur_status aur_cuda_copy(struct aur_backend *backend, void *to, const void *from, size_t bytes);
aur_status aur_cuda_zero(struct aur_backend *backend, void *memory, size_t bytes);

/* As ops->room. */
aur_status aur_cuda_room(struct aur_backend *backend, int64_t *bytes);

/* Waits for the compute stream. What a kernel found wrong meanwhile is AUR_INPUT, told once. */
aur_status aur_cuda_synchronise(struct aur_backend *backend);

/* The two halves of it (struct aur_backend_streams). */
aur_status aur_cuda_note_fault(struct aur_backend *backend, int32_t *fault);
aur_status aur_cuda_judge_fault(struct aur_backend *backend, int32_t fault);

/* scratch.cu. `bytes` counts the workspace of cuBLASLt, which open() took, with the scratch memory. */
aur_status aur_cuda_reserve(struct aur_backend *backend, const struct aur_backend_limits *limits, size_t *bytes);

#endif
