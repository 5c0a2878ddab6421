#include "h5_raw.h"
#include "io/hdf5.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void start_library(void)
{
#if !H5_VERSION_GE(1, 10, 7)
	/* Before H5Pset_file_locking there was only this way; locks fail on some network file systems. */
	setenv("HDF5_USE_FILE_LOCKING", "FALSE", 1);
#endif
	H5dont_atexit();
	H5open();
	H5PLset_loading_state(0);
	H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
}

void aur_hdf5_start(void)
{
	pthread_once(&once, start_library);
}

void aur_hdf5_version(char *version, size_t bytes, int *thread_safe)
{
	unsigned major = 0, minor = 0, release = 0;
	hbool_t safe = 0;
	aur_h5_lock();
	H5get_libversion(&major, &minor, &release);
	H5is_library_threadsafe(&safe);
	aur_h5_unlock();
	snprintf(version, bytes, "%u.%u.%u", major, minor, release);
	*thread_safe = safe != 0;
}

void aur_h5_lock(void)
{
	/* A thread-safe HDF5 keeps an error stack, and whether to print it, for each thread. */
	static _Thread_local int silenced;
	aur_hdf5_start();
	pthread_mutex_lock(&mutex);
	if (!silenced)
		silenced = H5Eset_auto2(H5E_DEFAULT, NULL, NULL) >= 0;
}

void aur_h5_unlock(void)
{
	pthread_mutex_unlock(&mutex);
}

enum { REASON_BYTES = 256 };

struct reason {
	char text[REASON_BYTES];
	int from_system; /* the text is strerror's */
};

/* Where HDF5 quotes the system (... error message = 'No space left on device', ...) only that part tells a user
 * anything. */
static void take_description(const char *description, struct reason *reason)
{
	static const char mark[] = "error message = '";
	const char *quoted = strstr(description, mark);
	if (quoted) {
		quoted += sizeof mark - 1;
		const size_t bytes = strcspn(quoted, "'");
		snprintf(
			reason->text, sizeof reason->text, "%.*s", (int)(bytes < REASON_BYTES ? bytes : REASON_BYTES - 1), quoted);
		reason->from_system = 1;
		return;
	}
	snprintf(reason->text, sizeof reason->text, "%s", description);
}

static herr_t look_at_error(unsigned depth, const H5E_error2_t *error, void *data)
{
	struct reason *reason = data;
	if (depth == 0 && error->desc)
		take_description(error->desc, reason);
	return 0;
}

/* The innermost entry of the error stack is where it went wrong; the others only say who called. */
static struct reason innermost_reason(void)
{
	struct reason reason = {"HDF5 gives no reason", 0};
	H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, look_at_error, &reason);
	H5Eclear2(H5E_DEFAULT);
	return reason;
}

aur_status aur_h5_write_failed(const struct aur_h5 *file)
{
	const struct reason reason = innermost_reason();
	return aur_fail(AUR_IO, "%s: cannot write: %s", file->path, reason.text);
}

aur_status aur_h5_read_failed(const struct aur_h5 *file, const char *object)
{
	const struct reason reason = innermost_reason();
	if (reason.from_system)
		return aur_fail(AUR_IO, "%s: %s: cannot read: %s", file->path, object, reason.text);
	return aur_h5_damaged(file, object, "damaged: %s", reason.text);
}

aur_status aur_h5_damaged(const struct aur_h5 *file, const char *object, const char *format, ...)
{
	char what[512];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(what, sizeof what, format, arguments);
	va_end(arguments);
	return aur_fail(AUR_INPUT, "%s: %s: %s (%s)", file->path, object, what, file->advice);
}
