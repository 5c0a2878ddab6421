#include "file_posix.h"
#include "h5.h"
#include "io/tokens.h"
#include "tokens_format.h"
#include "vocab_h5.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

/* An inflated chunk of compressed tokens. */
struct kept {
	int64_t chunk; /* -1: none */
	unsigned char *bytes;
};

struct part {
	const char *name;
	struct aur_h5_dataset dataset; /* open while compressed tokens are read */
	int64_t count;
	/* contiguous */
	uint64_t *checksums;     /* owned, one a block */
	unsigned char *verified; /* owned, one a block */
	/* compressed */
	struct kept kept[AUR_TOKENS_KEPT_CHUNKS]; /* chunk i is kept in slot i modulo their number */
};

struct aur_tokens {
	char *path;
	struct aur_h5 *file; /* NULL once contiguous tokens are mapped */
	struct aur_tokens_info info;
	struct aur_vocab vocab;
	struct part parts[AUR_TOKENS_SPLITS];
	int fd;                   /* blocks are verified through it */
	const unsigned char *map; /* the whole file; NULL when compressed */
	size_t map_bytes;
	unsigned char *block; /* owned: a MiB on its way through verification */
};

/* ---- opening ---- */

static aur_status get_info(struct aur_h5 *file, struct aur_tokens_info *info)
{
	int64_t token_bytes, compressed;
	AUR_TRY(aur_h5_get_int(file, "/", "version", &info->version));
	AUR_TRY(aur_h5_get_text(file, "/", "created", info->created, sizeof info->created));
	AUR_TRY(aur_h5_get_text(file, "/", "program", info->program, sizeof info->program));
	AUR_TRY(aur_h5_get_int(file, "/", "train_tokens", &info->train_tokens));
	AUR_TRY(aur_h5_get_int(file, "/", "val_tokens", &info->val_tokens));
	AUR_TRY(aur_h5_get_int(file, "/", "token_bytes", &token_bytes));
	AUR_TRY(aur_h5_get_int(file, "/", "compressed", &compressed));
	if (token_bytes != 2 && token_bytes != 4)
		return aur_h5_damaged(file, "/", "token_bytes is %" PRId64 ", neither 2 nor 4", token_bytes);
	if (compressed != 0 && compressed != 1)
		return aur_h5_damaged(file, "/", "compressed is %" PRId64 ", neither 0 nor 1", compressed);
	info->token_bytes = (int)token_bytes;
	info->compressed = (int)compressed;
	return aur_h5_get_long_text(file, "/sources", &info->sources);
}

static aur_status get_checksums(struct aur_tokens *tokens, struct part *part, const char *name)
{
	const int64_t block_tokens = AUR_TOKENS_BLOCK_BYTES / tokens->info.token_bytes;
	const int64_t expected = part->count / block_tokens + (part->count % block_tokens != 0);
	int64_t blocks;
	void *data;
	AUR_TRY(aur_h5_get_list(tokens->file, name, AUR_H5_U64, &data, &blocks));
	part->checksums = data;
	if (blocks != expected)
		return aur_h5_damaged(
			tokens->file, name, "has %" PRId64 " checksums, %" PRId64 " are needed", blocks, expected);
	part->verified = calloc((size_t)blocks + 1, 1);
	return part->verified ? AUR_OK : aur_fail(AUR_MEMORY, "%s: no memory for its block list", tokens->path);
}

static aur_status open_part(struct aur_tokens *tokens, int split, int64_t expected)
{
	struct part *part = &tokens->parts[split];
	const enum aur_h5_type type = tokens->info.token_bytes == 2 ? AUR_H5_U16 : AUR_H5_U32;
	const int contiguous = !tokens->info.compressed;
	AUR_TRY(aur_h5_dataset_open(tokens->file, part->name, type, contiguous, &part->dataset));
	const struct aur_h5_dataset *dataset = &part->dataset;
	if (dataset->dims != 1 || dataset->elements != expected)
		return aur_h5_damaged(
			tokens->file, part->name, "has %" PRId64 " tokens, the header says %" PRId64, dataset->elements, expected);
	part->count = expected;
	if (contiguous != (dataset->storage == AUR_H5_CONTIGUOUS) && expected > 0)
		return aur_h5_damaged(tokens->file, part->name, "is stored otherwise than the header says");
	if (contiguous)
		return get_checksums(tokens, part, aur_tokens_checksum_names[split]);
	if (expected > 0 && dataset->chunk[0] * tokens->info.token_bytes > AUR_TOKENS_CHUNK_BYTES)
		return aur_h5_damaged(tokens->file, part->name, "has chunks of more than %d bytes", AUR_TOKENS_CHUNK_BYTES);
	return AUR_OK;
}

