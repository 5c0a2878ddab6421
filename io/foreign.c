#include "io/foreign.h"

#include "file_posix.h"
#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct aur_foreign {
	enum aur_foreign_kind kind;
	char *bin_path, *idx_path; /* owned; idx_path NULL but for Megatron */
	int bin, idx;              /* descriptors, or -1 */
	int64_t first_byte;        /* of the tokens */
	int token_bytes;
	int64_t tokens;
	int64_t sequences, documents; /* Megatron; `documents` entries, of which the last is the end */
};

enum { LLMC_HEADER = 256, BLOCK = 4096 };

/* ---- Megatron's index: lengths, then offsets, then documents ---- */

enum { IDX_HEADER = 34, IDX_UINT16 = 8, IDX_INT32 = 4 };

static aur_status damaged(const char *path, const char *what)
{
	return aur_fail(AUR_INPUT, "%s: damaged: %s", path, what);
}

static aur_status read_exact(int fd, const char *path, void *data, size_t bytes, int64_t offset)
{
	size_t got;
	AUR_TRY(aur_fd_read_at(fd, path, data, bytes, offset, &got));
	return got == bytes ? AUR_OK : aur_fail(AUR_INPUT, "%s: was cut short while it was read", path);
}

static int64_t offsets_at(const struct aur_foreign *foreign, int64_t index)
{
	return IDX_HEADER + foreign->sequences * (int64_t)sizeof(int32_t) + index * (int64_t)sizeof(int64_t);
}

static int64_t documents_at(const struct aur_foreign *foreign, int64_t index)
{
	return offsets_at(foreign, foreign->sequences) + index * (int64_t)sizeof(int64_t);
}

/* The file's length follows from the two counts, which so cannot be larger than it. */
static aur_status read_idx_header(struct aur_foreign *foreign, int64_t idx_bytes)
{
	unsigned char header[IDX_HEADER];
	uint64_t version, counts[2];
	if (idx_bytes < IDX_HEADER)
		return damaged(foreign->idx_path, "shorter than the header of a Megatron index");
	AUR_TRY(read_exact(foreign->idx, foreign->idx_path, header, sizeof header, 0));
	if (memcmp(header, "MMIDIDX\0\0", 9) != 0)
		return aur_fail(AUR_INPUT, "%s: not a Megatron index (it does not begin with MMIDIDX)", foreign->idx_path);
	memcpy(&version, header + 9, sizeof version);
	memcpy(counts, header + 18, sizeof counts);
	if (version != 1)
		return aur_fail(
			AUR_INPUT, "%s: a Megatron index of version %" PRIu64 ", only 1 is known", foreign->idx_path, version);
	if (header[17] != IDX_UINT16 && header[17] != IDX_INT32)
		return aur_fail(
			AUR_INPUT, "%s: tokens of type %d; 8 (uint16) and 4 (int32) are known", foreign->idx_path, header[17]);
	foreign->token_bytes = header[17] == IDX_UINT16 ? 2 : 4;
	const uint64_t most = (uint64_t)idx_bytes / sizeof(int32_t);
	if (counts[0] > most || counts[1] > most ||
		(uint64_t)idx_bytes != IDX_HEADER + counts[0] * 12 + counts[1] * sizeof(int64_t))
		return damaged(foreign->idx_path, "its length does not fit its counts of sequences and documents");
	foreign->sequences = (int64_t)counts[0];
	foreign->documents = (int64_t)counts[1];
	return AUR_OK;
}

/* The sequences lie one after another in the .bin, from its beginning on. */
static aur_status check_sequences(struct aur_foreign *foreign)
{
	int32_t lengths[BLOCK];
	int64_t offsets[BLOCK], next = 0;
	for (int64_t at = 0; at < foreign->sequences; at += BLOCK) {
		const int64_t count = foreign->sequences - at < BLOCK ? foreign->sequences - at : BLOCK;
		AUR_TRY(read_exact(foreign->idx, foreign->idx_path, lengths, (size_t)count * sizeof *lengths,
			IDX_HEADER + at * (int64_t)sizeof *lengths));
		AUR_TRY(read_exact(
			foreign->idx, foreign->idx_path, offsets, (size_t)count * sizeof *offsets, offsets_at(foreign, at)));
		for (int64_t i = 0; i < count; i++) {
			if (lengths[i] < 0)
				return damaged(foreign->idx_path, "a sequence of negative length");
			if (offsets[i] != next)
				return damaged(foreign->idx_path, "its sequences do not lie one after another");
			next += (int64_t)lengths[i] * foreign->token_bytes;
		}
	}
	foreign->tokens = next / foreign->token_bytes;
	return AUR_OK;
}

