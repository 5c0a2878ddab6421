#include "file_posix.h"
#include "tokens_file.h"
#include "vocab_h5.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

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
	return AUR_OK;
}

/* A vocabulary takes longer to read than all the rest: of the files after the first its hash is enough. */
static aur_status get_vocabulary(struct aur_tokens *tokens, const struct aur_tokens *first)
{
	if (!first) {
		AUR_TRY(aur_h5_get_vocab(tokens->file, &tokens->own_vocab));
		tokens->vocab = &tokens->own_vocab;
		tokens->vocab_hash = aur_vocab_hash(tokens->vocab);
		return aur_h5_get_long_text(tokens->file, "/sources", &tokens->info.sources);
	}
	AUR_TRY(aur_h5_get_uint(tokens->file, "/tokenizer", "hash", &tokens->vocab_hash));
	tokens->vocab = first->vocab;
	if (tokens->vocab_hash == first->vocab_hash)
		return AUR_OK;
	return aur_fail(AUR_INPUT, "%s: its vocabulary differs from that of %s (prepare them with one tokenizer)",
		tokens->path, first->path);
}

static aur_status get_checksums(struct aur_tokens *tokens, struct aur_tokens_part *part, const char *name)
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

static aur_status open_dataset(struct aur_tokens *tokens, struct aur_tokens_part *part, int64_t expected)
{
	const enum aur_h5_type type = tokens->info.token_bytes == 2 ? AUR_H5_U16 : AUR_H5_U32;
	const int contiguous = !tokens->info.compressed;
	AUR_TRY(aur_h5_dataset_open(tokens->file, part->name, type, contiguous, &part->dataset));
	const struct aur_h5_dataset *dataset = &part->dataset;
	if (dataset->dims != 1 || dataset->elements != expected)
		return aur_h5_damaged(
			tokens->file, part->name, "has %" PRId64 " tokens, the header says %" PRId64, dataset->elements, expected);
	if (contiguous != (dataset->storage == AUR_H5_CONTIGUOUS) && expected > 0)
		return aur_h5_damaged(tokens->file, part->name, "is stored otherwise than the header says");
	if (!contiguous && expected > 0 && dataset->chunk[0] * tokens->info.token_bytes > AUR_TOKENS_CHUNK_BYTES)
		return aur_h5_damaged(tokens->file, part->name, "has chunks of more than %d bytes", AUR_TOKENS_CHUNK_BYTES);
	return AUR_OK;
}

static aur_status open_part(struct aur_tokens *tokens, int split, int64_t expected)
{
	struct aur_tokens_part *part = &tokens->parts[split];
	AUR_TRY(open_dataset(tokens, part, expected));
	part->count = expected;
	part->chunk_tokens = tokens->info.compressed ? part->dataset.chunk[0] : 0;
	return tokens->info.compressed ? AUR_OK : get_checksums(tokens, part, aur_tokens_checksum_names[split]);
}

static aur_status identify(int fd, const char *path, struct aur_file_identity *identity)
{
	struct stat info;
	if (fstat(fd, &info) != 0)
		return aur_fail(AUR_IO, "%s: cannot be looked at: %s", path, strerror(errno));
	if (!S_ISREG(info.st_mode))
		return aur_fail(AUR_INPUT, "%s: is not a regular file, as it was when it was first opened (put it back)", path);
	*identity = (struct aur_file_identity){
		.device = info.st_dev, .inode = info.st_ino, .bytes = info.st_size, .modified = info.st_mtim};
	return AUR_OK;
}

static void close_datasets(struct aur_tokens *tokens)
{
	for (int split = 0; split < AUR_TOKENS_SPLITS; split++)
		aur_h5_dataset_close(&tokens->parts[split].dataset);
}

static uint64_t content_of(const struct aur_tokens *tokens)
{
	const int64_t block_tokens = AUR_TOKENS_BLOCK_BYTES / tokens->info.token_bytes;
	uint64_t content = 0;
	for (int split = 0; split < AUR_TOKENS_SPLITS; split++) {
		const struct aur_tokens_part *part = &tokens->parts[split];
		const int64_t blocks = (part->count + block_tokens - 1) / block_tokens;
		content = tokens->info.compressed
					  ? XXH3_64bits_withSeed(&part->dataset.stored_bytes, sizeof part->dataset.stored_bytes, content)
					  : XXH3_64bits_withSeed(part->checksums, (size_t)blocks * sizeof *part->checksums, content);
	}
	return content;
}

/* Contiguous tokens need HDF5 no longer: their places are known. They are read by pread and not through a map, where a
 * file cut by another or a failing disk would end the process by SIGBUS. */
static aur_status take_descriptor(struct aur_tokens *tokens)
{
	AUR_TRY(aur_h5_descriptor(tokens->file, &tokens->fd));
	AUR_TRY(identify(tokens->fd, tokens->path, &tokens->identity));
	if (tokens->info.compressed) {
		close(tokens->fd);
		tokens->fd = -1;
		return AUR_OK;
	}
	close_datasets(tokens);
	aur_h5_close(&tokens->file);
	return AUR_OK;
}

static aur_status open_all(struct aur_tokens *tokens, const struct aur_tokens *first)
{
	AUR_TRY(aur_h5_open(tokens->path, &tokens->file));
	AUR_TRY(aur_h5_expect(tokens->file, AUR_TOKENS_FORMAT, AUR_TOKENS_VERSION, AUR_TOKENS_ADVICE, NULL));
	AUR_TRY(get_info(tokens->file, &tokens->info));
	AUR_TRY(get_vocabulary(tokens, first));
	if (tokens->info.token_bytes == 2 && tokens->vocab->size > UINT16_MAX + 1)
		return aur_h5_damaged(tokens->file, "/", "two bytes a token are too few for its vocabulary");
	AUR_TRY(open_part(tokens, AUR_TRAIN, tokens->info.train_tokens));
	AUR_TRY(open_part(tokens, AUR_VAL, tokens->info.val_tokens));
	tokens->content = content_of(tokens);
	return take_descriptor(tokens);
}

