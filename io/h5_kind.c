#include "h5_raw.h"
#include "io/hdf5.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "file_posix.h"

static const char signature[8] = {'\x89', 'H', 'D', 'F', '\r', '\n', '\x1a', '\n'};

static int is_text(const unsigned char *head, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		if (head[i] < 32 && !isspace(head[i]))
			return 0;
	return 1;
}

/* For whoever gave the wrong file: what it looks like. */
static const char *what_it_is(const unsigned char *head, size_t bytes)
{
	if (bytes >= 4 && memcmp(head, "GGUF", 4) == 0)
		return "a GGUF model, not an HDF5 file";
	if (bytes >= 9 && head[8] == '{' && head[7] == 0)
		return "a safetensors file, not an HDF5 file";
	if (bytes >= 2 && head[0] == 0x1f && head[1] == 0x8b)
		return "a gzip file, not an HDF5 file (unpack it first)";
	if (bytes >= 4 && memcmp(head, "PK\3\4", 4) == 0)
		return "a zip file, not an HDF5 file";
	if (is_text(head, bytes))
		return "a text, not an HDF5 file (make a dataset of it with: aurelius prepare)";
	return "not an HDF5 file";
}

aur_status aur_h5_check_signature(const char *path)
{
	unsigned char head[512];
	size_t bytes;
	const int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return aur_fail(AUR_INPUT, "%s: cannot open: %s", path, strerror(errno));
	const aur_status status = aur_fd_read_at(fd, path, head, sizeof head, 0, &bytes);
	close(fd);
	AUR_TRY(status);
	if (bytes <= sizeof signature || memcmp(head, signature, sizeof signature) != 0)
		return aur_fail(AUR_INPUT, "%s: is %s", path, what_it_is(head, bytes));
	/* Versions 0 and 1 of the superblock have no checksums; nothing we write begins with them. */
	if (head[sizeof signature] < 2)
		return aur_fail(AUR_INPUT, "%s: is an HDF5 file of another program, not one of aurelius's", path);
	return AUR_OK;
}

static const char *name_of_format(const char *format)
{
	if (strcmp(format, "aurelius-tokens") == 0)
		return "a token dataset";
	if (strcmp(format, "aurelius-vocabulary") == 0)
		return "a vocabulary";
	return strcmp(format, "aurelius-checkpoint") == 0 ? "a checkpoint or model" : NULL;
}

static aur_status read_format(struct aur_h5 *file, char format[32])
{
	aur_h5_lock();
	const htri_t found = H5Aexists(file->id, "format");
	aur_status status = found < 0 ? aur_h5_read_failed(file, "/") : AUR_OK;
	aur_h5_unlock();
	AUR_TRY(status);
	if (!found)
		return aur_fail(AUR_INPUT, "%s: is an HDF5 file of another program, not one of aurelius's", file->path);
	AUR_TRY(aur_h5_get_text(file, "/", "format", format, 32));
	if (!name_of_format(format))
		return aur_fail(
			AUR_INPUT, "%s: is an HDF5 file of the format \"%s\", not one of aurelius's", file->path, format);
	return AUR_OK;
}

static aur_status check_version(struct aur_h5 *file, int64_t expected)
{
	int64_t version;
	AUR_TRY(aur_h5_get_int(file, "/", "version", &version));
	if (version != expected)
		return aur_fail(AUR_INPUT,
			"%s: has version %lld of its format, this program reads version %lld (use the program that wrote it)",
			file->path, (long long)version, (long long)expected);
	return AUR_OK;
}

aur_status aur_h5_expect(
	struct aur_h5 *file, const char *format, int64_t version, const char *advice, int64_t *complete)
{
	char found[32];
	int64_t mark = 0;
	AUR_TRY(read_format(file, found));
	if (strcmp(found, format) != 0)
		return aur_fail(
			AUR_INPUT, "%s: is %s, but %s is needed here", file->path, name_of_format(found), name_of_format(format));
	file->advice = advice;
	AUR_TRY(check_version(file, version));
	AUR_TRY(aur_h5_get_int(file, "/", "complete", &mark));
	if (mark < 1)
		return aur_h5_damaged(file, "/", "its completeness mark is %lld: writing it was cut off", (long long)mark);
	if (complete)
		*complete = mark;
	return AUR_OK;
}

aur_status aur_hdf5_kind(const char *path, char kind[32])
{
	struct aur_h5 *file;
	AUR_TRY(aur_h5_open(path, &file));
	const aur_status status = read_format(file, kind);
	aur_h5_close(&file);
	return status;
}
