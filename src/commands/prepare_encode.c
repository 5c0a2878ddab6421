#include "prepare.h"

#include "io/foreign.h"
#include "text/pieces.h"
#include "text/report.h"

#include <stdlib.h>

/* One thread's. */
struct clerk {
	struct aur_prepare *prepare;
	struct aur_pieces *pieces;
	struct aur_unit_result result; /* of the unit at hand */
	size_t room, documents_room;   /* bytes of tokens, and documents, that there is room for */
	/* token numbers */
	uint32_t *numbers;           /* owned [AUR_UNIT_TOKENS + 1] */
	struct aur_foreign *foreign; /* owned: the file read last, of this source */
	int64_t foreign_source;
};

struct office {
	struct aur_prepare *prepare;
	struct clerk *clerks; /* owned [members] */
	int members;
};

static int token_bytes(const struct aur_prepare *prepare)
{
	return aur_tokenizer_vocab(prepare->tokenizer)->size <= UINT16_MAX + 1 ? 2 : 4;
}

/* ---- room ---- */

static aur_status room_for_tokens(struct clerk *clerk, int64_t more)
{
	const size_t bytes = (size_t)(clerk->result.record.tokens + more) * (size_t)token_bytes(clerk->prepare);
	if (bytes <= clerk->room)
		return AUR_OK;
	const size_t room = bytes > 2 * clerk->room ? bytes : 2 * clerk->room;
	void *grown = realloc(clerk->result.tokens, room);
	if (!grown)
		return aur_fail(AUR_MEMORY, "no memory for %zu bytes of tokens", room);
	clerk->result.tokens = grown;
	clerk->room = room;
	return AUR_OK;
}

static aur_status add_document(struct clerk *clerk, int64_t start)
{
	struct aur_unit_result *result = &clerk->result;
	if ((size_t)result->record.documents == clerk->documents_room) {
		const size_t room = clerk->documents_room > 0 ? 2 * clerk->documents_room : 256;
		int64_t *grown = realloc(result->documents, room * sizeof *grown);
		if (!grown)
			return aur_fail(AUR_MEMORY, "no memory for %zu documents", room);
		result->documents = grown;
		clerk->documents_room = room;
	}
	result->documents[result->record.documents++] = start;
	return AUR_OK;
}

static aur_status add_token(struct clerk *clerk, int64_t token)
{
	AUR_TRY(room_for_tokens(clerk, 1));
	const int64_t at = clerk->result.record.tokens++;
	if (token_bytes(clerk->prepare) == 2)
		((uint16_t *)clerk->result.tokens)[at] = (uint16_t)token;
	else
		((uint32_t *)clerk->result.tokens)[at] = (uint32_t)token;
	return AUR_OK;
}

/* ---- texts ---- */

static aur_status encode_piece(struct clerk *clerk, struct aur_text text, int continued)
{
	enum { BLOCK = 64 << 10 };
	const int width = token_bytes(clerk->prepare);
	struct aur_unit_record *record = &clerk->result.record;
	int64_t count = BLOCK;
	aur_pieces_begin(clerk->pieces, text, continued);
	while (count == BLOCK) {
		AUR_TRY(room_for_tokens(clerk, BLOCK));
		char *next = (char *)clerk->result.tokens + record->tokens * width;
		AUR_TRY(aur_pieces_next(clerk->pieces, width, BLOCK, next, &count));
		record->tokens += count;
	}
	return AUR_OK;
}

static void count_text(struct aur_unit_record *record, struct aur_text text)
{
	const struct aur_text_size size = aur_text_measure(text);
	record->bytes += (int64_t)text.size;
	record->characters += size.characters;
	record->lines += size.line_ends;
}

static int is_open(struct aur_text text)
{
	return text.size > 0 && text.bytes[text.size - 1] != '\n';
}

