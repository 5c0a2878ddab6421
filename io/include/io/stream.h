#ifndef AUR_IO_STREAM_H
#define AUR_IO_STREAM_H

#include "core/status.h"

#include <stddef.h>
#include <stdint.h>

/* Files that are read from front to back, plain or compressed. What a compressed file unpacks to is checked against the
 * checksums in it. */

enum aur_compression { AUR_PLAIN, AUR_GZIP, AUR_ZSTD };

/* By the name's end: .gz, .zst. *stem_bytes gets the length of the name without it; it may be NULL. */
enum aur_compression aur_compression_of(const char *path, size_t *stem_bytes);

/* By the first bytes of a file. AUR_INPUT when it cannot be read. */
aur_status aur_compression_look(const char *path, enum aur_compression *compression);

struct aur_stream;

/* AUR_INPUT, with the reason, unless `path` is an existing, readable, regular file that is not empty. */
aur_status aur_stream_open(const char *path, enum aur_compression compression, struct aur_stream **stream);

/* Up to `bytes` bytes; *got is less only at the end. AUR_INPUT when a compressed file is damaged or cut short, with the
 * place in it; AUR_IO. */
aur_status aur_stream_read(struct aur_stream *stream, void *data, size_t bytes, size_t *got);

/* How far the file itself has been read, in bytes. */
int64_t aur_stream_taken(const struct aur_stream *stream);

/* Accepts NULL; sets *stream to NULL. */
void aur_stream_close(struct aur_stream **stream);

/* Up to `bytes` bytes of a plain file from `offset` on, by itself. *got is less only at the file's end. AUR_INPUT. */
aur_status aur_file_read_part(const char *path, int64_t offset, void *data, size_t bytes, size_t *got);

#endif
