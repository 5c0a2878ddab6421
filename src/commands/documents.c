#include "documents.h"

#include "text/jsonl.h"

#include <stdio.h>
#include <string.h>

static aur_status walk_text(const struct aur_unit *unit, const struct aur_documents_visitor *visitor)
{
	const int64_t wrong = aur_utf8_check(unit->text.bytes, unit->text.size);
	if (wrong < 0)
		return visitor->document(visitor->context, unit->text, unit->part > 0);
	const struct aur_bad bad = {unit->source, unit->offset + wrong, -1, "not UTF-8"};
	return visitor->bad(visitor->context, unit, &bad);
}

static aur_status visit_line(struct aur_text line, const struct aur_unit *unit, int64_t number, const char *field,
	const struct aur_documents_visitor *visitor)
{
	struct aur_bad bad = {unit->source, unit->offset + (line.bytes - unit->text.bytes), number, ""};
	struct aur_text text;
	void *document;
	const aur_status status = aur_jsonl_text(line, field, &document, &text, bad.why);
	if (status == AUR_INPUT)
		return visitor->bad(visitor->context, unit, &bad);
	AUR_TRY(status);
	const aur_status visited = visitor->document(visitor->context, text, 0);
	aur_jsonl_release(document);
	return visited;
}

/* A byte-order mark before the first line is no part of it. */
static aur_status walk_lines(
	const struct aur_unit *unit, const char *field, const struct aur_documents_visitor *visitor)
{
	const char *at = unit->text.bytes, *end = at + unit->text.size;
	if (unit->offset == 0 && unit->text.size >= 3 && memcmp(at, "\xef\xbb\xbf", 3) == 0)
		at += 3;
	for (int64_t number = 0; at < end; number++) {
		const char *stop = memchr(at, '\n', (size_t)(end - at));
		const struct aur_text line = {at, (size_t)((stop ? stop : end) - at)};
		if (!aur_jsonl_blank(line))
			AUR_TRY(visit_line(line, unit, number, field, visitor));
		at = stop ? stop + 1 : end;
	}
	return AUR_OK;
}

aur_status aur_documents_walk(const struct aur_corpus *sources, const struct aur_unit *unit, const char *field,
	const struct aur_documents_visitor *visitor)
{
	if (unit->text.size == 0)
		return AUR_OK;
	return sources->all[unit->source].kind == AUR_CORPUS_JSONL ? walk_lines(unit, field, visitor)
															   : walk_text(unit, visitor);
}

aur_status aur_documents_refuse(const struct aur_corpus *sources, const char *standard_input,
	const struct aur_unit *unit, const struct aur_bad *bad)
{
	const char *name = aur_corpus_file_name(sources, unit->source, standard_input);
	int64_t line = unit->first_line;
	if (bad->line < 0)
		return aur_fail(
			AUR_INPUT, "%s: not UTF-8 at byte %lld (convert it: iconv -f latin1 -t utf-8)", name, (long long)bad->byte);
	if (line < 0)
		AUR_TRY(aur_corpus_file_line(sources->all[unit->source].path, unit->offset, &line));
	return aur_fail(AUR_INPUT, "%s: line %lld: %s (--on-bad skip leaves such documents out)", name,
		(long long)(line + bad->line + 1), bad->why);
}
