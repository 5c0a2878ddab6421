#include "attention_check.cuh"

#include "attention.cuh"
#include "philox.cuh"
#include "reduce.cuh"

#include <math.h>
#include <new>
#include <stdio.h>

namespace
{

enum { THREADS = 256, WARPS = THREADS / AUR_LANES };

const char who[] = "comparing attention";

/* x[i] = uniform in +-sqrt(3), rounded to bf16. A thread writes four numbers of one draw of Philox: 2 bytes an element,
 * which is bound by the draws; 0.1 ms for GPT-2's micro-batch of 32. */
AUR_KERNEL(THREADS) fill_uniform(__nv_bfloat16 *x, int64_t count, uint32_t stream)
{
	const int64_t step = static_cast<int64_t>(gridDim.x) * THREADS;
	for (int64_t draw = blockIdx.x * static_cast<int64_t>(THREADS) + threadIdx.x; 4 * draw < count; draw += step) {
		const uint4 words = aur_philox_words(0, static_cast<uint32_t>(draw), stream, 0);
		const uint32_t word[4] = {words.x, words.y, words.z, words.w};
		for (int i = 0; i < 4 && 4 * draw + i < count; i++) {
			const float unit = static_cast<float>(static_cast<int32_t>(word[i])) * 4.656612873e-10f;
			x[4 * draw + i] = __float2bfloat16_rn(unit * 1.732050808f);
		}
	}
}

/* sums[row] = sum (theirs - ours)^2, sum ours^2 over columns [first, first + count) of rows of `pitch`. A warp a row,
 * so that its sums have one order; 4 bytes read an element, 8 written a row. It runs once: plain accesses are enough.
 */
AUR_KERNEL(THREADS)
compare_rows(const __nv_bfloat16 *ours, const __nv_bfloat16 *theirs, float2 *sums, int64_t rows, int64_t pitch,
	int64_t first, int64_t count)
{
	const int64_t row = blockIdx.x * static_cast<int64_t>(WARPS) + threadIdx.x / AUR_LANES;
	if (row >= rows)
		return;
	float difference = 0.0f, size = 0.0f;
	for (int64_t i = threadIdx.x % AUR_LANES; i < count; i += AUR_LANES) {
		const float x = __bfloat162float(ours[row * pitch + first + i]);
		const float d = __bfloat162float(theirs[row * pitch + first + i]) - x;
		difference += d * d;
		size += x * x;
	}
	difference = aur_warp_sum(difference);
	size = aur_warp_sum(size);
	if (threadIdx.x % AUR_LANES == 0)
		sums[row] = make_float2(difference, size);
}

enum side { OURS, THEIRS, SIDES };

struct trial {
	aur_cuda *cuda;
	const aur_attention_candidate *candidate;
	int64_t sequences, positions, heads, width, rows;
	int training;
	char *memory; /* owned, as is what the host reads */
	__nv_bfloat16 *qkv, *d_out, *out[SIDES], *d_qkv[SIDES];
	float *lse[SIDES];
	float2 *sums;
	char *host;
	size_t host_bytes;
	char *why;
	size_t why_bytes;
};

template <class T> T *take(char *base, size_t *used, int64_t count)
{
	char *at = base ? base + *used : NULL;
	*used += (static_cast<size_t>(count) * sizeof(T) + 255) / 256 * 256;
	return reinterpret_cast<T *>(at);
}

/* Run twice: counting, then over the memory. */
size_t carve(struct trial *trial, char *base)
{
	const int64_t n = trial->rows * trial->width, lses = trial->rows * trial->heads;
	size_t used = 0;
	trial->qkv = take<__nv_bfloat16>(base, &used, 3 * n);
	trial->sums = take<float2>(base, &used, trial->rows);
	for (int i = 0; i < SIDES; i++) {
		trial->out[i] = take<__nv_bfloat16>(base, &used, n);
		trial->lse[i] = take<float>(base, &used, lses);
	}
	if (!trial->training)
		return used;
	trial->d_out = take<__nv_bfloat16>(base, &used, n);
	for (int i = 0; i < SIDES; i++)
		trial->d_qkv[i] = take<__nv_bfloat16>(base, &used, 3 * n);
	return used;
}

void give_back(struct trial *trial)
{
	(void)cudaFree(trial->memory);
	delete[] trial->host;
	trial->memory = trial->host = NULL;
}

/* 0 when there is not so much. */
int take_memory(struct trial *trial)
{
	const size_t sums = static_cast<size_t>(trial->rows) * sizeof(float2);
	const size_t lses = static_cast<size_t>(SIDES * trial->rows * trial->heads) * sizeof(float);
	void *memory = NULL;
	trial->host_bytes = sums > lses ? sums : lses;
	trial->host = new (std::nothrow) char[trial->host_bytes];
	if (trial->host && cudaMalloc(&memory, carve(trial, NULL)) == cudaSuccess) {
		trial->memory = static_cast<char *>(memory);
		carve(trial, trial->memory);
		return 1;
	}
	(void)cudaGetLastError(); /* forgotten: the next check would find it */
	give_back(trial);
	return 0;
}

aur_status fill(const struct trial *trial, __nv_bfloat16 *x, int64_t count, uint32_t stream)
{
	return AUR_LAUNCH(
		who, (fill_uniform), aur_blocks_for(count, 4 * THREADS), THREADS, 0, trial->cuda->stream, x, count, stream);
}

/* Results begin as NaN: what is not written then shows. */
aur_status prepare(const struct trial *trial)
{
	const size_t from = static_cast<size_t>(reinterpret_cast<char *>(trial->sums) - trial->memory);
	struct trial counted = *trial;
	const size_t bytes = carve(&counted, NULL);
	AUR_TRY(aur_cuda_check(cudaMemsetAsync(trial->memory + from, 0xff, bytes - from, trial->cuda->stream), who));
	AUR_TRY(fill(trial, trial->qkv, 3 * trial->rows * trial->width, 1));
	return trial->training ? fill(trial, trial->d_out, trial->rows * trial->width, 2) : AUR_OK;
}

float scale_of(const struct trial *trial)
{
	return 1.0f / sqrtf(static_cast<float>(trial->width / trial->heads));
}

aur_attention_forward forward_of(const struct trial *trial, int side)
{
	aur_attention_forward op = {};
	op.qkv = aur_view2_of(trial->qkv, AUR_BF16, trial->rows, 3 * trial->width);
	op.out = aur_view2_of(trial->out[side], AUR_BF16, trial->rows, trial->width);
	op.lse = aur_view3(trial->lse[side], trial->sequences, trial->heads, trial->positions);
	op.batch = trial->sequences;
	op.positions = trial->positions;
	op.n_head = trial->heads;
	op.scale = scale_of(trial);
	return op;
}

/* Each side goes on from its own results, as in a training. */
aur_attention_backward backward_of(const struct trial *trial, int side)
{
	const aur_attention_forward forward = forward_of(trial, side);
	aur_attention_backward op = {};
	op.qkv = forward.qkv;
	op.out = forward.out;
	op.lse = forward.lse;
	op.d_out = aur_view2_of(trial->d_out, AUR_BF16, trial->rows, trial->width);
	op.d_qkv = aur_view2_of(trial->d_qkv[side], AUR_BF16, trial->rows, 3 * trial->width);
	op.batch = forward.batch;
	op.positions = forward.positions;
	op.n_head = forward.n_head;
	op.scale = forward.scale;
	return op;
}

/* The status of one call of the candidate; what it says of itself is a reason, a device that failed is a failure. */
aur_status judge(struct trial *trial, aur_status status, int served)
{
	if (status != AUR_OK) {
		snprintf(trial->why, trial->why_bytes, "failed: %s", aur_error_message());
		aur_error_clear();
	} else if (!served) {
		snprintf(trial->why, trial->why_bytes, "does not serve this shape");
	}
	return aur_cuda_check(cudaStreamSynchronize(trial->cuda->stream), who);
}

aur_status run_candidate_forward(struct trial *trial, int side)
{
	const aur_attention_forward op = forward_of(trial, side);
	int served = 0;
	const aur_status status = trial->candidate->forward(trial->candidate->self, &op, &served);
	return judge(trial, status, served);
}

aur_status run_candidate_backward(struct trial *trial, int side)
{
	aur_attention_backward op = backward_of(trial, THEIRS);
	op.d_qkv.data = trial->d_qkv[side];
	int served = 0;
	const aur_status status = trial->candidate->backward(trial->candidate->self, &op, &served);
	return judge(trial, status, served);
}

aur_status to_host(const struct trial *trial, void *to, const void *from, size_t bytes)
{
	AUR_TRY(aur_cuda_check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, trial->cuda->stream), who));
	return aur_cuda_check(cudaStreamSynchronize(trial->cuda->stream), who);
}