aur_status aur_tokens_open_shard(
	const char *path, const struct aur_tokens *first, struct aur_token_cache *cache, struct aur_tokens **tokens)
{
	*tokens = NULL;
	struct aur_tokens *new = calloc(1, sizeof *new);
	if (!new)
		return aur_fail(AUR_MEMORY, "%s: no memory to open it", path);
	new->fd = -1;
	new->cache = cache;
	for (int split = 0; split < AUR_TOKENS_SPLITS; split++) {
		new->parts[split].name = aur_tokens_names[split];
		new->parts[split].dataset.id = -1;
	}
	new->path = strdup(path);
	new->owns_cache = !cache;
	aur_status status = new->path ? AUR_OK : aur_fail(AUR_MEMORY, "%s: no memory for its name", path);
	if (status == AUR_OK && !cache)
		status = aur_token_cache_create(AUR_TOKENS_KEPT_CHUNKS, &new->cache);
	if (status == AUR_OK)
		status = open_all(new, first);
	if (status == AUR_OK)
		*tokens = new;
	else
		aur_tokens_close(&new);
	return status;
}

aur_status aur_tokens_open(const char *path, struct aur_tokens **tokens)
{
	return aur_tokens_open_shard(path, NULL, NULL, tokens);
}

void aur_tokens_park(struct aur_tokens *tokens)
{
	if (tokens->fd >= 0)
		close(tokens->fd);
	tokens->fd = -1;
	close_datasets(tokens);
	aur_h5_close(&tokens->file);
}

int aur_tokens_is_parked(const struct aur_tokens *tokens)
{
	return tokens->fd < 0 && !tokens->file;
}

/* Opened without blocking: a FIFO in its place must be refused, not waited for. */
static aur_status open_again(struct aur_tokens *tokens, struct aur_file_identity *identity)
{
	tokens->fd = open(tokens->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (tokens->fd >= 0)
		return identify(tokens->fd, tokens->path, identity);
	const int from_system = errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == EIO;
	return aur_fail(from_system ? AUR_IO : AUR_INPUT, "%s: cannot be opened again: %s", tokens->path, strerror(errno));
}

/* Another file of that size may be the same one, copied back: its tokens are verified anew. */
static aur_status compare_identity(struct aur_tokens *tokens, const struct aur_file_identity *now)
{
	const struct aur_file_identity *was = &tokens->identity;
	if (now->bytes != was->bytes)
		return aur_fail(AUR_INPUT,
			"%s: has %" PRId64 " bytes, it had %" PRId64 " when it was first opened (put it back)", tokens->path,
			now->bytes, was->bytes);
	if (now->device == was->device && now->inode == was->inode && now->modified.tv_sec == was->modified.tv_sec &&
		now->modified.tv_nsec == was->modified.tv_nsec)
		return AUR_OK;
	for (int split = 0; split < AUR_TOKENS_SPLITS; split++) {
		struct aur_tokens_part *part = &tokens->parts[split];
		const int64_t block_tokens = AUR_TOKENS_BLOCK_BYTES / tokens->info.token_bytes;
		if (part->verified)
			memset(part->verified, 0, (size_t)(part->count / block_tokens + 1));
		aur_token_cache_forget(tokens->cache, part);
	}
	tokens->identity = *now;
	return AUR_OK;
}

static aur_status open_datasets_again(struct aur_tokens *tokens)
{
	AUR_TRY(aur_h5_open(tokens->path, &tokens->file));
	AUR_TRY(aur_h5_expect(tokens->file, AUR_TOKENS_FORMAT, AUR_TOKENS_VERSION, AUR_TOKENS_ADVICE, NULL));
	for (int split = 0; split < AUR_TOKENS_SPLITS; split++)
		AUR_TRY(open_dataset(tokens, &tokens->parts[split], tokens->parts[split].count));
	if (content_of(tokens) == tokens->content)
		return AUR_OK;
	return aur_fail(
		AUR_INPUT, "%s: was exchanged for another dataset since it was first opened (put it back)", tokens->path);
}

aur_status aur_tokens_unpark(struct aur_tokens *tokens)
{
	struct aur_file_identity identity;
	aur_status status = open_again(tokens, &identity);
	if (status == AUR_OK)
		status = compare_identity(tokens, &identity);
	if (status == AUR_OK && tokens->info.compressed) {
		close(tokens->fd);
		tokens->fd = -1;
		status = open_datasets_again(tokens);
	}
	if (status != AUR_OK)
		aur_tokens_park(tokens);
	return status;
}

void aur_tokens_close(struct aur_tokens **tokens)
{
	if (!tokens || !*tokens)
		return;
	struct aur_tokens *old = *tokens;
	aur_tokens_park(old);
	for (int split = 0; split < AUR_TOKENS_SPLITS; split++) {
		aur_token_cache_forget(old->cache, &old->parts[split]);
		free(old->parts[split].checksums);
		free(old->parts[split].verified);
	}
	if (old->owns_cache)
		aur_token_cache_destroy(&old->cache);
	aur_vocab_clear(&old->own_vocab);
	free(old->info.sources);
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
	return tokens->vocab;
}

const char *aur_tokens_path(const struct aur_tokens *tokens)
{
	return tokens->path;
}

int64_t aur_tokens_chunk(const struct aur_tokens *tokens, enum aur_split split)
{
	return tokens->parts[split].chunk_tokens;
}

uint64_t aur_tokens_content(const struct aur_tokens *tokens)
{
	return tokens->content;
}
