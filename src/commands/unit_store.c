#include "unit_store.h"

#include "io/file.h"
#include "io/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

enum { UNIT_MAGIC = 0x75525541, UNIT_VERSION = 1 }; /* "AURu" */

/* A unit's file: this, then the tokens, then the documents. */
struct head {
	int32_t magic, version, token_bytes, unused;
	struct aur_unit_record record;
	uint64_t checksum; /* of tokens and documents */
	uint64_t own;      /* of all above */
};

struct aur_unit_store {
	struct aur_work *work;
	int token_bytes;
	int64_t limit, kept_bytes;
	struct aur_unit_result *kept; /* owned [n_kept] */
	int64_t n_kept, room;
	pthread_mutex_t lock;
};

void aur_unit_result_clear(struct aur_unit_result *result)
{
	free(result->tokens);
	free(result->documents);
	*result = (struct aur_unit_result){0};
}

aur_status aur_unit_store_create(
	struct aur_work *work, int token_bytes, int64_t kept_bytes, struct aur_unit_store **store)
{
	*store = calloc(1, sizeof **store);
	if (!*store)
		return aur_fail(AUR_MEMORY, "no memory for tokens");
	(*store)->work = work;
	(*store)->token_bytes = token_bytes;
	(*store)->limit = kept_bytes;
	pthread_mutex_init(&(*store)->lock, NULL);
	return AUR_OK;
}

void aur_unit_store_destroy(struct aur_unit_store **store)
{
	if (!store || !*store)
		return;
	for (int64_t i = 0; i < (*store)->n_kept; i++)
		aur_unit_result_clear(&(*store)->kept[i]);
	free((*store)->kept);
	pthread_mutex_destroy(&(*store)->lock);
	free(*store);
	*store = NULL;
}

/* ---- files ---- */

static size_t token_size(const struct aur_unit_store *store, const struct aur_unit_record *record)
{
	return (size_t)record->tokens * (size_t)store->token_bytes;
}

static size_t document_size(const struct aur_unit_record *record)
{
	return (size_t)record->documents * sizeof(int64_t);
}

static uint64_t checksum_of(const struct aur_unit_store *store, const struct aur_unit_result *result)
{
	const uint64_t tokens = XXH3_64bits(result->tokens, token_size(store, &result->record));
	return XXH3_64bits_withSeed(result->documents, document_size(&result->record), tokens);
}

static uint64_t own_checksum(const struct head *head)
{
	return XXH3_64bits(head, offsetof(struct head, own));
}

static aur_status name_file(const struct aur_unit_store *store, int64_t source, int64_t part, char path[AUR_WORK_PATH])
{
	char name[64];
	snprintf(name, sizeof name, "unit-%08lld-%08lld", (long long)source, (long long)part);
	return aur_work_path(store->work, name, path);
}

static aur_status write_parts(
	const struct aur_unit_store *store, int fd, const char *path, const struct aur_unit_result *result)
{
	struct head head;
	memset(&head, 0, sizeof head); /* with the gaps between members, which are checksummed too */
	head.magic = UNIT_MAGIC;
	head.version = UNIT_VERSION;
	head.token_bytes = store->token_bytes;
	memcpy(&head.record, &result->record, sizeof head.record);
	head.checksum = checksum_of(store, result);
	head.own = own_checksum(&head);
	AUR_TRY(aur_fd_write(fd, path, &head, sizeof head));
	AUR_TRY(aur_fd_write(fd, path, result->tokens, token_size(store, &result->record)));
	return aur_fd_write(fd, path, result->documents, document_size(&result->record));
}

/* Nothing waits for the disk: what a crash of the machine leaves of a file is told by its checksum. */
static aur_status write_file(const struct aur_unit_store *store, const struct aur_unit_result *result)
{
	char path[AUR_WORK_PATH], partial[AUR_WORK_PATH + 16];
	AUR_TRY(aur_work_need(store->work));
	AUR_TRY(name_file(store, result->record.source, result->record.part, path));
	snprintf(partial, sizeof partial, "%s.partial", path);
	const int fd = open(partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd < 0)
		return aur_fail(AUR_IO, "%s: cannot create: %s", partial, strerror(errno));
	aur_status status = write_parts(store, fd, partial, result);
	if (close(fd) != 0 && status == AUR_OK)
		status = aur_fail(AUR_IO, "%s: cannot write: %s", partial, strerror(errno));
	if (status == AUR_OK)
		status = aur_file_rename(partial, path);
	if (status != AUR_OK)
		unlink(partial);
	return status;
}

