#include "io/stream.h"

#include "file_posix.h"
#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

enum { INPUT_BYTES = 256 << 10 };

struct aur_stream {
	char *path;
	enum aur_compression compression;
	int fd;
	int64_t taken; /* bytes read from the file */
	/* compressed */
	unsigned char *input;    /* owned [INPUT_BYTES] */
	size_t at, end;          /* what is left of it */
	z_stream inflater;       /* gzip */
	ZSTD_DCtx *decompressor; /* zstd */
	int within;              /* a member or frame has been begun and not ended */
	int members;             /* gzip: one has ended */
	int ended;
};

/* ---- what a file is ---- */

static int ends_in(const char *path, size_t bytes, const char *end)
{
	const size_t length = strlen(end);
	return bytes > length && memcmp(path + bytes - length, end, length) == 0;
}

enum aur_compression aur_compression_of(const char *path, size_t *stem_bytes)
{
	const size_t bytes = strlen(path);
	const enum aur_compression compression = ends_in(path, bytes, ".gz")    ? AUR_GZIP
											 : ends_in(path, bytes, ".zst") ? AUR_ZSTD
																			: AUR_PLAIN;
	static const size_t suffix[] = {[AUR_PLAIN] = 0, [AUR_GZIP] = 3, [AUR_ZSTD] = 4};
	if (stem_bytes)
		*stem_bytes = bytes - suffix[compression];
	return compression;
}

aur_status aur_compression_look(const char *path, enum aur_compression *compression)
{
	static const unsigned char gzip[] = {0x1f, 0x8b}, zstd[] = {0x28, 0xb5, 0x2f, 0xfd};
	unsigned char begin[4] = {0};
	size_t got;
	AUR_TRY(aur_file_read_part(path, 0, begin, sizeof begin, &got));
	*compression = memcmp(begin, gzip, sizeof gzip) == 0   ? AUR_GZIP
				   : memcmp(begin, zstd, sizeof zstd) == 0 ? AUR_ZSTD
														   : AUR_PLAIN;
	return AUR_OK;
}

/* ---- opening ---- */

/* 16 added to the window's bits: gzip's header and checksum. */
static aur_status begin_unpacking(struct aur_stream *stream)
{
	int ready = 1;
	if (stream->compression == AUR_PLAIN)
		return AUR_OK;
	stream->input = malloc(INPUT_BYTES);
	if (stream->compression == AUR_GZIP)
		ready = inflateInit2(&stream->inflater, 16 + MAX_WBITS) == Z_OK;
	else
		ready = (stream->decompressor = ZSTD_createDCtx()) != NULL;
	return stream->input && ready ? AUR_OK : aur_fail(AUR_MEMORY, "%s: no memory to unpack it", stream->path);
}

aur_status aur_stream_open(const char *path, enum aur_compression compression, struct aur_stream **stream)
{
	*stream = NULL;
	AUR_TRY(aur_file_check_input(path, NULL));
	struct aur_stream *created = calloc(1, sizeof *created);
	if (!created)
		return aur_fail(AUR_MEMORY, "%s: no memory to read it", path);
	aur_status status = AUR_OK;
	created->compression = compression;
	created->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (created->fd < 0)
		status = aur_fail(AUR_INPUT, "%s: cannot open: %s", path, strerror(errno));
	else if (!(created->path = strdup(path)))
		status = aur_fail(AUR_MEMORY, "%s: no memory for its name", path);
	else
		status = begin_unpacking(created);
	*stream = created;
	if (status != AUR_OK)
		aur_stream_close(stream);
	return status;
}

void aur_stream_close(struct aur_stream **stream)
{
	if (!stream || !*stream)
		return;
	struct aur_stream *old = *stream;
	if (old->compression == AUR_GZIP)
		inflateEnd(&old->inflater);
	ZSTD_freeDCtx(old->decompressor);
	if (old->fd >= 0)
		close(old->fd);
	free(old->input);
	free(old->path);
	free(old);
	*stream = NULL;
}

int64_t aur_stream_taken(const struct aur_stream *stream)
{
	return stream->taken - (int64_t)(stream->end - stream->at);
}

/* ---- reading ---- */

static aur_status take(struct aur_stream *stream, void *data, size_t bytes, size_t *got)
{
	AUR_TRY(aur_fd_read_at(stream->fd, stream->path, data, bytes, stream->taken, got));
	stream->taken += (int64_t)*got;
	return AUR_OK;
}

