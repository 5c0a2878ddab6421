#include "product.cuh"

/* Which of the algorithms that cuBLASLt suggests is fastest for a shape. */

/* Runs of each that are timed, after one that warms up. */
enum { RUNS = 5 };

/* A later suggestion of the heuristic is taken only when it is faster by this factor: what differs by less is noise,
 * and the first is the same on every machine of a kind. */
static const float clearly_faster = 0.97f;

int aur_product_is_captured(const struct aur_cuda *cuda)
{
	cudaStreamCaptureStatus capture = cudaStreamCaptureStatusActive;
	const cudaError_t error = cudaStreamIsCapturing(cuda->stream, &capture);
	return error != cudaSuccess || capture != cudaStreamCaptureStatusNone;
}

int aur_product_may_measure(const struct aur_cuda *cuda, const struct aur_product_plan *plan)
{
	return cuda->products->measure && plan != &cuda->products->spare && !aur_product_is_captured(cuda);
}

struct stopwatch {
	cudaEvent_t start, stop;
};

/* What the library refuses to run at first is not timed. */
static aur_status take_time(struct aur_cuda *cuda, const char *who, const struct aur_product_plan *plan,
	const cublasLtMatmulAlgo_t *algorithm, const struct aur_product_operands *operands, struct stopwatch watch,
	int *refused, float *milliseconds)
{
	AUR_TRY(aur_product_run(cuda, who, plan, algorithm, operands, refused));
	if (*refused)
		return AUR_OK;
	AUR_TRY(aur_cuda_check(cudaEventRecord(watch.start, cuda->stream), who));
	for (int i = 0; i < RUNS; i++)
		AUR_TRY(aur_product_run(cuda, who, plan, algorithm, operands, NULL));
	AUR_TRY(aur_cuda_check(cudaEventRecord(watch.stop, cuda->stream), who));
	AUR_TRY(aur_cuda_check(cudaEventSynchronize(watch.stop), who));
	return aur_cuda_check(cudaEventElapsedTime(milliseconds, watch.start, watch.stop), who);
}

static aur_status find_fastest(struct aur_cuda *cuda, const char *who, const struct aur_product_plan *plan,
	const struct aur_product_candidates *found, const struct aur_product_operands *operands, struct stopwatch watch,
	int *best)
{
	float best_time = 3.4e38f;
	for (int i = 0; i < found->count; i++) {
		int refused = 1;
		float time = 0.0f;
		if (found->results[i].state == CUBLAS_STATUS_SUCCESS)
			AUR_TRY(take_time(cuda, who, plan, &found->results[i].algo, operands, watch, &refused, &time));
		if (!refused && time < best_time * clearly_faster) {
			*best = i;
			best_time = time;
		}
	}
	return AUR_OK;
}

/* A product that accumulates may not run several times into its output. */
static int take_spare_output(const struct aur_product_plan *plan, void **spare)
{
	const struct aur_product_key *key = &plan->key;
	const size_t element = aur_dtype_bytes(static_cast<enum aur_dtype>(key->c_type));
	if (cudaMalloc(spare, static_cast<size_t>((key->m - 1) * key->ldc + key->n) * element) == cudaSuccess)
		return 1;
	(void)cudaGetLastError(); /* forgotten: the next check would find it */
	*spare = NULL;
	return 0;
}

aur_status aur_product_measure(struct aur_cuda *cuda, const char *who, const struct aur_product_plan *plan,
	const struct aur_product_candidates *found, struct aur_product_operands operands, int *measured, int *best)
{
	struct stopwatch watch = {NULL, NULL};
	void *spare = NULL;
	*best = -1;
	*measured = !plan->key.accumulate || take_spare_output(plan, &spare);
	if (!*measured)
		return AUR_OK;
	if (spare)
		operands.d = spare;
	aur_status status = aur_cuda_check(cudaEventCreate(&watch.start), who);
	if (status == AUR_OK)
		status = aur_cuda_check(cudaEventCreate(&watch.stop), who);
	if (status == AUR_OK)
		status = find_fastest(cuda, who, plan, found, &operands, watch, best);
	if (watch.stop)
		(void)cudaEventDestroy(watch.stop);
	if (watch.start)
		(void)cudaEventDestroy(watch.start);
	(void)cudaFree(spare);
	(void)cudaGetLastError();
	return status;
}