static int head_is_good(
	const struct aur_unit_store *store, const struct head *head, size_t got, int64_t source, int64_t part)
{
	return got == sizeof *head && head->magic == UNIT_MAGIC && head->version == UNIT_VERSION &&
		   head->token_bytes == store->token_bytes && head->own == own_checksum(head) &&
		   head->record.source == source && head->record.part == part;
}

static aur_status read_head(
	const struct aur_unit_store *store, int64_t source, int64_t part, char path[AUR_WORK_PATH], struct head *head)
{
	size_t got;
	AUR_TRY(name_file(store, source, part, path));
	AUR_TRY(aur_file_read_part(path, 0, head, sizeof *head, &got));
	return head_is_good(store, head, got, source, part)
			   ? AUR_OK
			   : aur_fail(AUR_IO, "%s: damaged (remove it and give the command again)", path);
}

static aur_status read_file(
	const struct aur_unit_store *store, int64_t source, int64_t part, struct aur_unit_result *result)
{
	char path[AUR_WORK_PATH];
	struct head head;
	size_t got_tokens = 0, got_documents = 0;
	AUR_TRY(read_head(store, source, part, path, &head));
	result->record = head.record;
	const size_t tokens = token_size(store, &head.record), documents = document_size(&head.record);
	result->tokens = malloc(tokens + 1);
	result->documents = malloc(documents + 1);
	if (!result->tokens || !result->documents)
		return aur_fail(AUR_MEMORY, "%s: no memory to read it", path);
	AUR_TRY(aur_file_read_part(path, sizeof head, result->tokens, tokens, &got_tokens));
	AUR_TRY(aur_file_read_part(path, (int64_t)(sizeof head + tokens), result->documents, documents, &got_documents));
	if (got_tokens < tokens || got_documents < documents || checksum_of(store, result) != head.checksum)
		return aur_fail(AUR_IO, "%s: damaged (remove it and give the command again)", path);
	return AUR_OK;
}

int aur_unit_store_has(const struct aur_unit_store *store, int64_t source, int64_t part, int *last)
{
	struct aur_unit_result result = {0};
	if (!aur_work_exists(store->work))
		return 0;
	const aur_status status = read_file(store, source, part, &result);
	*last = result.record.last;
	aur_unit_result_clear(&result);
	if (status != AUR_OK)
		aur_error_clear();
	return status == AUR_OK;
}

/* ---- memory ---- */

static int64_t size_of(const struct aur_unit_store *store, const struct aur_unit_record *record)
{
	return (int64_t)(token_size(store, record) + document_size(record) + sizeof *record);
}

/* 1 when it was kept. Memory that was set aside and not filled goes back first. */
static int keep(struct aur_unit_store *store, struct aur_unit_result *result)
{
	const int64_t bytes = size_of(store, &result->record);
	if (store->kept_bytes + bytes > store->limit)
		return 0;
	if (store->n_kept == store->room) {
		const int64_t room = store->room > 0 ? 2 * store->room : 16;
		struct aur_unit_result *grown = realloc(store->kept, (size_t)room * sizeof *grown);
		if (!grown)
			return 0;
		store->kept = grown;
		store->room = room;
	}
	void *tokens = realloc(result->tokens, token_size(store, &result->record) + 1);
	result->tokens = tokens ? tokens : result->tokens;
	store->kept[store->n_kept++] = *result;
	store->kept_bytes += bytes;
	*result = (struct aur_unit_result){0};
	return 1;
}

aur_status aur_unit_store_put(struct aur_unit_store *store, struct aur_unit_result *result)
{
	pthread_mutex_lock(&store->lock);
	const int kept = keep(store, result);
	pthread_mutex_unlock(&store->lock);
	return kept ? AUR_OK : write_file(store, result);
}

