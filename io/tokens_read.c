#include "file_posix.h"
#include "tokens_file.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { PIECE_BYTES = 32 << 10 };

/* Loads by memcpy: bytes in a file have no alignment; compilers make the same vector loads of it. */
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

aur_status aur_tokens_damaged(const struct aur_tokens *tokens, const struct aur_tokens_part *part, const char *what)
{
	return aur_fail(AUR_INPUT, "%s: %s: %s (" AUR_TOKENS_ADVICE ")", tokens->path, part->name, what);
}

static aur_status check_tokens(
	const struct aur_tokens *tokens, const struct aur_tokens_part *part, const unsigned char *bytes, int64_t count)
{
	if ((int64_t)largest_token(bytes, tokens->info.token_bytes, count) >= tokens->vocab->size)
		return aur_tokens_damaged(tokens, part, "holds a token that is not in the vocabulary, the file is damaged");
	return AUR_OK;
}

/* ---- contiguous ---- */

static aur_status read_piece(
	const struct aur_tokens *tokens, const struct aur_tokens_part *part, int64_t first, void *piece, size_t bytes)
{
	size_t got;
	const int64_t offset = part->dataset.offset + first * tokens->info.token_bytes;
	AUR_TRY(aur_fd_read_at(tokens->fd, tokens->path, piece, bytes, offset, &got));
	return got == bytes ? AUR_OK : aur_tokens_damaged(tokens, part, "the file was cut short while it was open");
}

static aur_status verify_block(const struct aur_tokens *tokens, struct aur_tokens_part *part, int64_t block)
{
	const int token_bytes = tokens->info.token_bytes;
	const int64_t block_tokens = AUR_TOKENS_BLOCK_BYTES / token_bytes, piece_tokens = PIECE_BYTES / token_bytes;
	const int64_t first = block * block_tokens;
	const int64_t end = first + block_tokens < part->count ? first + block_tokens : part->count;
	unsigned char piece[PIECE_BYTES];
	XXH3_state_t *state = aur_token_cache_hash(tokens->cache);
	XXH3_64bits_reset(state);
	aur_status known = AUR_OK;
	for (int64_t at = first; at < end; at += piece_tokens) {
		const int64_t count = end - at < piece_tokens ? end - at : piece_tokens;
		AUR_TRY(read_piece(tokens, part, at, piece, (size_t)(count * token_bytes)));
		XXH3_64bits_update(state, piece, (size_t)(count * token_bytes));
		if (known == AUR_OK)
			known = check_tokens(tokens, part, piece, count);
	}
	/* A wrong checksum says more than a wrong token. */
	if (XXH3_64bits_digest(state) != part->checksums[block])
		return aur_tokens_damaged(tokens, part, "checksum mismatch, the file is damaged");
	part->verified[block] = known == AUR_OK;
	return known;
}

static aur_status read_contiguous(
	const struct aur_tokens *tokens, struct aur_tokens_part *part, int64_t begin, int64_t count, int32_t *out)
{
	const int token_bytes = tokens->info.token_bytes;
	const int64_t block_tokens = AUR_TOKENS_BLOCK_BYTES / token_bytes, piece_tokens = PIECE_BYTES / token_bytes;
	unsigned char piece[PIECE_BYTES];
	for (int64_t block = begin / block_tokens; block <= (begin + count - 1) / block_tokens; block++)
		if (!part->verified[block])
			AUR_TRY(verify_block(tokens, part, block));
	while (count > 0) {
		const int64_t here = count < piece_tokens ? count : piece_tokens;
		AUR_TRY(read_piece(tokens, part, begin, piece, (size_t)(here * token_bytes)));
		widen(piece, token_bytes, here, out);
		begin += here;
		count -= here;
		out += here;
	}
	return AUR_OK;
}

/* ---- compressed ---- */

static aur_status inflate_chunk(
	struct aur_tokens *tokens, struct aur_tokens_part *part, int64_t chunk, const unsigned char **inflated)
{
	struct aur_h5_dataset *dataset = &part->dataset;
	unsigned char *place = aur_token_cache_take(tokens->cache);
	if (!place)
		return aur_fail(AUR_MEMORY, "%s: no memory for a chunk of tokens", tokens->path);
	const int64_t begin = chunk * dataset->chunk[0];
	const int64_t count = part->count - begin < dataset->chunk[0] ? part->count - begin : dataset->chunk[0];
	AUR_TRY(aur_h5_dataset_read(dataset, begin, count, place));
	AUR_TRY(check_tokens(tokens, part, place, count));
	aur_token_cache_name(tokens->cache, place, part, chunk);
	*inflated = place;
	return AUR_OK;
}

static aur_status read_compressed(
	struct aur_tokens *tokens, struct aur_tokens_part *part, int64_t begin, int64_t count, int32_t *out)
{
	const int64_t chunk_tokens = part->dataset.chunk[0];
	while (count > 0) {
		const int64_t chunk = begin / chunk_tokens, within = begin % chunk_tokens;
		const int64_t here = count < chunk_tokens - within ? count : chunk_tokens - within;
		const unsigned char *inflated = aur_token_cache_find(tokens->cache, part, chunk);
		if (!inflated)
			AUR_TRY(inflate_chunk(tokens, part, chunk, &inflated));
		widen(inflated + within * tokens->info.token_bytes, tokens->info.token_bytes, here, out);
		begin += here;
		count -= here;
		out += here;
	}
	return AUR_OK;
}

aur_status aur_tokens_read(struct aur_tokens *tokens, enum aur_split split, int64_t begin, int64_t count, int32_t *out)
{
	struct aur_tokens_part *part = &tokens->parts[split];
	if (begin < 0 || count < 0 || begin > part->count || count > part->count - begin)
		return aur_fail(AUR_SHAPE, "%s: %s: %" PRId64 " tokens from %" PRId64 " on asked for, it has %" PRId64,
			tokens->path, part->name, count, begin, part->count);
	if (count == 0)
		return AUR_OK;
	if (aur_tokens_is_parked(tokens))
		AUR_TRY(aur_tokens_unpark(tokens));
	return tokens->info.compressed ? read_compressed(tokens, part, begin, count, out)
								   : read_contiguous(tokens, part, begin, count, out);
}

/* ---- verification ---- */

static aur_status verify_part(struct aur_tokens *tokens, struct aur_tokens_part *part)
{
	const int64_t block_tokens = AUR_TOKENS_BLOCK_BYTES / tokens->info.token_bytes;
	if (!tokens->info.compressed) {
		for (int64_t block = 0; block * block_tokens < part->count; block++)
			AUR_TRY(verify_block(tokens, part, block));
		return AUR_OK;
	}
	aur_token_cache_forget(tokens->cache, part);
	for (int64_t chunk = 0; part->count > 0 && chunk * part->dataset.chunk[0] < part->count; chunk++) {
		const unsigned char *inflated;
		AUR_TRY(inflate_chunk(tokens, part, chunk, &inflated));
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
	if (aur_tokens_is_parked(tokens))
		AUR_TRY(aur_tokens_unpark(tokens));
	AUR_TRY(verify_part(tokens, &tokens->parts[AUR_TRAIN]));
	AUR_TRY(verify_part(tokens, &tokens->parts[AUR_VAL]));
	return verify_documents(tokens);
}