static aur_status damaged(const struct aur_stream *stream, const char *what)
{
	return aur_fail(AUR_INPUT, "%s: damaged near byte %lld: %s (get the file again)", stream->path,
		(long long)aur_stream_taken(stream), what);
}

static aur_status refill(struct aur_stream *stream)
{
	stream->at = stream->end = 0;
	AUR_TRY(take(stream, stream->input, INPUT_BYTES, &stream->end));
	if (stream->end > 0)
		return AUR_OK;
	stream->ended = 1;
	if (stream->within)
		return aur_fail(AUR_INPUT,
			"%s: cut short: it ends after %lld bytes in the middle of the compressed data "
			"(get the file again)",
			stream->path, (long long)stream->taken);
	return AUR_OK;
}

/* A tape or a disk's blocks leave zeros behind the last member, which gzip passes over too. */
static void pass_padding(struct aur_stream *stream)
{
	while (stream->members && stream->at < stream->end && stream->input[stream->at] == 0)
		stream->at++;
}

/* One step: from what is left of the input to at most `room` bytes. A file may be several members, one after another.
 */
static aur_status step_gzip(struct aur_stream *stream, unsigned char *out, size_t room, size_t *made)
{
	z_stream *inflater = &stream->inflater;
	if (!stream->within)
		pass_padding(stream);
	if (!stream->within && stream->at == stream->end)
		return AUR_OK;
	if (!stream->within && inflateReset(inflater) != Z_OK)
		return aur_fail(AUR_INTERNAL, "%s: cannot unpack: zlib's state", stream->path);
	stream->within = 1;
	inflater->next_in = stream->input + stream->at;
	inflater->avail_in = (uInt)(stream->end - stream->at);
	inflater->next_out = out;
	inflater->avail_out = (uInt)room;
	const int result = inflate(inflater, Z_NO_FLUSH);
	stream->at = stream->end - inflater->avail_in;
	*made = room - inflater->avail_out;
	if (result == Z_STREAM_END) {
		stream->within = 0;
		stream->members = 1;
	} else if (result == Z_MEM_ERROR)
		return aur_fail(AUR_MEMORY, "%s: no memory to unpack it", stream->path);
	else if (result != Z_OK && result != Z_BUF_ERROR)
		return damaged(stream, inflater->msg ? inflater->msg : "not gzip");
	return AUR_OK;
}

static aur_status step_zstd(struct aur_stream *stream, unsigned char *out, size_t room, size_t *made)
{
	ZSTD_inBuffer input = {stream->input, stream->end, stream->at};
	ZSTD_outBuffer output = {out, room, 0};
	const size_t left = ZSTD_decompressStream(stream->decompressor, &output, &input);
	stream->at = input.pos;
	*made = output.pos;
	if (ZSTD_isError(left))
		return damaged(stream, ZSTD_getErrorName(left));
	stream->within = left > 0;
	return AUR_OK;
}

static aur_status unpack(struct aur_stream *stream, unsigned char *data, size_t bytes, size_t *got)
{
	enum { STEP = 1 << 30 };
	while (*got < bytes && !stream->ended) {
		const size_t room = bytes - *got < STEP ? bytes - *got : STEP;
		size_t made = 0;
		/* Without new input may still come what was unpacked and had no room. */
		if (stream->within || stream->at < stream->end)
			AUR_TRY(stream->compression == AUR_GZIP ? step_gzip(stream, data + *got, room, &made)
													: step_zstd(stream, data + *got, room, &made));
		*got += made;
		if (made == 0 && stream->at == stream->end)
			AUR_TRY(refill(stream));
	}
	return AUR_OK;
}

aur_status aur_stream_read(struct aur_stream *stream, void *data, size_t bytes, size_t *got)
{
	*got = 0;
	return stream->compression == AUR_PLAIN ? take(stream, data, bytes, got) : unpack(stream, data, bytes, got);
}

aur_status aur_file_read_part(const char *path, int64_t offset, void *data, size_t bytes, size_t *got)
{
	*got = 0;
	const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return aur_fail(AUR_INPUT, "%s: cannot open: %s", path, strerror(errno));
	const aur_status status = aur_fd_read_at(fd, path, data, bytes, offset, got);
	close(fd);
	return status;
}