/* The larger, and infinity for what is no number. */
double worse(double a, double b)
{
	return b <= a ? a : isfinite(b) ? b : INFINITY;
}

double largest_of(const float2 *sums, int64_t rows)
{
	double mean = 0.0, largest = 0.0;
	for (int64_t i = 0; i < rows; i++)
		mean += static_cast<double>(sums[i].y) / static_cast<double>(rows);
	for (int64_t i = 0; i < rows; i++) {
		const double size = sums[i].y > mean ? static_cast<double>(sums[i].y) : mean;
		if (sums[i].x != 0.0f)
			largest = worse(largest, sqrt(static_cast<double>(sums[i].x) / size));
	}
	return largest;
}

/* Of rows of `pitch`, the C columns from `first` on. */
aur_status compare(struct trial *trial, const char *name, __nv_bfloat16 *const sides[SIDES], int64_t pitch,
	int64_t first, double tolerance)
{
	if (trial->why[0])
		return AUR_OK;
	AUR_TRY(AUR_LAUNCH(who, (compare_rows), aur_blocks_for(trial->rows, WARPS), THREADS, 0, trial->cuda->stream,
		sides[OURS], sides[THEIRS], trial->sums, trial->rows, pitch, first, trial->width));
	AUR_TRY(to_host(trial, trial->host, trial->sums, static_cast<size_t>(trial->rows) * sizeof(float2)));
	const double difference = largest_of(reinterpret_cast<const float2 *>(trial->host), trial->rows);
	if (difference <= tolerance)
		return AUR_OK;
	if (tolerance > 0.0)
		snprintf(trial->why, trial->why_bytes, "gives another %s, by %.2g of its size", name, difference);
	else
		snprintf(trial->why, trial->why_bytes, "gives another %s on a rerun", name);
	return AUR_OK;
}

