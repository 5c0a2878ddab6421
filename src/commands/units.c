#include "units.h"

#include "io/file.h"
#include "text/cutter.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* A unit that grows beyond this has no place to be cut: binary data, or a line that is none. Memory that one took is
 * given back when the next is as long as units are. */
enum { UNIT_MOST = 256 << 20, ROOM_KEPT = 4 * AUR_UNIT_BYTES, SLACK = 4096 };

/* One unit of a plain file or of token numbers, or a whole file that is read from its beginning on (part -1). */
struct task {
	int64_t source, part;
};

/* A file that is being read from its beginning on. */
struct cursor {
	struct aur_stream *stream;
	int64_t source, part, offset, line;
	char *carry; /* owned: what was read beyond the last unit, from `given` on */
	size_t carried, given, room;
	int64_t reported; /* of the file's bytes, in `taken` */
};

struct aur_units {
	struct aur_units_request request;
	struct task *tasks; /* owned [n_tasks] */
	int64_t n_tasks, next;
	struct cursor cursor;
	struct aur_cutter *cutter; /* owned; NULL: what stands around a place decides whether texts may be cut there */
	pthread_mutex_t lock;
	_Atomic int64_t taken;
};

/* ---- sharing ---- */

/* Whether the source's units are only found one after another. */
static int is_in_turn(const struct aur_units *units, const struct aur_corpus_file *source)
{
	return source->compression != AUR_PLAIN || (units->cutter && source->kind == AUR_CORPUS_TEXT);
}

static int64_t parts_of(const struct aur_units *units, const struct aur_corpus_file *source)
{
	if (is_in_turn(units, source))
		return 1;
	if (source->kind == AUR_CORPUS_IDS)
		return (source->tokens + AUR_UNIT_TOKENS - 1) / AUR_UNIT_TOKENS;
	return (source->bytes + AUR_UNIT_BYTES - 1) / AUR_UNIT_BYTES;
}

static int64_t bytes_of(const struct aur_units *units, const struct aur_corpus_file *source)
{
	return is_in_turn(units, source) || source->bytes < AUR_UNIT_BYTES ? source->bytes : AUR_UNIT_BYTES;
}

static int lightest(const int64_t *loads, int size)
{
	int least = 0;
	for (int rank = 1; rank < size; rank++)
		least = loads[rank] < loads[least] ? rank : least;
	return least;
}

/* Each goes to the rank that has the least so far: all ranks work it out alike. */
static void share(struct aur_units *units, int64_t *loads)
{
	const struct aur_units_request *request = &units->request;
	for (int64_t i = 0; i < request->sources->count; i++) {
		const struct aur_corpus_file *source = &request->sources->all[i];
		const int in_turn = is_in_turn(units, source);
		for (int64_t part = 0; source->bad_byte < 0 && part < parts_of(units, source); part++) {
			const int rank = lightest(loads, request->size);
			loads[rank] += bytes_of(units, source);
			if (rank == request->rank)
				units->tasks[units->n_tasks++] = (struct task){i, in_turn ? -1 : part};
		}
	}
}

static aur_status list_tasks(struct aur_units *units)
{
	const struct aur_units_request *request = &units->request;
	int64_t all = 1;
	for (int64_t i = 0; i < request->sources->count; i++)
		all += parts_of(units, &request->sources->all[i]);
	int64_t *loads = calloc((size_t)request->size, sizeof *loads);
	units->tasks = calloc((size_t)all, sizeof *units->tasks);
	if (loads && units->tasks)
		share(units, loads);
	free(loads);
	return loads && units->tasks ? AUR_OK
								 : aur_fail(AUR_MEMORY, "no memory for a list of %lld pieces of text", (long long)all);
}

aur_status aur_units_create(const struct aur_units_request *request, struct aur_units **units)
{
	struct aur_units *created = *units = calloc(1, sizeof *created);
	if (!created)
		return aur_fail(AUR_MEMORY, "no memory for a list of files");
	created->request = *request;
	pthread_mutex_init(&created->lock, NULL);
	aur_status status = AUR_OK;
	if (aur_cutter_fits(request->rules))
		status = aur_cutter_create(request->rules, &created->cutter);
	if (status == AUR_OK)
		status = list_tasks(created);
	if (status != AUR_OK)
		aur_units_destroy(units);
	return status;
}

