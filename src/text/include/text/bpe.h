#ifndef AUR_TEXT_BPE_H
#define AUR_TEXT_BPE_H

#include "core/status.h"
#include "core/vocab.h"

#include <stddef.h>

/* Vocabularies of byte-level BPE in the forms that others keep them in, as bytes of files. What is read becomes a
 * vocabulary of the kind "bpe", cleaning "none". `vocab` must be zeroed; the caller clears it. Every failure says what
 * is wrong, not in which file. */

/* GPT-2's encoder.json and vocab.bpe, or Hugging Face's vocab.json and merges.txt, which are the same but for their
 * names. Splits by GPT-2's pattern. Tokens that are neither a byte nor made by a merge (<|endoftext|>) are special.
 * AUR_INPUT when damaged, AUR_MEMORY. */
aur_status aur_bpe_read_files(
	const char *tokens, size_t tokens_bytes, const char *merges, size_t merges_bytes, struct aur_vocab *vocab);

/* Hugging Face's tokenizer.json with a model of type BPE, split by ByteLevel or by a regular expression and then
 * ByteLevel. AUR_INPUT names what else it asks for: a normalizer, another model, another way to split. What it would
 * put around a text (post_processor) is not taken over. */
aur_status aur_bpe_read_json(const char *json, size_t bytes, struct aur_vocab *vocab);

/* The same file of a vocabulary of this kind as a new string, terminated, which the caller frees. AUR_INPUT when the
 * kind is another, or a name would stand for two tokens; AUR_MEMORY. */
aur_status aur_bpe_write_json(const struct aur_vocab *vocab, char **json);

#endif
