#ifndef AUR_TEXT_JSONL_H
#define AUR_TEXT_JSONL_H

#include "core/status.h"
#include "text/tokenizer.h"

/* JSON Lines: one object a line, one of whose fields is a document's text. */

/* The text of the string `field` of the object on `line`, which is given without its line end. On success *document is
 * memory that the caller frees with aur_jsonl_release and `text` lies in it; else *why says, in a few words, why the
 * line holds no document: "not JSON: ...", "no field \"text\"". AUR_INPUT, without a message; AUR_MEMORY. */
aur_status aur_jsonl_text(
	struct aur_text line, const char *field, void **document, struct aur_text *text, char why[128]);
void aur_jsonl_release(void *document);

/* 1 when there is nothing but white space on the line: no document, and no fault. */
int aur_jsonl_blank(struct aur_text line);

#endif
