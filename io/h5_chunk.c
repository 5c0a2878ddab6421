#include "h5_raw.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/* Chunks that HDF5's pipeline is passed by for: it copies each twice and adds up its checksum byte by byte, which takes
 * longer than the disk. What reaches the file is the same to the last bit. */

enum { DIRECT_BYTES_MAX = 1 << 20, CHECKSUM_BYTES = 4 };

/* ---- the checksum ---- */

/* Sums over one block: a = sum of w[i], b = sum of (n - i) w[i], i counting its 16-bit words from 0. */
enum { LANES = 16, ROWS = 256, BLOCK_WORDS = LANES * ROWS };

struct sums {
	uint64_t a, b;
};

/* Lane by lane, so that it can be vectorised: after R rows a lane's a is the sum of its words, its b that of its a's,
 * which is (R - r) w summed over the rows r. 256 rows stay below 2^32. */
static inline __attribute__((always_inline)) struct sums sum_rows(const uint16_t *words, int rows)
{
	uint32_t a[LANES] = {0}, b[LANES] = {0};
	for (int r = 0; r < rows; r++) {
		for (int j = 0; j < LANES; j++) {
			a[j] += words[r * LANES + j];
			b[j] += a[j];
		}
	}
	struct sums sums = {0, 0};
	uint64_t later = 0;
	for (int j = 0; j < LANES; j++) {
		sums.a += a[j];
		sums.b += b[j];
		later += (uint64_t)j * a[j];
	}
	sums.b = sums.b * LANES - later;
	return sums;
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static struct sums sum_rows_avx2(const uint16_t *words, int rows)
{
	return sum_rows(words, rows);
}

static struct sums sum_block(const uint16_t *words, int rows)
{
	return __builtin_cpu_supports("avx2") ? sum_rows_avx2(words, rows) : sum_rows(words, rows);
}
#else
static struct sums sum_block(const uint16_t *words, int rows)
{
	return sum_rows(words, rows);
}
#endif

/* The sums of a stretch follow from those of what came before it and its own. */
static void append(struct sums *sums, struct sums more, uint64_t words)
{
	sums->b = (sums->b + sums->a * words + more.b) % 65535;
	sums->a = (sums->a + more.a) % 65535;
}

/* A sum that is not zero is kept in 1 to 65535. `a` is 0 modulo 65535 for zeros alone and for multiples. */
static uint32_t kept(uint64_t sum, int any)
{
	return sum == 0 && any ? 65535 : (uint32_t)sum;
}

/* HDF5 sums big-endian words. Swapping the bytes of a word multiplies it by 256 modulo 65535, so the words are summed
 * as they lie and the sums multiplied. */
uint32_t aur_h5_fletcher32(const void *data, size_t bytes)
{
	const unsigned char *next = data;
	struct sums sums = {0, 0};
	int any = 0;
	while (bytes > 0) {
		uint16_t words[BLOCK_WORDS];
		const size_t here = bytes < sizeof words ? bytes : sizeof words;
		const uint64_t count = (here + 1) / 2;
		const int rows = (int)((count + LANES - 1) / LANES);
		memcpy(words, next, here);
		memset((char *)words + here, 0, (size_t)rows * LANES * sizeof *words - here);
		struct sums more = sum_block(words, rows);
		/* The zeros behind the end counted as words. */
		more.b -= more.a * ((uint64_t)rows * LANES - count);
		append(&sums, more, count);
		any |= more.a != 0;
		next += here;
		bytes -= here;
	}
	return kept(sums.b * 256 % 65535, any) << 16 | kept(sums.a * 256 % 65535, any);
}

/* ---- where chunks are ---- */

/* The dimension that chunks cut: those behind it are whole, those before it 1. -1 where a chunk is no run of elements.
 */
static int cut_of(const struct aur_h5_dataset *dataset)
{
	int cut = dataset->dims - 1;
	while (cut > 0 && dataset->chunk[cut] == dataset->shape[cut])
		cut--;
	for (int i = 0; i < cut; i++)
		if (dataset->chunk[i] != 1)
			return -1;
	return cut;
}

static size_t chunk_bytes(const struct aur_h5_dataset *dataset)
{
	size_t bytes = dataset->element_bytes;
	for (int i = 0; i < dataset->dims; i++)
		bytes *= (size_t)dataset->chunk[i];
	return bytes;
}

int aur_h5_chunks_are_direct(const struct aur_h5_dataset *dataset)
{
	return dataset->elements > 0 && cut_of(dataset) >= 0 && chunk_bytes(dataset) <= DIRECT_BYTES_MAX;
}

/* Coordinates of element `begin`; returns how many elements the chunk that begins there has, 0 when none does. */
static int64_t chunk_at(const struct aur_h5_dataset *dataset, int64_t begin, hsize_t offset[AUR_H5_DIMS])
{
	const int cut = cut_of(dataset);
	int64_t behind = 1;
	for (int i = dataset->dims - 1; i >= 0; i--) {
		offset[i] = (hsize_t)(begin % dataset->shape[i]);
		begin /= dataset->shape[i];
		if (i > cut) {
			behind *= dataset->shape[i];
			if (offset[i] != 0)
				return 0;
		}
	}
	const int64_t start = (int64_t)offset[cut], left = dataset->shape[cut] - start;
	if (start % dataset->chunk[cut] != 0)
		return 0;
	return (left < dataset->chunk[cut] ? left : dataset->chunk[cut]) * behind;
}

/* The file's room for one chunk and its checksum; NULL without memory. */
static char *room_of(struct aur_h5 *file)
{
	if (!file->room)
		file->room = malloc(DIRECT_BYTES_MAX + CHECKSUM_BYTES);
	return file->room;
}

/* ---- writing and reading ---- */

static aur_status write_locked(struct aur_h5_dataset *dataset, const hsize_t *offset, const void *data, size_t bytes)
{
	const size_t whole = chunk_bytes(dataset);
	char *room = room_of(dataset->file);
	if (!room)
		return aur_fail(AUR_MEMORY, "%s: no memory for a chunk", dataset->file->path);
	memcpy(room, data, bytes);
	memset(room + bytes, 0, whole - bytes);
	const uint32_t sum = aur_h5_fletcher32(room, whole);
	memcpy(room + whole, &sum, sizeof sum);
	if (H5Dwrite_chunk(dataset->id, H5P_DEFAULT, 0, offset, whole + CHECKSUM_BYTES, room) < 0)
		return aur_h5_write_failed(dataset->file);
	return AUR_OK;
}

aur_status aur_h5_chunk_write(
	struct aur_h5_dataset *dataset, int64_t begin, int64_t count, const void *data, int64_t *written)
{
	hsize_t offset[AUR_H5_DIMS];
	*written = dataset->direct ? chunk_at(dataset, begin, offset) : 0;
	if (*written > count)
		*written = 0;
	if (*written == 0)
		return AUR_OK;
	aur_h5_lock();
	const aur_status status = write_locked(dataset, offset, data, (size_t)*written * dataset->element_bytes);
	aur_h5_unlock();
	return status;
}

/* The bytes of a chunk as the file stores them, in the room; 0 where they do not fit or a filter was left out. */
static size_t stored_locked(struct aur_h5_dataset *dataset, const hsize_t *offset)
{
	char *room = room_of(dataset->file);
	hsize_t stored = 0;
	uint32_t filters_left_out = 0;
	const int read = room && H5Dget_chunk_storage_size(dataset->id, offset, &stored) >= 0 && stored > CHECKSUM_BYTES &&
					 stored <= DIRECT_BYTES_MAX + CHECKSUM_BYTES &&
					 H5Dread_chunk(dataset->id, H5P_DEFAULT, offset, &filters_left_out, room) >= 0;
	if (!read)
		H5Eclear2(H5E_DEFAULT);
	return read && filters_left_out == 0 ? (size_t)stored : 0;
}

/* Whether the last four of `bytes` bytes are the checksum of those before them. */
static int checksum_fits(const char *room, size_t bytes)
{
	uint32_t sum;
	memcpy(&sum, room + bytes - CHECKSUM_BYTES, sizeof sum);
	return sum == aur_h5_fletcher32(room, bytes - CHECKSUM_BYTES);
}

/* A chunk that the dataset's end cuts off is stored whole. */
static int inflate_room(struct aur_h5_dataset *dataset, size_t stored, int64_t elements, void *data)
{
	const size_t whole = chunk_bytes(dataset), wanted = (size_t)elements * dataset->element_bytes;
	const char *room = dataset->file->room;
	char *inflated = wanted == whole && data ? data : malloc(whole);
	uLongf bytes = whole;
	const int good =
		inflated &&
		uncompress((Bytef *)inflated, &bytes, (const Bytef *)room, (uLong)(stored - CHECKSUM_BYTES)) == Z_OK &&
		bytes == whole;
	if (good && data && inflated != data)
		memcpy(data, inflated, wanted);
	if (inflated != data)
		free(inflated);
	return good;
}

/* The lock is held while HDF5 finds and reads the chunk, not while its checksum is made and it is inflated. */
int64_t aur_h5_chunk_read(struct aur_h5_dataset *dataset, int64_t begin, int64_t count, void *data)
{
	hsize_t offset[AUR_H5_DIMS];
	const int64_t elements = dataset->direct || dataset->inflated ? chunk_at(dataset, begin, offset) : 0;
	if (elements == 0 || elements > count)
		return 0;
	aur_h5_lock();
	const size_t stored = stored_locked(dataset, offset);
	aur_h5_unlock();
	if (stored == 0 || !checksum_fits(dataset->file->room, stored))
		return 0;
	if (dataset->inflated)
		return inflate_room(dataset, stored, elements, data) ? elements : 0;
	if (stored != chunk_bytes(dataset) + CHECKSUM_BYTES)
		return 0;
	if (data)
		memcpy(data, dataset->file->room, (size_t)elements * dataset->element_bytes);
	return elements;
}
