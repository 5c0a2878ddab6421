#include "internal.cuh"

#include "math.cuh"
#include "reduce.cuh"
#include "token_groups.cuh"
#include "vector.cuh"

#include <math.h>

/* A table of next-token logits. All positions of one token share its row, so the positions are sorted by token
 * (token_groups.cu) and the block of a group's first position does the whole group: one pass over the row for the
 * largest logit and the sum of exponentials (online: Milakov, Gimelshein 2018, arXiv:1805.02867), a loss for each of
 * its positions, then d_table[token][j] += gradient_scale (n softmax[j] - n_j) with n positions in the group of which
 * n_j have the target j, counted in shared memory for some thousand columns at a time. A count has no order, so the
 * bits do not depend on how threads follow on each other. The blocks of the other positions end at once. Exponentials
 * are fp32, their sums fp64. The losses of a sequence are added in order of position. 4 bytes of table are read a
 * column and group, with gradients 16 more of both; whatever else depends on the tokens. */

namespace
{

enum { THREADS = 256, COLUMNS = 2048 };

const char who[] = "table_loss";

struct arguments {
	const int32_t *targets;
	const float *table;
	float *d_table; /* NULL: the losses alone */
	double *row_loss;
	aur_token_groups groups;
	int64_t vocabulary;
	float gradient_scale;
	int32_t *fault;
};

struct softmax {
	float max;
	double sum;
};

AUR_ON_DEVICE bool is_target(const arguments &f, int32_t target)
{
	return target >= 0 && target < f.vocabulary;
}

/* This thread's columns. Minus infinity alone adds nothing; a NaN makes the sum NaN. */
AUR_ON_DEVICE softmax share_of(const float *logits, int64_t n)
{
	softmax s = {-INFINITY, 0.0};
	for (int64_t j = threadIdx.x; j < n; j += THREADS) {
		const float x = logits[j];
		if (x > s.max) {
			s.sum *= static_cast<double>(expf(s.max - x));
			s.max = x;
		}
		s.sum += x == -INFINITY ? 0.0 : static_cast<double>(expf(x - s.max));
	}
	return s;
}

AUR_ON_DEVICE softmax softmax_of(const float *logits, int64_t n, float *shared, double *wide)
{
	const softmax mine = share_of(logits, n);
	softmax s;
	s.max = aur_block_max(mine.max, shared);
	s.sum =
		aur_block_sum(mine.max == -INFINITY ? mine.sum : mine.sum * exp(static_cast<double>(mine.max) - s.max), wide);
	return s;
}

AUR_ON_DEVICE void write_losses(const arguments &f, const float *logits, int64_t begin, int64_t end, softmax s)
{
	for (int64_t i = begin + threadIdx.x; i < end; i += THREADS) {
		const int32_t position = f.groups.position[i], target = f.targets[position];
		if (is_target(f, target))
			f.row_loss[position] = log(s.sum) + (static_cast<double>(s.max) - static_cast<double>(logits[target]));
		else
			*f.fault = AUR_FAULT_TABLE_TARGET;
	}
}

/* Counts the targets of [first, first + COLUMNS). */
AUR_ON_DEVICE void count_targets(const arguments &f, int64_t begin, int64_t end, int64_t first, int32_t *count)
{
	for (int j = threadIdx.x; j < COLUMNS; j += THREADS)
		count[j] = 0;
	__syncthreads();
	for (int64_t i = begin + threadIdx.x; i < end; i += THREADS) {
		const int32_t target = f.targets[f.groups.position[i]];
		if (is_target(f, target) && target >= first && target < first + COLUMNS)
			atomicAdd(&count[target - first], 1);
	}
	__syncthreads();
}

AUR_ON_DEVICE void add_gradients(
	const arguments &f, int32_t token, int64_t begin, int64_t end, softmax s, int32_t *count)
{
	const float *logits = f.table + token * f.vocabulary;
	float *gradient = f.d_table + token * f.vocabulary;
	const float factor = static_cast<float>(static_cast<double>(end - begin) / s.sum);
	for (int64_t first = 0; first < f.vocabulary; first += COLUMNS) {
		count_targets(f, begin, end, first, count);
		for (int64_t j = first + threadIdx.x; j < f.vocabulary && j < first + COLUMNS; j += THREADS) {
			const float expected = expf(logits[j] - s.max) * factor;
			gradient[j] += f.gradient_scale * (expected - static_cast<float>(count[j - first]));
		}
		__syncthreads();
	}
}

AUR_KERNEL(THREADS) do_groups(const arguments f)
{
	AUR_SHARED(float, shared, THREADS / AUR_LANES);
	AUR_SHARED(double, wide, THREADS / AUR_LANES);
	AUR_SHARED(int32_t, count, COLUMNS);
	for (int64_t begin = blockIdx.x; begin < f.groups.n; begin += gridDim.x) {
		const int32_t token = f.groups.token[begin];
		if (token >= f.vocabulary || (begin > 0 && f.groups.token[begin - 1] == token))
			continue;
		const int64_t end = aur_group_end(f.groups, token);
		const float *logits = f.table + token * f.vocabulary;
		const softmax s = softmax_of(logits, f.vocabulary, shared, wide);
		write_losses(f, logits, begin, end, s);
		if (f.d_table)
			add_gradients(f, token, begin, end, s, count);
	}
}

size_t loss_bytes(int64_t rows)
{
	return (static_cast<size_t>(rows) * sizeof(double) + 255) / 256 * 256;
}

size_t scratch_bytes(int64_t rows)
{
	return loss_bytes(rows) + aur_cuda_token_groups_bytes(rows);
}

} // namespace

size_t aur_table_loss_scratch_cuda(const struct aur_backend_limits *limits)
{
	return scratch_bytes(limits->batch * limits->positions);
}

aur_status aur_table_loss_cuda(struct aur_backend *backend, const struct aur_table_loss *op)
{
	AUR_TRY(aur_check_table_loss(op));
	struct aur_cuda *cuda = aur_cuda_of(backend);
	const int64_t batch = op->tokens.shape[0], positions = op->tokens.shape[1], rows = batch * positions;
	if (rows == 0)
		return AUR_OK;
	AUR_TRY(aur_cuda_check_scratch(cuda, who, scratch_bytes(rows)));
	arguments f = {};
	f.targets = static_cast<const int32_t *>(op->targets.data);
	f.table = static_cast<const float *>(op->table.data);
	f.d_table = static_cast<float *>(op->d_table.data);
	f.row_loss = reinterpret_cast<double *>(cuda->scratch);
	f.vocabulary = aur_columns(&op->table);
	f.gradient_scale = op->gradient_scale;
	f.fault = cuda->fault;
	AUR_TRY(aur_cuda_group_tokens(cuda, who, AUR_FAULT_TABLE_TOKEN, static_cast<const int32_t *>(op->tokens.data), rows,
		f.vocabulary, cuda->scratch + loss_bytes(rows), &f.groups));
	AUR_TRY(AUR_LAUNCH(who, (do_groups), aur_blocks_for(rows, 1), THREADS, 0, cuda->stream, f));
	return aur_cuda_sum_sequences(cuda, who, f.row_loss, batch, positions, static_cast<double *>(op->loss.data));
}
