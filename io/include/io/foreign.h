#ifndef AUR_IO_FOREIGN_H
#define AUR_IO_FOREIGN_H

#include "core/status.h"

#include <stdint.h>

/* Token files of other programs: numbers without the vocabulary they belong to. All are little-endian.
 *
 *   llm.c     256 int32 (20240520, version 1, token count), then uint16; or 20240801, version 7, uint32
 *   nanoGPT   uint16, nothing else
 *   Megatron  NAME.idx ("MMIDIDX", version 1, type, lengths, byte offsets, document starts) beside NAME.bin
 */

enum aur_foreign_kind { AUR_FOREIGN_LLMC, AUR_FOREIGN_NANOGPT, AUR_FOREIGN_MEGATRON };

struct aur_foreign;

/* Opens NAME.bin, or Megatron's by either of its two files, and checks header, sizes and, in an .idx, every entry;
 * memory does not grow with the file. AUR_INPUT with what is wrong; AUR_IO. */
aur_status aur_foreign_open(const char *path, struct aur_foreign **foreign);

/* Accepts NULL; sets *foreign to NULL. */
void aur_foreign_close(struct aur_foreign **foreign);

enum aur_foreign_kind aur_foreign_kind(const struct aur_foreign *foreign);
const char *aur_foreign_name(const struct aur_foreign *foreign); /* "llm.c", "nanoGPT", "Megatron" */
int64_t aur_foreign_tokens(const struct aur_foreign *foreign);

/* Tokens [begin, begin + count) as unsigned numbers: a negative one is larger than any vocabulary. AUR_INPUT when the
 * file has been cut meanwhile; AUR_IO. */
aur_status aur_foreign_read(const struct aur_foreign *foreign, int64_t begin, int64_t count, uint32_t *tokens);

/* Megatron's documents that start at tokens [begin, end), ascending: a new list, which the caller frees. Empty for the
 * other kinds. AUR_IO, AUR_MEMORY. */
aur_status aur_foreign_documents(
	const struct aur_foreign *foreign, int64_t begin, int64_t end, int64_t **starts, int64_t *count);

#endif
