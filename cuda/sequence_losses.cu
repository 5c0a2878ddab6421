#include "internal.cuh"

/* Losses of rows to losses of sequences, for the heads that compute them. */

namespace
{

enum { SUM_THREADS = 256 };

/* loss[b] = sum over t, ascending, of row_loss[b, t]. One block a sequence: all threads fetch, one adds, so that the
 * order is that of the positions. 8 bytes read a row; some 20 us for 1024 positions, once a micro-step. */
AUR_KERNEL(SUM_THREADS) sum_sequences(const double *row_loss, int64_t positions, double *loss)
{
	AUR_SHARED(double, piece, SUM_THREADS);
	const double *rows = row_loss + static_cast<int64_t>(blockIdx.x) * positions;
	double sum = 0.0;
	for (int64_t first = 0; first < positions; first += SUM_THREADS) {
		const int64_t left = positions - first;
		if (threadIdx.x < left)
			piece[threadIdx.x] = rows[first + threadIdx.x];
		__syncthreads();
		for (int t = 0; threadIdx.x == 0 && t < SUM_THREADS && t < left; t++)
			sum += piece[t];
		__syncthreads();
	}
	if (threadIdx.x == 0)
		loss[blockIdx.x] = sum;
}

} // namespace

aur_status aur_cuda_sum_sequences(const struct aur_cuda *cuda, const char *who, const double *row_loss,
	int64_t sequences, int64_t positions, double *loss)
{
	return AUR_LAUNCH(who, (sum_sequences), static_cast<unsigned>(sequences), SUM_THREADS, 0, cuda->stream, row_loss,
		positions, loss);
}