/* A text's documents begin and end elsewhere than its units: they are told when all units are known. */
static aur_status encode_document(void *context, struct aur_text text, int continued)
{
	struct clerk *clerk = context;
	const struct aur_prepare *prepare = clerk->prepare;
	struct aur_unit_record *record = &clerk->result.record;
	const int64_t begin = record->tokens;
	count_text(record, text);
	AUR_TRY(encode_piece(clerk, text, continued));
	if (prepare->sources.all[record->source].kind == AUR_CORPUS_TEXT) {
		record->open_line = is_open(text);
		return AUR_OK;
	}
	record->lines += is_open(text);
	if (record->tokens == begin)
		return AUR_OK;
	AUR_TRY(add_document(clerk, begin));
	return prepare->end_of_text >= 0 ? add_token(clerk, prepare->end_of_text) : AUR_OK;
}

static aur_status note_bad(void *context, const struct aur_unit *unit, const struct aur_bad *bad)
{
	struct clerk *clerk = context;
	if (!aur_prepare_skips(clerk->prepare))
		return aur_prepare_refuse(clerk->prepare, unit, bad);
	if (clerk->result.record.bad++ == 0)
		clerk->result.record.first_bad = *bad;
	return AUR_OK;
}

static aur_status encode_text(struct clerk *clerk, struct aur_unit *unit)
{
	struct aur_prepare *prepare = clerk->prepare;
	const struct aur_documents_visitor visitor = {encode_document, note_bad, clerk};
	AUR_TRY(aur_unit_read(&prepare->sources, aur_tokenizer_vocab(prepare->tokenizer), unit));
	const int64_t unknown = aur_pieces_unknown(clerk->pieces);
	AUR_TRY(aur_documents_walk(&prepare->sources, unit, prepare->request->field, &visitor));
	clerk->result.record.unknown = aur_pieces_unknown(clerk->pieces) - unknown;
	clerk->result.record.text_lines = aur_text_measure(unit->text).line_ends;
	return AUR_OK;
}

/* ---- token numbers ---- */

static aur_status check_numbers(
	const struct clerk *clerk, const struct aur_unit *unit, const uint32_t *numbers, const char *format)
{
	const int64_t size = aur_tokenizer_vocab(clerk->prepare->tokenizer)->size;
	for (int64_t i = 0; i < unit->tokens; i++)
		if (numbers[i] >= size)
			return aur_fail(AUR_INPUT,
				"%s: token %lld is number %lld, the tokenizer has %lld: damaged, no %s file, or made with another "
				"tokenizer",
				clerk->prepare->sources.all[unit->source].path, (long long)(unit->offset + i),
				(long long)(int32_t)numbers[i], (long long)size, format);
	return AUR_OK;
}

/* One token of the unit; `before` is the number in front of it, -1 at the source's beginning. Megatron's documents are
 * listed and need not end with the end of text; llm.c's begin with it, nanoGPT's end with it. */
static aur_status add_number(
	struct clerk *clerk, enum aur_foreign_kind kind, int64_t number, int64_t before, int listed)
{
	const int64_t end = clerk->prepare->end_of_text;
	const int starts = kind == AUR_FOREIGN_MEGATRON ? listed
					   : before < 0 || end < 0      ? before < 0
					   : kind == AUR_FOREIGN_LLMC   ? number == end
													: before == end;
	if (kind == AUR_FOREIGN_MEGATRON && starts && before >= 0 && end >= 0 && before != end)
		AUR_TRY(add_token(clerk, end));
	if (starts)
		AUR_TRY(add_document(clerk, clerk->result.record.tokens));
	return add_token(clerk, number);
}

static aur_status copy_numbers(struct clerk *clerk, const struct aur_foreign *foreign, const struct aur_unit *unit,
	const int64_t *starts, int64_t n)
{
	const enum aur_foreign_kind kind = aur_foreign_kind(foreign);
	const int64_t end = clerk->prepare->end_of_text, ahead = unit->offset > 0;
	const uint32_t *numbers = clerk->numbers + ahead;
	int64_t before = ahead ? (int64_t)clerk->numbers[0] : -1, next = 0;
	AUR_TRY(check_numbers(clerk, unit, numbers, aur_foreign_name(foreign)));
	for (int64_t i = 0; i < unit->tokens; i++) {
		const int listed = next < n && starts[next] == unit->offset + i;
		AUR_TRY(add_number(clerk, kind, numbers[i], before, listed));
		next += listed;
		before = numbers[i];
	}
	/* llm.c's files may end within a document, which the next one goes on with. */
	const int closes = unit->last && kind != AUR_FOREIGN_LLMC && end >= 0 && before != end;
	return closes ? add_token(clerk, end) : AUR_OK;
}