void aur_units_destroy(struct aur_units **units)
{
	if (!units || !*units)
		return;
	aur_stream_close(&(*units)->cursor.stream);
	free((*units)->cursor.carry);
	aur_cutter_destroy(&(*units)->cutter);
	pthread_mutex_destroy(&(*units)->lock);
	free((*units)->tasks);
	free(*units);
	*units = NULL;
}

void aur_unit_clear(struct aur_unit *unit)
{
	free(unit->buffer);
	*unit = (struct aur_unit){0};
}

int64_t aur_units_taken(const struct aur_units *units)
{
	return units->taken;
}

/* ---- places to cut ---- */

static void begin_unit(struct aur_unit *unit)
{
	if (unit->room > ROOM_KEPT) {
		free(unit->buffer);
		unit->buffer = NULL;
		unit->room = 0;
	}
	unit->held = 0;
}

static aur_status reserve(struct aur_unit *unit, size_t bytes)
{
	if (bytes <= unit->room)
		return AUR_OK;
	char *grown = realloc(unit->buffer, bytes);
	if (!grown)
		return aur_fail(AUR_MEMORY, "no memory for a piece of text of %zu bytes", bytes);
	unit->buffer = grown;
	unit->room = bytes;
	return AUR_OK;
}

/* The first place from `from` (at least 1) on in the bytes held, 0 where there is none yet. What decides about a place
 * lies around it: a place near the end is known only when that is the source's end. */
static size_t find_place(const struct aur_units_request *request, const struct aur_unit *unit, size_t from, int at_end)
{
	const struct aur_text held = {unit->buffer, unit->held};
	if (from >= held.size)
		return 0;
	if (request->sources->all[unit->source].kind == AUR_CORPUS_JSONL) {
		const char *end = memchr(held.bytes + from - 1, '\n', held.size - from + 1);
		const size_t place = end ? (size_t)(end - held.bytes) + 1 : 0;
		return place < held.size ? place : 0;
	}
	const size_t place = aur_text_place(request->rules, held, from);
	return place > 0 && (at_end || place + AUR_PLACE_EDGE <= held.size) ? place : 0;
}

static aur_status too_long(const struct aur_units_request *request, const struct aur_unit *unit)
{
	const struct aur_vocab *rules = request->rules;
	const char *path = request->sources->all[unit->source].path;
	const int foreign = strcmp(rules->kind, "bpe") == 0 && strcmp(rules->pattern, "gpt2") != 0 &&
						strcmp(rules->pattern, "gpt4") != 0 &&
						request->sources->all[unit->source].kind == AUR_CORPUS_TEXT;
	if (foreign)
		return aur_fail(AUR_INPUT,
			"%s: %lld bytes and no place where this tokenizer's pattern lets a text be cut: give it as several files, "
			"or as lines of JSON",
			path, (long long)unit->held);
	return aur_fail(AUR_INPUT,
		"%s: %lld bytes without a place to cut the text for the tokenizer (a line end, a space): is it a text?", path,
		(long long)unit->held);
}

/* ---- plain files ---- */

static aur_status changed(const struct aur_corpus_file *source)
{
	return aur_fail(AUR_INPUT, "%s: was changed while it was read", source->path);
}

/* Holds the file's bytes from `base` on, up to `end` or the file's own. */
static aur_status hold(const struct aur_corpus_file *source, int64_t base, int64_t end, struct aur_unit *unit)
{
	const int64_t stop = end < source->bytes ? end : source->bytes;
	const size_t wanted = (size_t)(stop - base);
	size_t got = 0;
	if (wanted <= unit->held)
		return AUR_OK;
	AUR_TRY(reserve(unit, wanted));
	AUR_TRY(aur_file_read_part(
		source->path, base + (int64_t)unit->held, unit->buffer + unit->held, wanted - unit->held, &got));
	unit->held += got;
	return unit->held == wanted ? AUR_OK : changed(source);
}

/* Where the first place from the file's byte `from` on is, counted from `base`; the file's end where there is none. */
static aur_status place_from(
	const struct aur_units_request *request, struct aur_unit *unit, int64_t base, int64_t from, size_t *place)
{
	const struct aur_corpus_file *source = &request->sources->all[unit->source];
	int64_t end = from + SLACK;
	for (;;) {
		AUR_TRY(hold(source, base, end, unit));
		const int at_end = base + (int64_t)unit->held == source->bytes;
		*place = find_place(request, unit, (size_t)(from - base), at_end);
		if (*place > 0)
			return AUR_OK;
		if (at_end) {
			*place = unit->held;
			return AUR_OK;
		}
		if (unit->held > UNIT_MOST)
			return too_long(request, unit);
		end = base + 2 * (int64_t)unit->held;
	}
}