/* Maps the whole file: offsets in it need no alignment then. HDF5 is not needed any longer. */
static aur_status map_file(struct aur_tokens *tokens)
{
	AUR_TRY(aur_h5_descriptor(tokens->file, &tokens->fd));
	tokens->map_bytes = (size_t)aur_h5_bytes(tokens->file);
	void *map = mmap(NULL, tokens->map_bytes, PROT_READ, MAP_SHARED, tokens->fd, 0);
	if (map == MAP_FAILED)
		return aur_fail(AUR_IO, "%s: cannot map it into memory: %s", tokens->path, strerror(errno));
	tokens->map = map;
	tokens->block = malloc(AUR_TOKENS_BLOCK_BYTES);
	if (!tokens->block)
		return aur_fail(AUR_MEMORY, "%s: no memory for a block of tokens", tokens->path);
	for (int split = 0; split < AUR_TOKENS_SPLITS; split++)
		aur_h5_dataset_close(&tokens->parts[split].dataset);
	aur_h5_close(&tokens->file);
	return AUR_OK;
}

static aur_status open_all(struct aur_tokens *tokens)
{
	AUR_TRY(aur_h5_open(tokens->path, &tokens->file));
	AUR_TRY(aur_h5_expect(tokens->file, AUR_TOKENS_FORMAT, AUR_TOKENS_VERSION, AUR_TOKENS_ADVICE, NULL));
	AUR_TRY(get_info(tokens->file, &tokens->info));
	AUR_TRY(aur_h5_get_vocab(tokens->file, &tokens->vocab));
	if (tokens->info.token_bytes == 2 && tokens->vocab.size > UINT16_MAX + 1)
		return aur_h5_damaged(tokens->file, "/", "two bytes a token are too few for its vocabulary");
	AUR_TRY(open_part(tokens, AUR_TRAIN, tokens->info.train_tokens));
	AUR_TRY(open_part(tokens, AUR_VAL, tokens->info.val_tokens));
	return tokens->info.compressed ? AUR_OK : map_file(tokens);
}

aur_status aur_tokens_open(const char *path, struct aur_tokens **tokens)
{
	*tokens = NULL;
	struct aur_tokens *new = calloc(1, sizeof *new);
	if (!new)
		return aur_fail(AUR_MEMORY, "%s: no memory to open it", path);
	new->fd = -1;
	for (int split = 0; split < AUR_TOKENS_SPLITS; split++) {
		new->parts[split].name = aur_tokens_names[split];
		new->parts[split].dataset.id = -1;
		for (int slot = 0; slot < AUR_TOKENS_KEPT_CHUNKS; slot++)
			new->parts[split].kept[slot].chunk = -1;
	}
	new->path = strdup(path);
	const aur_status status = new->path ? open_all(new) : aur_fail(AUR_MEMORY, "%s: no memory for its name", path);
	if (status == AUR_OK)
		*tokens = new;
	else
		aur_tokens_close(&new);
	return status;
}

static void clear_part(struct part *part)
{
	aur_h5_dataset_close(&part->dataset);
	for (int slot = 0; slot < AUR_TOKENS_KEPT_CHUNKS; slot++)
		free(part->kept[slot].bytes);
	free(part->checksums);
	free(part->verified);
}

void aur_tokens_close(struct aur_tokens **tokens)
{
	if (!tokens || !*tokens)
		return;
	struct aur_tokens *old = *tokens;
	for (int split = 0; split < AUR_TOKENS_SPLITS; split++)
		clear_part(&old->parts[split]);
	if (old->map)
		munmap((void *)(uintptr_t)old->map, old->map_bytes);
	if (old->fd >= 0)
		close(old->fd);
	aur_h5_close(&old->file);
	aur_vocab_clear(&old->vocab);
	free(old->info.sources);
	free(old->block);
	free(old->path);
	free(old);
	*tokens = NULL;
}

const struct aur_tokens_info *aur_tokens_info(const struct aur_tokens *tokens)
{
	return &tokens->info;
}