static aur_status check_documents(const struct aur_foreign *foreign)
{
	int64_t documents[BLOCK], last = 0;
	for (int64_t at = 0; at < foreign->documents; at += BLOCK) {
		const int64_t count = foreign->documents - at < BLOCK ? foreign->documents - at : BLOCK;
		AUR_TRY(read_exact(
			foreign->idx, foreign->idx_path, documents, (size_t)count * sizeof *documents, documents_at(foreign, at)));
		if (at == 0 && documents[0] != 0)
			return damaged(foreign->idx_path, "its first document does not start at the first sequence");
		for (int64_t i = 0; i < count; i++) {
			if (documents[i] < last || documents[i] > foreign->sequences)
				return damaged(foreign->idx_path, "its documents start out of order or range");
			last = documents[i];
		}
	}
	if (foreign->documents < 2 || last != foreign->sequences)
		return damaged(foreign->idx_path, "its documents do not end with the last sequence");
	return AUR_OK;
}

static aur_status open_megatron(struct aur_foreign *foreign, int64_t bin_bytes)
{
	int64_t idx_bytes = 0;
	AUR_TRY(aur_file_check_input(foreign->idx_path, &idx_bytes));
	foreign->idx = open(foreign->idx_path, O_RDONLY | O_CLOEXEC);
	if (foreign->idx < 0)
		return aur_fail(AUR_INPUT, "%s: cannot open: %s", foreign->idx_path, strerror(errno));
	AUR_TRY(read_idx_header(foreign, idx_bytes));
	AUR_TRY(check_sequences(foreign));
	AUR_TRY(check_documents(foreign));
	if (bin_bytes != foreign->tokens * foreign->token_bytes)
		return aur_fail(AUR_INPUT, "%s: has %" PRId64 " bytes, its index %s tells of %" PRId64, foreign->bin_path,
			bin_bytes, foreign->idx_path, foreign->tokens * foreign->token_bytes);
	return AUR_OK;
}

/* ---- llm.c and nanoGPT ---- */

static aur_status open_llmc(struct aur_foreign *foreign, const int32_t *header, int64_t bin_bytes)
{
	const int wide = header[0] == 20240801;
	if (header[1] != (wide ? 7 : 1))
		return aur_fail(AUR_INPUT, "%s: an llm.c token file of version %d, %d is known", foreign->bin_path, header[1],
			wide ? 7 : 1);
	foreign->token_bytes = wide ? 4 : 2;
	foreign->first_byte = LLMC_HEADER * (int64_t)sizeof *header;
	foreign->tokens = header[2];
	const int64_t expected = foreign->first_byte + foreign->tokens * foreign->token_bytes;
	if (foreign->tokens < 1 || bin_bytes != expected)
		return aur_fail(AUR_INPUT,
			"%s: damaged: its header tells of %" PRId64 " tokens, which take %" PRId64 " bytes, the file has %" PRId64,
			foreign->bin_path, foreign->tokens, expected, bin_bytes);
	return AUR_OK;
}

static aur_status open_bare(struct aur_foreign *foreign, int64_t bin_bytes)
{
	foreign->token_bytes = 2;
	foreign->tokens = bin_bytes / 2;
	if (bin_bytes % 2 != 0)
		return damaged(foreign->bin_path, "an odd number of bytes is no row of 16-bit tokens");
	return AUR_OK;
}

static aur_status open_one(struct aur_foreign *foreign, int64_t bin_bytes)
{
	int32_t header[LLMC_HEADER] = {0};
	if (bin_bytes >= (int64_t)sizeof header)
		AUR_TRY(read_exact(foreign->bin, foreign->bin_path, header, sizeof header, 0));
	foreign->kind = header[0] == 20240520 || header[0] == 20240801 ? AUR_FOREIGN_LLMC : AUR_FOREIGN_NANOGPT;
	return foreign->kind == AUR_FOREIGN_LLMC ? open_llmc(foreign, header, bin_bytes) : open_bare(foreign, bin_bytes);
}

/* ---- all of them ---- */

/* NAME.bin and NAME.idx, whichever was given. */
static aur_status name_files(struct aur_foreign *foreign, const char *path)
{
	foreign->bin_path = strdup(path);
	foreign->idx_path = strdup(path);
	if (!foreign->bin_path || !foreign->idx_path)
		return aur_fail(AUR_MEMORY, "%s: no memory for its name", path);
	const size_t bytes = strlen(path);
	if (bytes < 4 || (strcmp(path + bytes - 4, ".bin") != 0 && strcmp(path + bytes - 4, ".idx") != 0))
		return aur_fail(AUR_INPUT, "%s: a token file's name ends in .bin or .idx", path);
	memcpy(foreign->bin_path + bytes - 4, ".bin", 4);
	memcpy(foreign->idx_path + bytes - 4, ".idx", 4);
	if (strcmp(path, foreign->idx_path) == 0 || aur_file_exists(foreign->idx_path))
		foreign->kind = AUR_FOREIGN_MEGATRON;
	return AUR_OK;
}