static int compare_units(const void *left, const void *right)
{
	const struct aur_unit_record *a = left, *b = right;
	if (a->source != b->source)
		return a->source < b->source ? -1 : 1;
	return (a->part > b->part) - (a->part < b->part);
}

/* The record is the first member of a result. */
static const struct aur_unit_result *find_kept(const struct aur_unit_store *store, int64_t source, int64_t part)
{
	const struct aur_unit_result wanted = {.record = {.source = source, .part = part}};
	return store->n_kept > 0 ? bsearch(&wanted, store->kept, (size_t)store->n_kept, sizeof *store->kept, compare_units)
							 : NULL;
}

/* ---- all units ---- */

struct list {
	struct aur_unit_record *records;
	int64_t count, room;
};

static aur_status append(struct list *list, const struct aur_unit_record *record)
{
	if (list->count == list->room) {
		const int64_t room = list->room > 0 ? 2 * list->room : 64;
		struct aur_unit_record *grown = realloc(list->records, (size_t)room * sizeof *grown);
		if (!grown)
			return aur_fail(AUR_MEMORY, "no memory for a list of %lld pieces of text", (long long)room);
		list->records = grown;
		list->room = room;
	}
	list->records[list->count++] = *record;
	return AUR_OK;
}

static aur_status collect_source(const struct aur_unit_store *store, int64_t source, struct list *list)
{
	int last = 0;
	for (int64_t part = 0; !last; part++) {
		const struct aur_unit_result *kept = find_kept(store, source, part);
		struct head head;
		char path[AUR_WORK_PATH];
		if (!kept)
			AUR_TRY(read_head(store, source, part, path, &head));
		AUR_TRY(append(list, kept ? &kept->record : &head.record));
		last = list->records[list->count - 1].last;
	}
	return AUR_OK;
}

aur_status aur_unit_store_collect(
	struct aur_unit_store *store, const struct aur_corpus *sources, struct aur_unit_record **records, int64_t *count)
{
	struct list list = {0};
	aur_status status = AUR_OK;
	if (store->n_kept > 0)
		qsort(store->kept, (size_t)store->n_kept, sizeof *store->kept, compare_units);
	for (int64_t i = 0; i < sources->count && status == AUR_OK; i++)
		if (sources->all[i].bad_byte < 0)
			status = collect_source(store, i, &list);
	if (status != AUR_OK) {
		free(list.records);
		list = (struct list){0};
	}
	*records = list.records;
	*count = list.count;
	return status;
}

aur_status aur_unit_store_get(
	const struct aur_unit_store *store, const struct aur_unit_record *record, struct aur_unit_result *result, int *lent)
{
	const struct aur_unit_result *kept = find_kept(store, record->source, record->part);
	*lent = kept != NULL;
	if (kept) {
		*result = *kept;
		return AUR_OK;
	}
	*result = (struct aur_unit_result){0};
	const aur_status status = read_file(store, record->source, record->part, result);
	if (status != AUR_OK)
		aur_unit_result_clear(result);
	return status;
}

aur_status aur_unit_store_documents(
	const struct aur_unit_store *store, const struct aur_unit_record *record, int64_t **documents, int *lent)
{
	const struct aur_unit_result *kept = find_kept(store, record->source, record->part);
	char path[AUR_WORK_PATH];
	size_t got;
	*lent = kept != NULL;
	*documents = kept ? kept->documents : NULL;
	if (kept || record->documents == 0)
		return AUR_OK;
	AUR_TRY(name_file(store, record->source, record->part, path));
	*documents = malloc(document_size(record));
	if (!*documents)
		return aur_fail(AUR_MEMORY, "%s: no memory for %lld documents", path, (long long)record->documents);
	const int64_t offset = (int64_t)(sizeof(struct head) + token_size(store, record));
	AUR_TRY(aur_file_read_part(path, offset, *documents, document_size(record), &got));
	return got == document_size(record) ? AUR_OK
										: aur_fail(AUR_IO, "%s: damaged (remove it and give the command again)", path);
}