const struct aur_vocab *aur_tokens_vocab(const struct aur_tokens *tokens)
{
	return &tokens->vocab;
}

const char *aur_tokens_path(const struct aur_tokens *tokens)
{
	return tokens->path;
}

/* ---- reading ---- */

/* Loads by memcpy: HDF5 promises no alignment; compilers make the same vector loads of it. */
static void widen(const unsigned char *from, int token_bytes, int64_t count, int32_t *out)
{
	if (token_bytes == 4) {
		memcpy(out, from, (size_t)count * sizeof *out);
		return;
	}
	for (int64_t i = 0; i < count; i++) {
		uint16_t token;
		memcpy(&token, from + 2 * i, sizeof token);
		out[i] = token;
	}
}

static uint32_t largest_token(const unsigned char *bytes, int token_bytes, int64_t count)
{
	uint32_t largest = 0;
	for (int64_t i = 0; token_bytes == 2 && i < count; i++) {
		uint16_t token;
		memcpy(&token, bytes + 2 * i, sizeof token);
		largest = token > largest ? token : largest;
	}
	for (int64_t i = 0; token_bytes == 4 && i < count; i++) {
		uint32_t token;
		memcpy(&token, bytes + 4 * i, sizeof token);
		largest = token > largest ? token : largest;
	}
	return largest;
}

static aur_status damaged(const struct aur_tokens *tokens, const struct part *part, const char *what)
{
	return aur_fail(AUR_INPUT, "%s: %s: %s (" AUR_TOKENS_ADVICE ")", tokens->path, part->name, what);
}

static aur_status check_tokens(
	const struct aur_tokens *tokens, const struct part *part, const unsigned char *bytes, int64_t count)
{
	if ((int64_t)largest_token(bytes, tokens->info.token_bytes, count) >= tokens->vocab.size)
		return damaged(tokens, part, "holds a token that is not in the vocabulary, the file is damaged");
	return AUR_OK;
}

/* Read, not touched through the map, where a failing disk or a file cut by another would end the process by SIGBUS. */
static aur_status verify_block(struct aur_tokens *tokens, struct part *part, int64_t block)
{
	const int token_bytes = tokens->info.token_bytes;
	const int64_t first = block * (AUR_TOKENS_BLOCK_BYTES / token_bytes);
	const int64_t rest = (part->count - first) * token_bytes;
	const size_t bytes = rest < AUR_TOKENS_BLOCK_BYTES ? (size_t)rest : AUR_TOKENS_BLOCK_BYTES;
	const int64_t offset = part->dataset.offset + first * token_bytes;
	size_t got;
	AUR_TRY(aur_fd_read_at(tokens->fd, tokens->path, tokens->block, bytes, offset, &got));
	if (got < bytes)
		return damaged(tokens, part, "the file was cut short while it was open");
	if (XXH3_64bits(tokens->block, bytes) != part->checksums[block])
		return damaged(tokens, part, "checksum mismatch, the file is damaged");
	AUR_TRY(check_tokens(tokens, part, tokens->block, (int64_t)bytes / token_bytes));
	part->verified[block] = 1;
	return AUR_OK;
}

static aur_status read_mapped(struct aur_tokens *tokens, struct part *part, int64_t begin, int64_t count, int32_t *out)
{
	const int token_bytes = tokens->info.token_bytes;
	const int64_t block_tokens = AUR_TOKENS_BLOCK_BYTES / token_bytes;
	for (int64_t block = begin / block_tokens; block <= (begin + count - 1) / block_tokens; block++)
		if (!part->verified[block])
			AUR_TRY(verify_block(tokens, part, block));
	widen(tokens->map + part->dataset.offset + begin * token_bytes, token_bytes, count, out);
	return AUR_OK;
}

static aur_status inflate_chunk(struct aur_tokens *tokens, struct part *part, int64_t chunk, struct kept **kept)
{
	struct aur_h5_dataset *dataset = &part->dataset;
	struct kept *slot = &part->kept[chunk % AUR_TOKENS_KEPT_CHUNKS];
	*kept = slot;
	if (slot->chunk == chunk)
		return AUR_OK;
	if (!slot->bytes && !(slot->bytes = malloc(AUR_TOKENS_CHUNK_BYTES)))
		return aur_fail(AUR_MEMORY, "%s: no memory for a chunk of tokens", tokens->path);
	const int64_t begin = chunk * dataset->chunk[0];
	const int64_t count = part->count - begin < dataset->chunk[0] ? part->count - begin : dataset->chunk[0];
	slot->chunk = -1;
	AUR_TRY(aur_h5_dataset_read(dataset, begin, count, slot->bytes));
	AUR_TRY(check_tokens(tokens, part, slot->bytes, count));
	slot->chunk = chunk;
	return AUR_OK;
}

