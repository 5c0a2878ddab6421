#ifndef AUR_CUDA_MMA_CUH
#define AUR_CUDA_MMA_CUH

/* The tensor cores' product of a warp, and what feeds it, for compute capability 8.0 and later.
 *
 *   aur_mma             c [16,8] fp32 += a [16,16] bf16 times b [16,8] bf16
 *   aur_load_matrices   four 8 x 8 matrices of bf16 from shared memory into a warp's registers
 *   aur_copy_async      4, 8 or 16 bytes from global to shared memory without a detour through registers
 *
 * A warp calls the first two with all of its lanes. Register i of a loading lane gets two neighbours of matrix i, whose
 * rows, of 16 bytes, lanes 8i to 8i + 7 name; aur_load_matrices_transposed: two of its transpose. What aur_copy_async
 * copies (zeros, and nothing is read, where not valid; both addresses are multiples of its BYTES) is there when the
 * thread has passed aur_copy_async_wait, and seen by others after a barrier.
 *
 * Each number of a, b and c lies in one register of one lane (PTX ISA, "Matrix Fragments for mma.m16n8k16 with
 * floating point type"). With g = lane / 4 and t = lane % 4, the lower of two bf16 in the lower half of a register:
 *
 *   register   row     columns            register   rows         column
 *   a[0]       g       2t, 2t+1           b[0]       2t, 2t+1     g
 *   a[1]       g + 8   2t, 2t+1           b[1]       2t+8, 2t+9   g
 *   a[2]       g       2t+8, 2t+9
 *   a[3]       g + 8   2t+8, 2t+9         c[0], c[1] are of row g, c[2], c[3] of row g + 8, columns 2t, 2t+1
 *
 * So c of two products side by side, narrowed to bf16, is an operand a: a[0] = c0[0..1], a[1] = c0[2..3],
 * a[2] = c1[0..1], a[3] = c1[2..3]. Under the emulator each wrapper is a meeting of the warp that follows this table to
 * the letter, and sums in the order of the columns of a; the order of the hardware's sums is not documented.
 */

#include "math.cuh"

#include <string.h>

#ifdef AURELIUS_EMULATED
#define AUR_UNROLL
#else
#define AUR_UNROLL _Pragma("unroll")
#endif

/* The ways a lane keeps its share of a, of two b side by side, and of c. */
struct aur_mma_a {
	uint32_t r[4];
};
struct aur_mma_b2 {
	uint32_t r[4]; /* b[0], b[1] of the left, then of the right */
};
struct aur_mma_c {
	float v[4];
};

#ifdef AURELIUS_EMULATED

/* A lane's part of a product. */
struct aur_mma_part {
	struct aur_mma_a a;
	uint32_t b[2];
	struct aur_mma_c c;
};

static inline float aur_mma_half(uint32_t pair, int high)
{
	const uint32_t bits = high ? pair & 0xffff0000u : pair << 16;
	float x;
	memcpy(&x, &bits, sizeof x);
	return x;
}

static inline void aur_mma_settle(void *const lanes[32])
{
	float a[16][16], b[16][8];
	for (int lane = 0; lane < 32; lane++) {
		const struct aur_mma_part *part = static_cast<const struct aur_mma_part *>(lanes[lane]);
		if (!part)
			aur_emulator_fail("aur_mma: lane %d is not there", lane);
		for (int i = 0; i < 8; i++)
			a[lane / 4 + i / 2 % 2 * 8][lane % 4 * 2 + i / 4 * 8 + i % 2] = aur_mma_half(part->a.r[i / 2], i % 2);
		for (int i = 0; i < 4; i++)
			b[lane % 4 * 2 + i / 2 * 8 + i % 2][lane / 4] = aur_mma_half(part->b[i / 2], i % 2);
	}
	for (int lane = 0; lane < 32; lane++)
		for (int i = 0; i < 4; i++) {
			float *sum = &static_cast<struct aur_mma_part *>(lanes[lane])->c.v[i];
			for (int k = 0; k < 16; k++)
				*sum += a[lane / 4 + i / 2 * 8][k] * b[k][lane % 4 * 2 + i % 2];
		}
}

static inline void aur_mma(struct aur_mma_c *c, const struct aur_mma_a *a, uint32_t b0, uint32_t b1)
{
	struct aur_mma_part mine = {*a, {b0, b1}, *c};
	aur_emulator_meet("aur_mma", 0xffffffffu, aur_mma_settle, &mine, {__FILE__, __LINE__});
	*c = mine.c;
}

/* A lane's part of a load: the row it names, and what it gets. */
struct aur_mma_rows {
	const __nv_bfloat16 *row;
	uint32_t r[4];
};

static inline const __nv_bfloat16 *aur_mma_row_of(void *const lanes[32], int lane)
{
	const struct aur_mma_rows *part = static_cast<const struct aur_mma_rows *>(lanes[lane]);
	if (!part || reinterpret_cast<uintptr_t>(part->row) % 16 != 0)
		aur_emulator_fail("aur_load_matrices: lane %d is not there, or its row does not lie on 16 bytes", lane);
	return part->row;
}

/* Register i of a lane comes from matrix i, whose rows lanes 8i to 8i + 7 name. */
static inline void aur_mma_settle_rows(void *const lanes[32])
{
	for (int lane = 0; lane < 32; lane++)
		for (int i = 0; i < 4; i++)
			memcpy(&static_cast<struct aur_mma_rows *>(lanes[lane])->r[i],
				aur_mma_row_of(lanes, 8 * i + lane / 4) + 2 * (lane % 4), sizeof(uint32_t));
}