static aur_status open_files(struct aur_foreign *foreign, const char *path)
{
	int64_t bin_bytes = 0;
	AUR_TRY(name_files(foreign, path));
	AUR_TRY(aur_file_check_input(foreign->bin_path, &bin_bytes));
	foreign->bin = open(foreign->bin_path, O_RDONLY | O_CLOEXEC);
	if (foreign->bin < 0)
		return aur_fail(AUR_INPUT, "%s: cannot open: %s", foreign->bin_path, strerror(errno));
	return foreign->kind == AUR_FOREIGN_MEGATRON ? open_megatron(foreign, bin_bytes) : open_one(foreign, bin_bytes);
}

aur_status aur_foreign_open(const char *path, struct aur_foreign **foreign)
{
	*foreign = calloc(1, sizeof **foreign);
	if (!*foreign)
		return aur_fail(AUR_MEMORY, "%s: no memory to open it", path);
	(*foreign)->kind = AUR_FOREIGN_NANOGPT;
	(*foreign)->bin = (*foreign)->idx = -1;
	const aur_status status = open_files(*foreign, path);
	if (status != AUR_OK)
		aur_foreign_close(foreign);
	return status;
}

void aur_foreign_close(struct aur_foreign **foreign)
{
	if (!foreign || !*foreign)
		return;
	struct aur_foreign *old = *foreign;
	if (old->bin >= 0)
		close(old->bin);
	if (old->idx >= 0)
		close(old->idx);
	free(old->bin_path);
	free(old->idx_path);
	free(old);
	*foreign = NULL;
}

enum aur_foreign_kind aur_foreign_kind(const struct aur_foreign *foreign)
{
	return foreign->kind;
}

const char *aur_foreign_name(const struct aur_foreign *foreign)
{
	static const char *const names[] = {"llm.c", "nanoGPT", "Megatron"};
	return names[foreign->kind];
}

int64_t aur_foreign_tokens(const struct aur_foreign *foreign)
{
	return foreign->tokens;
}

aur_status aur_foreign_read(const struct aur_foreign *foreign, int64_t begin, int64_t count, uint32_t *tokens)
{
	const size_t bytes = (size_t)(count * foreign->token_bytes);
	/* Narrow tokens are read into the upper half and widened from the front: none is written over before it is read. */
	char *read = (char *)tokens + (foreign->token_bytes == 2 ? bytes : 0);
	AUR_TRY(
		read_exact(foreign->bin, foreign->bin_path, read, bytes, foreign->first_byte + begin * foreign->token_bytes));
	for (int64_t i = 0; foreign->token_bytes == 2 && i < count; i++) {
		uint16_t token;
		memcpy(&token, read + 2 * i, sizeof token);
		tokens[i] = token;
	}
	return AUR_OK;
}

/* The token that document `index` starts at. */
static aur_status document_start(const struct aur_foreign *foreign, int64_t index, int64_t *start)
{
	int64_t sequence, offset;
	AUR_TRY(read_exact(foreign->idx, foreign->idx_path, &sequence, sizeof sequence, documents_at(foreign, index)));
	*start = foreign->tokens;
	if (sequence == foreign->sequences)
		return AUR_OK;
	AUR_TRY(read_exact(foreign->idx, foreign->idx_path, &offset, sizeof offset, offsets_at(foreign, sequence)));
	*start = offset / foreign->token_bytes;
	return AUR_OK;
}

/* The first document that starts at `token` or later. */
static aur_status find_document(const struct aur_foreign *foreign, int64_t token, int64_t *index)
{
	int64_t low = 0, high = foreign->documents - 1;
	while (low < high) {
		const int64_t middle = low + (high - low) / 2;
		int64_t start;
		AUR_TRY(document_start(foreign, middle, &start));
		if (start < token)
			low = middle + 1;
		else
			high = middle;
	}
	*index = low;
	return AUR_OK;
}

aur_status aur_foreign_documents(
	const struct aur_foreign *foreign, int64_t begin, int64_t end, int64_t **starts, int64_t *count)
{
	int64_t first, last;
	*starts = NULL;
	*count = 0;
	if (foreign->kind != AUR_FOREIGN_MEGATRON)
		return AUR_OK;
	AUR_TRY(find_document(foreign, begin, &first));
	AUR_TRY(find_document(foreign, end, &last));
	*starts = malloc((size_t)(last - first + 1) * sizeof **starts);
	if (!*starts)
		return aur_fail(AUR_MEMORY, "%s: no memory for %" PRId64 " documents", foreign->idx_path, last - first);
	for (int64_t index = first; index < last; index++) {
		const aur_status status = document_start(foreign, index, &(*starts)[*count]);
		if (status != AUR_OK) {
			free(*starts);
			*starts = NULL;
			return status;
		}
		*count += *count == 0 || (*starts)[*count] > (*starts)[*count - 1];
	}
	return AUR_OK;
}