static aur_status read_compressed(
	struct aur_tokens *tokens, struct part *part, int64_t begin, int64_t count, int32_t *out)
{
	const int64_t chunk_tokens = part->dataset.chunk[0];
	while (count > 0) {
		struct kept *kept;
		const int64_t within = begin % chunk_tokens;
		const int64_t here = count < chunk_tokens - within ? count : chunk_tokens - within;
		AUR_TRY(inflate_chunk(tokens, part, begin / chunk_tokens, &kept));
		widen(kept->bytes + within * tokens->info.token_bytes, tokens->info.token_bytes, here, out);
		begin += here;
		count -= here;
		out += here;
	}
	return AUR_OK;
}

aur_status aur_tokens_read(struct aur_tokens *tokens, enum aur_split split, int64_t begin, int64_t count, int32_t *out)
{
	struct part *part = &tokens->parts[split];
	if (begin < 0 || count < 0 || begin > part->count || count > part->count - begin)
		return aur_fail(AUR_SHAPE, "%s: %s: %" PRId64 " tokens from %" PRId64 " on asked for, it has %" PRId64,
			tokens->path, part->name, count, begin, part->count);
	if (count == 0)
		return AUR_OK;
	return tokens->map ? read_mapped(tokens, part, begin, count, out)
					   : read_compressed(tokens, part, begin, count, out);
}

/* ---- verification ---- */

static aur_status verify_part(struct aur_tokens *tokens, struct part *part)
{
	const int64_t block_tokens = AUR_TOKENS_BLOCK_BYTES / tokens->info.token_bytes;
	if (tokens->map) {
		for (int64_t block = 0; block * block_tokens < part->count; block++)
			AUR_TRY(verify_block(tokens, part, block));
		return AUR_OK;
	}
	for (int64_t chunk = 0; part->count > 0 && chunk * part->dataset.chunk[0] < part->count; chunk++) {
		struct kept *kept;
		part->kept[chunk % AUR_TOKENS_KEPT_CHUNKS].chunk = -1;
		AUR_TRY(inflate_chunk(tokens, part, chunk, &kept));
	}
	return AUR_OK;
}

static aur_status verify_list(struct aur_h5 *file, const char *name, int64_t limit)
{
	void *data;
	int64_t count;
	aur_status status = AUR_OK;
	AUR_TRY(aur_h5_get_list(file, name, AUR_H5_U64, &data, &count));
	const uint64_t *starts = data;
	for (int64_t i = 0; status == AUR_OK && i < count; i++)
		if (starts[i] >= (uint64_t)limit || (i > 0 && starts[i] < starts[i - 1]))
			status = aur_h5_damaged(file, name, "document %" PRId64 " starts out of order or range", i);
	free(data);
	return status;
}

/* The documents are not kept open: the file is opened once more for them. */
static aur_status verify_documents(const struct aur_tokens *tokens)
{
	struct aur_h5 *file;
	aur_status status = AUR_OK;
	AUR_TRY(aur_h5_open(tokens->path, &file));
	status = aur_h5_expect(file, AUR_TOKENS_FORMAT, AUR_TOKENS_VERSION, AUR_TOKENS_ADVICE, NULL);
	if (status == AUR_OK && aur_h5_has(file, "/train/documents"))
		status = verify_list(file, "/train/documents", tokens->info.train_tokens);
	if (status == AUR_OK && aur_h5_has(file, "/val/documents"))
		status = verify_list(file, "/val/documents", tokens->info.val_tokens);
	aur_h5_close(&file);
	return status;
}

aur_status aur_tokens_verify(struct aur_tokens *tokens)
{
	AUR_TRY(verify_part(tokens, &tokens->parts[AUR_TRAIN]));
	AUR_TRY(verify_part(tokens, &tokens->parts[AUR_VAL]));
	return verify_documents(tokens);
}