static inline void aur_mma_settle_columns(void *const lanes[32])
{
	for (int lane = 0; lane < 32; lane++)
		for (int i = 0; i < 8; i++)
			memcpy(reinterpret_cast<char *>(&static_cast<struct aur_mma_rows *>(lanes[lane])->r[i / 2]) + i % 2 * 2,
				aur_mma_row_of(lanes, i / 2 * 8 + 2 * (lane % 4) + i % 2) + lane / 4, sizeof(__nv_bfloat16));
}

static inline void aur_load_matrices(uint32_t r[4], const __nv_bfloat16 *row)
{
	struct aur_mma_rows mine = {row, {0, 0, 0, 0}};
	aur_emulator_meet("aur_load_matrices", 0xffffffffu, aur_mma_settle_rows, &mine, {__FILE__, __LINE__});
	memcpy(r, mine.r, sizeof mine.r);
}

static inline void aur_load_matrices_transposed(uint32_t r[4], const __nv_bfloat16 *row)
{
	struct aur_mma_rows mine = {row, {0, 0, 0, 0}};
	aur_emulator_meet("aur_load_matrices_transposed", 0xffffffffu, aur_mma_settle_columns, &mine, {__FILE__, __LINE__});
	memcpy(r, mine.r, sizeof mine.r);
}

template <int BYTES> static inline void aur_copy_async(void *shared, const void *global, int valid)
{
	aur_emulator_copy(shared, valid ? global : nullptr, BYTES);
}

static inline void aur_copy_async_commit(void)
{
}

static inline void aur_copy_async_wait(void)
{
	aur_emulator_copy_wait();
}

#else

AUR_ON_DEVICE void aur_mma(struct aur_mma_c *c, const struct aur_mma_a *a, uint32_t b0, uint32_t b1)
{
	asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
		: "+f"(c->v[0]), "+f"(c->v[1]), "+f"(c->v[2]), "+f"(c->v[3])
		: "r"(a->r[0]), "r"(a->r[1]), "r"(a->r[2]), "r"(a->r[3]), "r"(b0), "r"(b1));
}

AUR_ON_DEVICE void aur_load_matrices(uint32_t r[4], const __nv_bfloat16 *row)
{
	asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
				 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
				 : "r"(static_cast<uint32_t>(__cvta_generic_to_shared(row)))
				 : "memory");
}

AUR_ON_DEVICE void aur_load_matrices_transposed(uint32_t r[4], const __nv_bfloat16 *row)
{
	asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
				 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
				 : "r"(static_cast<uint32_t>(__cvta_generic_to_shared(row)))
				 : "memory");
}

/* 16 bytes go past the first-level cache, which would gain nothing from them; 4 and 8 have to go through it. */
template <int BYTES> AUR_ON_DEVICE void aur_copy_async(void *shared, const void *global, int valid)
{
	const uint32_t to = static_cast<uint32_t>(__cvta_generic_to_shared(shared));
	const int bytes = valid ? BYTES : 0;
	if (BYTES == 16)
		asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(global), "r"(bytes) : "memory");
	else
		asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(to), "l"(global), "n"(BYTES), "r"(bytes)
					 : "memory");
}

AUR_ON_DEVICE void aur_copy_async_commit(void)
{
	asm volatile("cp.async.commit_group;" ::: "memory");
}

AUR_ON_DEVICE void aur_copy_async_wait(void)
{
	asm volatile("cp.async.wait_all;" ::: "memory");
}

#endif

/* Two numbers as a register of a or b. */
AUR_ON_DEVICE uint32_t aur_mma_narrow(float low, float high)
{
	const __nv_bfloat162 pair = __floats2bfloat162_rn(low, high);
	uint32_t bits;
	memcpy(&bits, &pair, sizeof bits);
	return bits;
}

/* Two c side by side as an a. */
AUR_ON_DEVICE struct aur_mma_a aur_mma_a_of(const struct aur_mma_c *left, const struct aur_mma_c *right)
{
	const struct aur_mma_a a = {{aur_mma_narrow(left->v[0], left->v[1]), aur_mma_narrow(left->v[2], left->v[3]),
		aur_mma_narrow(right->v[0], right->v[1]), aur_mma_narrow(right->v[2], right->v[3])}};
	return a;
}

/* An a from 16 rows of shared memory, `pitch` numbers apart: a multiple of 8, and an odd one where no two rows are to
 * meet in a bank. */
AUR_ON_DEVICE struct aur_mma_a aur_mma_a_at(const __nv_bfloat16 *rows, int pitch)
{
	const int lane = static_cast<int>(threadIdx.x % 32);
	struct aur_mma_a a;
	aur_load_matrices(a.r, rows + lane % 16 * pitch + lane / 16 * 8);
	return a;
}

/* Two b, of columns 0..7 and 8..15, from memory that holds b's columns as its rows: [16 columns][pitch]. */
AUR_ON_DEVICE struct aur_mma_b2 aur_mma_b2_of_rows(const __nv_bfloat16 *rows, int pitch)
{
	const int lane = static_cast<int>(threadIdx.x % 32);
	struct aur_mma_b2 b;
	aur_load_matrices(b.r, rows + (lane / 16 * 8 + lane % 8) * pitch + lane / 8 % 2 * 8);
	return b;
}

/* The same from memory that holds b as it is: [16 rows][pitch]. */
AUR_ON_DEVICE struct aur_mma_b2 aur_mma_b2_at(const __nv_bfloat16 *rows, int pitch)
{
	const int lane = static_cast<int>(threadIdx.x % 32);
	struct aur_mma_b2 b;
	aur_load_matrices_transposed(b.r, rows + lane % 16 * pitch + lane / 16 * 8);
	return b;
}

#endif
