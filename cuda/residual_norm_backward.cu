#include "residual_norm.cuh"

#include "column_sums.cuh"
#include "dropout.cuh"
#include "reduce.cuh"
#include "vector.cuh"

/* The backward pass. With g = d_y + d_y2, xhat = (s - mean) rstd:
 *   d_s = rstd (g gamma - mean_C(g gamma) - xhat mean_C(g gamma xhat)) + d_residual
 *   d_gamma += sum_N g xhat          d_beta += sum_N g
 *
 * The rows are cut into parts, their number a constant of the shape, one block each. A block holds a few rows at a time
 * in registers as they lie in memory, eight columns of each a thread, and widens them twice; it sums g xhat and g of
 * its columns over the rows of its part, in order, in registers as well. column_sums.cu then adds the parts. So an
 * element is read and written once: d_y, d_residual and s read, d_a written is 8 bytes in bf16, 16 in fp32; d_y2 and
 * d_b add 2 (4) each. gpt2-124m, 65,536 rows of 768: 403 MB, 0.10 ms at 4 TB/s; the 384 parts are 2.4 MB.
 *
 * Rows too wide for that are read twice for d_a and once for the parts' sums. */

namespace
{

const char who[] = "residual_norm_backward";

/* With four rows of bf16 at a time a multiprocessor has registers for four blocks of 96 threads; with this many parts
 * those of gpt2-124m are all resident at once on anything from 96 multiprocessors up. */
constexpr int64_t MOST_PARTS = 384, LEAST_ROWS = 8;

template <class T> struct arguments {
	const T *d_y, *d_y2, *d_residual, *s; /* d_y2 and d_residual may be NULL */
	T *d_a, *d_b;                         /* d_a may be an operand; d_b NULL */
	const float *gamma, *mean, *rstd;
	float *partial; /* [parts, 2 columns]: of gamma, of beta */
	int64_t rows, columns, sequence, parts;
	aur_dropout_mask mask;
};

/* Eight columns of a row, as read. */
template <class T> struct operands {
	aur_eight<T> d_y, d_y2, d_residual, s;
	float mean, rstd;
};

template <bool WIDE, class T>
AUR_ON_DEVICE operands<T> read_operands(const arguments<T> &f, int64_t row, int64_t end, int64_t column)
{
	const int64_t at = row * f.columns + column, n = row < end ? f.columns - column : 0;
	operands<T> o;
	o.d_y = aur_read8<WIDE>(f.d_y + at, n);
	o.s = aur_read8<WIDE>(f.s + at, n);
	o.d_y2 = aur_read8_if<WIDE>(f.d_y2, at, n);
	o.d_residual = aur_read8_if<WIDE>(f.d_residual, at, n);
	o.mean = row < end ? f.mean[row] : 0.0f;
	o.rstd = row < end ? f.rstd[row] : 0.0f;
	return o;
}

template <class T>
AUR_ON_DEVICE void widen_operands(const operands<T> &o, float (&g)[AUR_VECTOR], float (&xhat)[AUR_VECTOR])
{
	float d_y2[AUR_VECTOR];
	aur_widen8(o.d_y, g);
	aur_widen8(o.d_y2, d_y2);
	aur_widen8(o.s, xhat);
	for (int j = 0; j < AUR_VECTOR; j++) {
		g[j] += d_y2[j];
		xhat[j] = (xhat[j] - o.mean) * o.rstd;
	}
}

/* Adds to the row's sums of g gamma and g gamma xhat. */
template <class T>
AUR_ON_DEVICE void add_sums(
	const operands<T> &o, const float (&gamma)[AUR_VECTOR], int64_t n, float &scaled, float &correlated)
{
	float g[AUR_VECTOR], xhat[AUR_VECTOR];
	widen_operands(o, g, xhat);
	for (int j = 0; j < AUR_VECTOR; j++) {
		scaled += j < n ? g[j] * gamma[j] : 0.0f;
		correlated += j < n ? g[j] * gamma[j] * xhat[j] : 0.0f;
	}
}

/* Adds to the columns' sums of g xhat and g. */
template <class T>
AUR_ON_DEVICE void add_columns(const operands<T> &o, float (&d_gamma)[AUR_VECTOR], float (&d_beta)[AUR_VECTOR])
{
	float g[AUR_VECTOR], xhat[AUR_VECTOR];
	widen_operands(o, g, xhat);
	for (int j = 0; j < AUR_VECTOR; j++) {
		d_gamma[j] += g[j] * xhat[j];
		d_beta[j] += g[j];
	}
}

/* d_a, and d_b where there is one. */
template <bool WIDE, class T>
AUR_ON_DEVICE void write_gradients(const arguments<T> &f, int64_t row, int64_t column, const operands<T> &o,
	const float (&gamma)[AUR_VECTOR], float scaled, float correlated)
{
	const int64_t at = row * f.columns + column, n = f.columns - column;
	const float mean1 = scaled / static_cast<float>(f.columns), mean2 = correlated / static_cast<float>(f.columns);
	float g[AUR_VECTOR], xhat[AUR_VECTOR], d_s[AUR_VECTOR];
	widen_operands(o, g, xhat);
	aur_widen8(o.d_residual, d_s);
	for (int j = 0; j < AUR_VECTOR; j++)
		d_s[j] += o.rstd * (g[j] * gamma[j] - mean1 - xhat[j] * mean2);
	aur_store8<WIDE>(f.d_a + at, n, d_s);
	if (!f.d_b)
		return;
	aur_dropout_apply(f.mask, row, f.sequence, column, f.columns, d_s);
	aur_store8<WIDE>(f.d_b + at, n, d_s);
}

/* A thread's columns of gamma, and of a part's sums. */
struct columns {
	float gamma[AUR_VECTOR], d_gamma[AUR_VECTOR], d_beta[AUR_VECTOR];
};

template <bool WIDE, int ROWS, class T>
AUR_ON_DEVICE void step_rows(
	const arguments<T> &f, int64_t first, int64_t end, int64_t column, columns &c, float *shared)
{
	operands<T> o[ROWS];
	float sums[2 * ROWS] = {};
	for (int r = 0; r < ROWS; r++)
		o[r] = read_operands<WIDE>(f, first + r, end, column);
	for (int r = 0; r < ROWS; r++) {
		add_sums(o[r], c.gamma, f.columns - column, sums[2 * r], sums[2 * r + 1]);
		add_columns(o[r], c.d_gamma, c.d_beta);
	}
	aur_block_sums(sums, shared);
	for (int r = 0; r < ROWS && first + r < end; r++)
		write_gradients<WIDE>(f, first + r, column, o[r], c.gamma, sums[2 * r], sums[2 * r + 1]);
}

template <bool WIDE, class T>
AUR_ON_DEVICE void write_part(const arguments<T> &f, int64_t part, int64_t column, const columns &c)
{
	float *to = f.partial + part * 2 * f.columns + column;
	aur_store8<WIDE>(to, f.columns - column, c.d_gamma);
	aur_store8<WIDE>(to + f.columns, f.columns - column, c.d_beta);
}

/* A block is a part. */
template <bool WIDE, class T, int THREADS, int ROWS> AUR_KERNEL(THREADS) backward(const arguments<T> f)
{
	AUR_SHARED(float, shared, 2 * ROWS * THREADS / AUR_LANES);
	const int64_t column = threadIdx.x * AUR_VECTOR;
	const int64_t end = f.rows * (blockIdx.x + 1) / f.parts;
	columns c = {};
	aur_load8<WIDE>(f.gamma + column, f.columns - column, c.gamma);
	for (int64_t row = f.rows * blockIdx.x / f.parts; row < end; row += ROWS)
		step_rows<WIDE, ROWS>(f, row, end, column, c, shared);
	write_part<WIDE>(f, blockIdx.x, column, c);
}

/* The parts' sums of wide rows: a block has some columns of one part. */
template <bool WIDE, class T> AUR_KERNEL(AUR_NORM_LARGE) sum_long_parts(const arguments<T> f)
{
	const int64_t column = (blockIdx.x * static_cast<int64_t>(AUR_NORM_LARGE) + threadIdx.x) * AUR_VECTOR;
	const int64_t end = f.rows * (blockIdx.y + 1) / f.parts;
	columns c = {};
	for (int64_t row = f.rows * blockIdx.y / f.parts; row < end; row++)
		add_columns(read_operands<WIDE>(f, row, end, column), c.d_gamma, c.d_beta);
	write_part<WIDE>(f, blockIdx.y, column, c);
}

template <bool WIDE, class T> AUR_KERNEL(AUR_NORM_LARGE) backward_long(const arguments<T> f)
{
	AUR_SHARED(float, shared, 2 * AUR_NORM_LARGE / AUR_LANES);
	const int64_t begin = threadIdx.x * AUR_VECTOR, step = blockDim.x * AUR_VECTOR;
	for (int64_t row = blockIdx.x; row < f.rows; row += gridDim.x) {
		float sums[2] = {}, gamma[AUR_VECTOR];
		for (int64_t column = begin; column < f.columns; column += step) {
			aur_load8<WIDE>(f.gamma + column, f.columns - column, gamma);
			add_sums(read_operands<WIDE>(f, row, f.rows, column), gamma, f.columns - column, sums[0], sums[1]);
		}
		aur_block_sums(sums, shared);
		for (int64_t column = begin; column < f.columns; column += step) {
			aur_load8<WIDE>(f.gamma + column, f.columns - column, gamma);
			write_gradients<WIDE>(f, row, column, read_operands<WIDE>(f, row, f.rows, column), gamma, sums[0], sums[1]);
		}
	}
}

int64_t parts_of(int64_t rows)
{
	const int64_t parts = (rows + LEAST_ROWS - 1) / LEAST_ROWS;
	return parts < MOST_PARTS ? parts : MOST_PARTS;
}

size_t scratch_bytes(int64_t rows, int64_t columns)
{
	return static_cast<size_t>(parts_of(rows) * 2 * columns) * sizeof(float);
}

/* The sums come first: d_a may be one of the operands. */
template <bool WIDE, class T> aur_status launch_long(const struct aur_cuda *cuda, const arguments<T> &f)
{
	const int64_t held = AUR_NORM_HELD;
	const dim3 grid(aur_blocks_for(f.columns, held), static_cast<unsigned>(f.parts));
	AUR_TRY(AUR_LAUNCH(who, (sum_long_parts<WIDE, T>), grid, AUR_NORM_LARGE, 0, cuda->stream, f));
	return AUR_LAUNCH(who, (backward_long<WIDE, T>), aur_blocks_for(f.rows, 1), AUR_NORM_LARGE, 0, cuda->stream, f);
}

/* As many rows at a time as leave 16 bytes of each operand in registers. */
template <bool WIDE, class T> aur_status launch(const struct aur_cuda *cuda, const arguments<T> &f)
{
	constexpr int few = sizeof(T) == sizeof(float) ? 1 : 2;
	const int threads = aur_norm_threads(f.columns);
	const unsigned blocks = static_cast<unsigned>(f.parts);
	if (threads <= AUR_NORM_SMALL)
		return AUR_LAUNCH(who, (backward<WIDE, T, AUR_NORM_SMALL, 2 * few>), blocks, threads, 0, cuda->stream, f);
	if (threads <= AUR_NORM_LARGE)
		return AUR_LAUNCH(who, (backward<WIDE, T, AUR_NORM_LARGE, few>), blocks, threads, 0, cuda->stream, f);
	return launch_long<WIDE>(cuda, f);
}

template <class T> aur_status run(struct aur_cuda *cuda, const struct aur_residual_norm_backward *op)
{
	arguments<T> f = {};
	f.d_y = static_cast<const T *>(op->d_y.data);
	f.d_y2 = static_cast<const T *>(op->d_y2.data);
	f.d_residual = static_cast<const T *>(op->d_residual.data);
	f.s = static_cast<const T *>(op->s.data);
	f.d_a = static_cast<T *>(op->d_a.data);
	f.d_b = op->d_b.data == op->d_a.data ? NULL : static_cast<T *>(op->d_b.data);
	f.gamma = static_cast<const float *>(op->gamma.data);
	f.mean = static_cast<const float *>(op->mean.data);
	f.rstd = static_cast<const float *>(op->rstd.data);
	f.rows = aur_tensor_count(&op->mean);
	f.columns = aur_tensor_count(&op->gamma);
	f.sequence = op->sequence;
	f.parts = parts_of(f.rows);
	f.mask = aur_dropout_mask_of(&op->dropout);
	AUR_TRY(aur_cuda_check_scratch(cuda, who, scratch_bytes(f.rows, f.columns)));
	f.partial = reinterpret_cast<float *>(cuda->scratch);
	if (f.columns % AUR_VECTOR == 0 && aur_all_aligned(f.d_y, f.d_y2, f.d_residual, f.s, f.d_a, f.d_b, f.gamma))
		AUR_TRY((launch<true, T>(cuda, f)));
	else
		AUR_TRY((launch<false, T>(cuda, f)));
	/* Without a gradient of beta its half is left where it is. */
	float *d_gamma = static_cast<float *>(op->d_gamma.data), *d_beta = static_cast<float *>(op->d_beta.data);
	return aur_cuda_add_parts(cuda, who, f.partial, f.parts, f.columns, 2 * f.columns, d_gamma, d_beta);
}

} // namespace

size_t aur_residual_norm_scratch_cuda(const struct aur_backend_limits *limits)
{
	return limits->training ? scratch_bytes(limits->batch * limits->positions, limits->width) : 0;
}

aur_status aur_residual_norm_backward_cuda(struct aur_backend *backend, const struct aur_residual_norm_backward *op)
{
	AUR_TRY(aur_check_residual_norm_backward(op));
	if (op->d_y.dtype == AUR_BF16)
		return run<__nv_bfloat16>(aur_cuda_of(backend), op);
	return run<float>(aur_cuda_of(backend), op);
}
