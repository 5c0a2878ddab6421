#include "core/build_info.h"
#include "core/clock.h"
#include "h5.h"
#include "io/tokens.h"
#include "tokens_format.h"
#include "vocab_h5.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* One split on its way into the file. */
struct part {
	enum aur_split split;
	int64_t begin, count; /* among all tokens */
};

static int token_bytes_for(const struct aur_vocab *vocab)
{
	return vocab->size <= UINT16_MAX + 1 ? 2 : 4;
}

static void narrow(const int32_t *ids, int64_t count, int token_bytes, void *out)
{
	if (token_bytes == 4) {
		memcpy(out, ids, (size_t)count * sizeof *ids);
		return;
	}
	uint16_t *narrowed = out;
	for (int64_t i = 0; i < count; i++)
		narrowed[i] = (uint16_t)ids[i];
}

/* A number that is negative or too large for the type it is narrowed to would pass for another one: all are compared
 * as they came, and as unsigned, where a negative one is larger than any vocabulary. */
static uint32_t largest(const void *tokens, int64_t count, int token_bytes)
{
	const uint16_t *small_ones = tokens;
	const uint32_t *wide = tokens;
	uint32_t most = 0;
	if (token_bytes == 4) {
		for (int64_t i = 0; i < count; i++)
			most = wide[i] > most ? wide[i] : most;
		return most;
	}
	uint16_t small = 0;
	for (int64_t i = 0; i < count; i++)
		small = small_ones[i] > small ? small_ones[i] : small;
	return small;
}

/* Tokens [begin, begin + count) of all, in the file's type. */
static aur_status fill(const struct aur_tokens_create *create, int64_t begin, int64_t count, void *block)
{
	const int token_bytes = token_bytes_for(create->vocab);
	const int32_t *ids = create->ids ? create->ids + begin : NULL;
	if (!ids)
		AUR_TRY(create->next(create->context, token_bytes, count, block));
	const uint32_t most = ids ? largest(ids, count, 4) : largest(block, count, token_bytes);
	if (most >= create->vocab->size)
		return aur_fail(AUR_INTERNAL, "%s: a token from %lld on has the number %d, the vocabulary has %lld",
			create->path, (long long)begin, (int)most, (long long)create->vocab->size);
	if (ids)
		narrow(ids, count, token_bytes, block);
	return AUR_OK;
}

/* Block by block through `block`; `checksums` gets one XXH3 a block. */
static aur_status write_blocks(struct aur_h5_dataset *dataset, const struct aur_tokens_create *create,
	const struct part *part, void *block, uint64_t *checksums)
{
	const int token_bytes = token_bytes_for(create->vocab);
	const int64_t whole = AUR_TOKENS_BLOCK_BYTES / token_bytes;
	for (int64_t at = 0; at < part->count; at += whole) {
		const int64_t count = part->count - at < whole ? part->count - at : whole;
		AUR_TRY(fill(create, part->begin + at, count, block));
		checksums[at / whole] = XXH3_64bits(block, (size_t)(count * token_bytes));
		AUR_TRY(aur_h5_dataset_write(dataset, at, count, block));
	}
	return AUR_OK;
}

static aur_status write_tokens(
	struct aur_h5 *file, const struct aur_tokens_create *create, const struct part *part, uint64_t *checksums)
{
	const int token_bytes = token_bytes_for(create->vocab);
	struct aur_h5_dataset dataset = {.type = token_bytes == 2 ? AUR_H5_U16 : AUR_H5_U32,
		.storage = create->compress ? AUR_H5_DEFLATED : AUR_H5_CONTIGUOUS,
		.dims = 1,
		.shape = {part->count}};
	snprintf(dataset.name, sizeof dataset.name, "%s", aur_tokens_names[part->split]);
	void *block = malloc(AUR_TOKENS_BLOCK_BYTES);
	if (!block)
		return aur_fail(AUR_MEMORY, "%s: no memory for a block of tokens", create->path);
	aur_status status = aur_h5_dataset_create(file, &dataset);
	if (status == AUR_OK) {
		status = write_blocks(&dataset, create, part, block, checksums);
		const aur_status closed = aur_h5_dataset_close(&dataset);
		status = status != AUR_OK ? status : closed;
	}
	free(block);
	return status;
}

static const char *documents_name(const struct part *part)
{
	return part->split == AUR_TRAIN ? "/train/documents" : "/val/documents";
}

static aur_status write_starts(
	struct aur_h5_dataset *dataset, const struct aur_tokens_create *create, int64_t documents, uint64_t *block)
{
	const int64_t whole = AUR_TOKENS_BLOCK_BYTES / (int64_t)sizeof *block;
	for (int64_t at = 0; at < documents; at += whole) {
		const int64_t count = documents - at < whole ? documents - at : whole;
		AUR_TRY(create->next_documents(create->context, count, block));
		AUR_TRY(aur_h5_dataset_write(dataset, at, count, block));
	}
	return AUR_OK;
}

