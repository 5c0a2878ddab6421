#include "internal.cuh"
#include "vector.cuh"

/* y = x in another type, eight elements a thread: 6 bytes an element, a few integer instructions. The bf16 copy of the
 * weights of gpt2-124m, 124 M elements: 747 MB, 0.19 ms at 4 TB/s. */

namespace
{

enum { THREADS = 256, BLOCK = THREADS * AUR_VECTOR };

template <bool WIDE> AUR_ON_DEVICE void convert(const float *x, __nv_bfloat16 *y, int64_t n)
{
	float v[AUR_VECTOR];
	aur_load8<WIDE>(x, n, v);
	aur_eight<__nv_bfloat16> eight;
	for (int j = 0; j < AUR_VECTOR / 2; j++)
		eight.word[j] = aur_bf16_bits(v[2 * j]) | aur_bf16_bits(v[2 * j + 1]) << 16;
	aur_write8<WIDE>(y, n, eight);
}

template <bool WIDE> AUR_ON_DEVICE void convert(const __nv_bfloat16 *x, float *y, int64_t n)
{
	float v[AUR_VECTOR];
	aur_load8<WIDE>(x, n, v);
	aur_store8<WIDE>(y, n, v);
}

template <class FROM, class TO> AUR_KERNEL(THREADS) convert_all(const FROM *x, TO *y, int64_t count, bool wide)
{
	const int64_t step = static_cast<int64_t>(gridDim.x) * BLOCK;
	for (int64_t i = blockIdx.x * static_cast<int64_t>(BLOCK) + threadIdx.x * AUR_VECTOR; i < count; i += step) {
		if (wide && count - i >= AUR_VECTOR)
			convert<true>(x + i, y + i, AUR_VECTOR);
		else
			convert<false>(x + i, y + i, count - i);
	}
}

template <class FROM, class TO> aur_status launch(const struct aur_cuda *cuda, const struct aur_cast *op, int64_t count)
{
	const FROM *x = static_cast<const FROM *>(op->x.data);
	TO *y = static_cast<TO *>(op->y.data);
	return AUR_LAUNCH("cast", (convert_all<FROM, TO>), aur_blocks_for(count, BLOCK), THREADS, 0, cuda->stream, x, y,
		count, aur_all_aligned(x, y));
}

} // namespace

aur_status aur_cast_cuda(struct aur_backend *backend, const struct aur_cast *op)
{
	AUR_TRY(aur_check_cast(op));
	const int64_t count = aur_tensor_count(&op->x);
	if (count == 0)
		return AUR_OK;
	if (op->x.dtype == AUR_F32)
		return launch<float, __nv_bfloat16>(aur_cuda_of(backend), op, count);
	return launch<__nv_bfloat16, float>(aur_cuda_of(backend), op, count);
}