aur_status compare_lse(struct trial *trial)
{
	const int64_t count = trial->rows * trial->heads;
	const size_t bytes = static_cast<size_t>(count) * sizeof(float);
	const float *ours = reinterpret_cast<float *>(trial->host), *theirs = ours + count;
	double difference = 0.0;
	if (trial->why[0])
		return AUR_OK;
	AUR_TRY(to_host(trial, trial->host, trial->lse[OURS], bytes));
	AUR_TRY(to_host(trial, trial->host + bytes, trial->lse[THEIRS], bytes));
	for (int64_t i = 0; i < count; i++)
		difference = worse(difference, fabs(static_cast<double>(ours[i]) - static_cast<double>(theirs[i])));
	if (!(difference <= AUR_ATTENTION_LSE_TOLERANCE))
		snprintf(trial->why, trial->why_bytes, "gives another log-sum-exp, by %.2g", difference);
	return AUR_OK;
}

aur_status compare_forward(struct trial *trial)
{
	const aur_attention_forward op = forward_of(trial, OURS);
	AUR_TRY(run_candidate_forward(trial, THEIRS));
	AUR_TRY(aur_attention_forward_tiled(trial->cuda, &op));
	AUR_TRY(compare(trial, "output", trial->out, trial->width, 0, AUR_ATTENTION_ROW_TOLERANCE));
	return compare_lse(trial);
}

const char *const names[] = {"gradient of Q", "gradient of K", "gradient of V"};

aur_status compare_backward(struct trial *trial)
{
	const aur_attention_backward op = backward_of(trial, OURS);
	if (trial->why[0] || !trial->training)
		return AUR_OK;
	AUR_TRY(run_candidate_backward(trial, THEIRS));
	AUR_TRY(aur_attention_backward_tiled(trial->cuda, &op));
	for (int i = 0; i < 3; i++)
		AUR_TRY(
			compare(trial, names[i], trial->d_qkv, 3 * trial->width, i * trial->width, AUR_ATTENTION_ROW_TOLERANCE));
	return AUR_OK;
}

/* Into the memory of our own results, which are not needed any more. */
aur_status compare_rerun(struct trial *trial)
{
	if (trial->why[0] || !trial->cuda->base.deterministic)
		return AUR_OK;
	AUR_TRY(run_candidate_forward(trial, OURS));
	AUR_TRY(compare(trial, "output", trial->out, trial->width, 0, 0.0));
	if (trial->why[0] || !trial->training)
		return AUR_OK;
	AUR_TRY(run_candidate_backward(trial, OURS));
	for (int i = 0; i < 3; i++)
		AUR_TRY(compare(trial, names[i], trial->d_qkv, 3 * trial->width, i * trial->width, 0.0));
	return AUR_OK;
}

aur_status run(struct trial *trial)
{
	trial->why[0] = '\0';
	AUR_TRY(prepare(trial));
	AUR_TRY(compare_forward(trial));
	AUR_TRY(compare_backward(trial));
	return compare_rerun(trial);
}

} // namespace

aur_status aur_attention_check(aur_cuda *cuda, const aur_attention_candidate &candidate,
	const struct aur_backend_limits &limits, char *why, size_t bytes)
{
	struct trial trial = {};
	trial.cuda = cuda;
	trial.candidate = &candidate;
	trial.positions = limits.positions;
	trial.heads = limits.heads;
	trial.width = limits.width;
	trial.training = limits.training;
	trial.why = why;
	trial.why_bytes = bytes;
	snprintf(why, bytes, "could not be compared: there is no memory for it");
	for (trial.sequences = limits.batch; trial.sequences > 0; trial.sequences /= 2) {
		trial.rows = trial.sequences * trial.positions;
		if (!take_memory(&trial))
			continue;
		const aur_status status = run(&trial);
		give_back(&trial);
		return status;
	}
	return AUR_OK;
}