/* Block by block: memory does not grow with the number of documents. */
static aur_status stream_documents(struct aur_h5 *file, const struct aur_tokens_create *create, const struct part *part)
{
	const int64_t documents = create->part_documents[part->split];
	struct aur_h5_dataset dataset = {.type = AUR_H5_U64, .storage = AUR_H5_CHECKED, .dims = 1, .shape = {documents}};
	snprintf(dataset.name, sizeof dataset.name, "%s", documents_name(part));
	uint64_t *block = malloc(AUR_TOKENS_BLOCK_BYTES);
	if (!block)
		return aur_fail(AUR_MEMORY, "%s: no memory for a block of documents", create->path);
	aur_status status = aur_h5_dataset_create(file, &dataset);
	if (status == AUR_OK) {
		status = write_starts(&dataset, create, documents, block);
		const aur_status closed = aur_h5_dataset_close(&dataset);
		status = status != AUR_OK ? status : closed;
	}
	free(block);
	return status;
}

/* Starts of the documents of this part, counted from its first token. */
static aur_status write_documents(struct aur_h5 *file, const struct aur_tokens_create *create, const struct part *part)
{
	if (create->next_documents)
		return stream_documents(file, create, part);
	if (!create->documents)
		return AUR_OK;
	uint64_t *starts = malloc(((size_t)create->n_documents + 1) * sizeof *starts);
	if (!starts)
		return aur_fail(AUR_MEMORY, "%s: no memory for %lld documents", create->path, (long long)create->n_documents);
	int64_t count = 0;
	for (int64_t i = 0; i < create->n_documents; i++) {
		const int64_t start = create->documents[i] - part->begin;
		if (start >= 0 && start < part->count)
			starts[count++] = (uint64_t)start;
	}
	const aur_status status = aur_h5_put_list(file, documents_name(part), AUR_H5_U64, starts, count);
	free(starts);
	return status;
}

static aur_status write_part(struct aur_h5 *file, const struct aur_tokens_create *create, const struct part *part)
{
	const int64_t block_tokens = AUR_TOKENS_BLOCK_BYTES / token_bytes_for(create->vocab);
	const int64_t blocks = (part->count + block_tokens - 1) / block_tokens;
	AUR_TRY(aur_h5_group(file, part->split == AUR_TRAIN ? "/train" : "/val"));
	uint64_t *checksums = calloc((size_t)blocks + 1, sizeof *checksums);
	if (!checksums)
		return aur_fail(AUR_MEMORY, "%s: no memory for %lld checksums", create->path, (long long)blocks);
	aur_status status = write_tokens(file, create, part, checksums);
	/* Compressed chunks carry Fletcher32 already. */
	if (status == AUR_OK && !create->compress)
		status = aur_h5_put_list(file, aur_tokens_checksum_names[part->split], AUR_H5_U64, checksums, blocks);
	free(checksums);
	AUR_TRY(status);
	return write_documents(file, create, part);
}

static aur_status write_attributes(struct aur_h5 *file, const struct aur_tokens_create *create)
{
	char created[32];
	aur_clock_text(created, sizeof created);
	AUR_TRY(aur_h5_put_text(file, "/", "format", AUR_TOKENS_FORMAT));
	AUR_TRY(aur_h5_put_int(file, "/", "version", AUR_TOKENS_VERSION));
	AUR_TRY(aur_h5_put_text(file, "/", "created", created));
	AUR_TRY(aur_h5_put_text(file, "/", "program", AUR_VERSION " " AUR_COMMIT));
	AUR_TRY(aur_h5_put_text(file, "/", "clean", create->vocab->clean));
	AUR_TRY(aur_h5_put_int(file, "/", "token_bytes", token_bytes_for(create->vocab)));
	AUR_TRY(aur_h5_put_int(file, "/", "compressed", create->compress ? 1 : 0));
	AUR_TRY(aur_h5_put_int(file, "/", "train_tokens", create->train_tokens));
	AUR_TRY(aur_h5_put_int(file, "/", "val_tokens", create->val_tokens));
	return aur_h5_put_long_text(file, "/sources", create->sources ? create->sources : "");
}

static aur_status write_all(struct aur_h5 *file, const struct aur_tokens_create *create)
{
	const struct part train = {AUR_TRAIN, 0, create->train_tokens};
	const struct part val = {AUR_VAL, create->train_tokens, create->val_tokens};
	AUR_TRY(write_attributes(file, create));
	AUR_TRY(aur_h5_put_vocab(file, create->vocab));
	AUR_TRY(write_part(file, create, &train));
	return write_part(file, create, &val);
}

static aur_status verify_file(const char *path)
{
	struct aur_tokens *tokens;
	AUR_TRY(aur_tokens_open(path, &tokens));
	const aur_status status = aur_tokens_verify(tokens);
	aur_tokens_close(&tokens);
	return status;
}

aur_status aur_tokens_write(const struct aur_tokens_create *create)
{
	struct aur_h5 *file;
	AUR_TRY(aur_h5_create(create->path, &file));
	const aur_status status = write_all(file, create);
	if (status != AUR_OK) {
		aur_h5_abandon(&file);
		return status;
	}
	return aur_h5_finish_verified(&file, 1, verify_file);
}