static aur_status read_plain(const struct aur_units_request *request, struct aur_unit *unit)
{
	const int64_t begin = unit->part * AUR_UNIT_BYTES, end = begin + AUR_UNIT_BYTES;
	const int64_t base = begin > 0 ? begin - AUR_PLACE_EDGE : 0;
	size_t first = 0, stop = 0;
	begin_unit(unit);
	AUR_TRY(hold(&request->sources->all[unit->source], base, end + SLACK, unit));
	if (begin > 0)
		AUR_TRY(place_from(request, unit, base, begin, &first));
	if (unit->last)
		stop = unit->held;
	else
		AUR_TRY(place_from(request, unit, base, end, &stop));
	unit->text = (struct aur_text){unit->buffer + first, stop - first};
	unit->offset = base + (int64_t)first;
	unit->first_line = unit->part == 0 ? 0 : -1;
	return AUR_OK;
}

/* ---- files that are read from their beginning on ---- */

/* Keeps the unit's bytes from `place` on: where they lie already, if they were given from there. */
static aur_status keep_rest(struct cursor *cursor, const struct aur_unit *unit, size_t place)
{
	const size_t rest = unit->held - place;
	if (cursor->carried > 0) {
		cursor->given -= rest;
		cursor->carried += rest;
		return AUR_OK;
	}
	if (rest > cursor->room || cursor->room > ROOM_KEPT) {
		free(cursor->carry);
		cursor->room = 0;
		cursor->carry = malloc(rest + 1);
		if (!cursor->carry)
			return aur_fail(AUR_MEMORY, "no memory for a piece of text of %zu bytes", rest);
		cursor->room = rest + 1;
	}
	if (rest > 0)
		memcpy(cursor->carry, unit->buffer + place, rest);
	cursor->given = 0;
	cursor->carried = rest;
	return AUR_OK;
}

/* Fills the buffer up to `bytes`, first from what was carried; *at_end: the source has no more. */
static aur_status fill(struct cursor *cursor, struct aur_unit *unit, size_t bytes, int *at_end)
{
	const size_t wanted = bytes - unit->held;
	const size_t here = wanted < cursor->carried ? wanted : cursor->carried;
	size_t got = 0;
	AUR_TRY(reserve(unit, bytes));
	if (here > 0)
		memcpy(unit->buffer + unit->held, cursor->carry + cursor->given, here);
	cursor->given += here;
	cursor->carried -= here;
	unit->held += here;
	if (here < wanted)
		AUR_TRY(aur_stream_read(cursor->stream, unit->buffer + unit->held, wanted - here, &got));
	unit->held += got;
	*at_end = unit->held < bytes;
	return AUR_OK;
}

