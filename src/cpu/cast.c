#include "internal.h"
#include "rows.h"

enum { BLOCK = 32768 };

static void narrow(const float *x, int64_t n, uint16_t *y)
{
#pragma omp simd
	for (int64_t i = 0; i < n; i++)
		y[i] = aur_narrow(x[i]);
}

static void widen(const uint16_t *x, int64_t n, float *y)
{
#pragma omp simd
	for (int64_t i = 0; i < n; i++)
		y[i] = aur_widen(x[i]);
}

/* Elements [begin, begin + n), the first of them to `to`. */
static void convert(const struct aur_cast *op, int64_t begin, int64_t n, void *to)
{
	if (op->x.dtype == AUR_F32)
		narrow(aur_elements(&op->x, begin), n, to);
	else
		widen(aur_elements(&op->x, begin), n, to);
}

static void convert_block(const struct aur_cast *op, int64_t begin, int64_t end, int streams)
{
	_Alignas(64) float piece[AUR_PIECE];
	if (!streams) {
		convert(op, begin, end - begin, aur_elements(&op->y, begin));
		return;
	}
	for (; begin < end; begin += AUR_PIECE) {
		const int64_t n = end - begin < AUR_PIECE ? end - begin : AUR_PIECE;
		convert(op, begin, n, piece);
		aur_stream(aur_elements(&op->y, begin), piece, (size_t)n * aur_element_bytes(op->y.dtype));
	}
	aur_stream_end();
}

aur_status aur_cast_cpu(struct aur_backend *backend, const struct aur_cast *op)
{
	(void)backend;
	const int64_t count = aur_tensor_count(&op->x);
	AUR_TRY(aur_check_cast(op));
	const int streams = aur_streams(&op->y);
#pragma omp parallel for schedule(static)
	for (int64_t begin = 0; begin < count; begin += BLOCK)
		convert_block(op, begin, begin + BLOCK < count ? begin + BLOCK : count, streams);
	return AUR_OK;
}