static aur_status read_numbers(struct clerk *clerk, const struct aur_foreign *foreign, const struct aur_unit *unit)
{
	const int64_t ahead = unit->offset > 0;
	int64_t *starts, n;
	if (!clerk->numbers)
		clerk->numbers = malloc(((size_t)AUR_UNIT_TOKENS + 1) * sizeof *clerk->numbers);
	if (!clerk->numbers)
		return aur_fail(AUR_MEMORY, "no memory for token numbers");
	AUR_TRY(aur_foreign_read(foreign, unit->offset - ahead, unit->tokens + ahead, clerk->numbers));
	AUR_TRY(aur_foreign_documents(foreign, unit->offset, unit->offset + unit->tokens, &starts, &n));
	const aur_status status = copy_numbers(clerk, foreign, unit, starts, n);
	free(starts);
	return status;
}

/* The next unit is likely of the same file. */
static aur_status encode_numbers(struct clerk *clerk, const struct aur_unit *unit)
{
	if (!clerk->foreign || clerk->foreign_source != unit->source) {
		aur_foreign_close(&clerk->foreign);
		AUR_TRY(aur_foreign_open(clerk->prepare->sources.all[unit->source].path, &clerk->foreign));
		clerk->foreign_source = unit->source;
	}
	return read_numbers(clerk, clerk->foreign, unit);
}

/* ---- units ---- */

static aur_status encode_unit(void *context, int member, struct aur_unit *unit)
{
	struct clerk *clerk = &((struct office *)context)->clerks[member];
	struct aur_prepare *prepare = clerk->prepare;
	struct aur_unit_result *result = &clerk->result;
	int last;
	if (aur_unit_store_has(prepare->store, unit->source, unit->part, &last))
		return AUR_OK;
	result->record = (struct aur_unit_record){.source = unit->source, .part = unit->part, .last = unit->last};
	AUR_TRY(prepare->sources.all[unit->source].kind == AUR_CORPUS_IDS ? encode_numbers(clerk, unit)
																	  : encode_text(clerk, unit));
	AUR_TRY(aur_unit_store_put(prepare->store, result));
	/* Kept in memory, it took the buffers with it. */
	if (!result->tokens)
		clerk->room = clerk->documents_room = 0;
	return AUR_OK;
}

static int source_is_done(void *context, int64_t source)
{
	const struct office *office = context;
	int last = 0;
	for (int64_t part = 0; !last; part++)
		if (!aur_unit_store_has(office->prepare->store, source, part, &last))
			return 0;
	return 1;
}

static aur_status open_office(struct office *office)
{
	office->members = aur_crew_members(office->prepare->crew);
	office->clerks = calloc((size_t)office->members, sizeof *office->clerks);
	if (!office->clerks)
		return aur_fail(AUR_MEMORY, "no memory for %d threads", office->members);
	for (int i = 0; i < office->members; i++) {
		office->clerks[i].prepare = office->prepare;
		AUR_TRY(aur_pieces_create(office->prepare->tokenizer, &office->clerks[i].pieces));
	}
	return AUR_OK;
}

static void close_office(struct office *office)
{
	for (int i = 0; office->clerks && i < office->members; i++) {
		aur_pieces_destroy(&office->clerks[i].pieces);
		aur_unit_result_clear(&office->clerks[i].result);
		aur_foreign_close(&office->clerks[i].foreign);
		free(office->clerks[i].numbers);
	}
	free(office->clerks);
}

aur_status aur_prepare_encode(struct aur_prepare *prepare)
{
	struct office office = {.prepare = prepare};
	const struct aur_prepare_pass pass = {.title = "encoding",
		.rules = aur_tokenizer_vocab(prepare->tokenizer),
		.is_done = source_is_done,
		.work = encode_unit,
		.context = &office};
	aur_status status = aur_comm_agree(prepare->world, open_office(&office));
	if (status == AUR_OK)
		status = aur_prepare_run(prepare, &pass);
	close_office(&office);
	return status;
}