static int64_t count_lines(struct aur_text text)
{
	int64_t lines = 0;
	const char *at = text.bytes, *end = at + text.size;
	while (at < end && (at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
		lines++;
		at++;
	}
	return lines;
}

static aur_status find_place_in_turn(struct aur_units *units, const struct aur_unit *unit, int at_end, size_t *place)
{
	const struct aur_units_request *request = &units->request;
	if (units->cutter && request->sources->all[unit->source].kind == AUR_CORPUS_TEXT)
		return aur_cutter_place(
			units->cutter, (struct aur_text){unit->buffer, unit->held}, AUR_UNIT_BYTES, at_end, place);
	*place = find_place(request, unit, AUR_UNIT_BYTES, at_end);
	return AUR_OK;
}

static aur_status read_in_turn(struct aur_units *units, struct aur_unit *unit)
{
	struct cursor *cursor = &units->cursor;
	int at_end = 0, found = 0;
	size_t place = 0;
	begin_unit(unit);
	for (size_t bytes = AUR_UNIT_BYTES + SLACK; !found; bytes = 2 * unit->held) {
		AUR_TRY(fill(cursor, unit, bytes, &at_end));
		AUR_TRY(find_place_in_turn(units, unit, at_end, &place));
		found = place > 0 || at_end;
		if (!found && unit->held > UNIT_MOST)
			return too_long(&units->request, unit);
	}
	place = place > 0 ? place : unit->held;
	AUR_TRY(keep_rest(cursor, unit, place));
	unit->text = (struct aur_text){unit->buffer, place};
	unit->is_read = 1;
	unit->part = cursor->part++;
	unit->offset = cursor->offset;
	unit->first_line = cursor->line;
	unit->last = at_end && cursor->carried == 0;
	cursor->offset += (int64_t)place;
	cursor->line += count_lines(unit->text);
	return AUR_OK;
}

static void note_taken(struct aur_units *units)
{
	const int64_t taken = aur_stream_taken(units->cursor.stream);
	units->taken += taken - units->cursor.reported;
	units->cursor.reported = taken;
}

static aur_status next_in_turn(struct aur_units *units, struct aur_unit *unit)
{
	unit->source = units->cursor.source;
	AUR_TRY(read_in_turn(units, unit));
	note_taken(units);
	if (unit->last)
		aur_stream_close(&units->cursor.stream);
	return AUR_OK;
}

/* ---- handing out ---- */

static aur_status open_in_turn(struct aur_units *units, int64_t source)
{
	struct cursor *cursor = &units->cursor;
	const struct aur_corpus_file *opened = &units->request.sources->all[source];
	cursor->source = source;
	cursor->part = cursor->offset = cursor->line = cursor->reported = 0;
	cursor->carried = cursor->given = 0;
	return aur_stream_open(opened->path, opened->compression, &cursor->stream);
}

static void take_plain(struct aur_units *units, const struct task *task, struct aur_unit *unit)
{
	const struct aur_corpus_file *source = &units->request.sources->all[task->source];
	unit->source = task->source;
	unit->part = task->part;
	unit->last = task->part + 1 == parts_of(units, source);
	unit->text = (struct aur_text){0};
	unit->is_read = 0;
	if (source->kind == AUR_CORPUS_IDS) {
		unit->offset = task->part * AUR_UNIT_TOKENS;
		unit->tokens = unit->last ? source->tokens - unit->offset : AUR_UNIT_TOKENS;
	}
	units->taken += source->bytes / parts_of(units, source);
}

static aur_status next_task(struct aur_units *units, struct aur_unit *unit, int *any)
{
	*any = 1;
	while (!units->cursor.stream && units->next < units->n_tasks) {
		const struct task *task = &units->tasks[units->next++];
		if (task->part >= 0) {
			take_plain(units, task, unit);
			return AUR_OK;
		}
		if (units->request.is_done && units->request.is_done(units->request.context, task->source))
			units->taken += units->request.sources->all[task->source].bytes;
		else
			AUR_TRY(open_in_turn(units, task->source));
	}
	*any = units->cursor.stream != NULL;
	return *any ? next_in_turn(units, unit) : AUR_OK;
}

aur_status aur_units_next(struct aur_units *units, struct aur_unit *unit, int *any)
{
	pthread_mutex_lock(&units->lock);
	const aur_status status = next_task(units, unit, any);
	/* What failed is not tried again by the next thread. */
	if (status != AUR_OK) {
		aur_stream_close(&units->cursor.stream);
		units->next = units->n_tasks;
	}
	pthread_mutex_unlock(&units->lock);
	return status;
}

aur_status aur_unit_read(const struct aur_corpus *sources, const struct aur_vocab *rules, struct aur_unit *unit)
{
	const struct aur_corpus_file *source = &sources->all[unit->source];
	const struct aur_units_request request = {.sources = sources, .rules = rules};
	return unit->is_read || source->kind == AUR_CORPUS_IDS ? AUR_OK : read_plain(&request, unit);
}

aur_status aur_corpus_file_line(const char *path, int64_t offset, int64_t *line)
{
	enum { BLOCK = 1 << 20 };
	char *block = malloc(BLOCK);
	aur_status status = block ? AUR_OK : aur_fail(AUR_MEMORY, "%s: no memory to count its lines", path);
	*line = 0;
	for (int64_t at = 0; at < offset && status == AUR_OK;) {
		size_t got = 0;
		const size_t wanted = offset - at < BLOCK ? (size_t)(offset - at) : BLOCK;
		status = aur_file_read_part(path, at, block, wanted, &got);
		*line += count_lines((struct aur_text){block, got});
		at += (int64_t)got;
		if (got < wanted)
			break;
	}
	free(block);
	return status;
}
