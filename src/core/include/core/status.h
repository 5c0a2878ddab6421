#ifndef AUR_CORE_STATUS_H
#define AUR_CORE_STATUS_H

/* Status codes and the one error record of a thread.
 *
 * Every fallible function returns an aur_status; results go through out-parameters. Where a failure arises it is
 * recorded once, with aur_fail; callers may put context in front of it with aur_add_context while it travels up to
 * main, which alone prints it: `data/book.h5: /train/tokens: checksum mismatch, the file is damaged (re-run prepare)`.
 */

/* X(name, exit code of the program, what it means) */
#define AUR_STATUS_TABLE(X)                                                                                            \
	X(AUR_OK, 0, "done")                                                                                               \
	X(AUR_USAGE, 2, "wrong command line or configuration")                                                             \
	X(AUR_INPUT, 3, "an input is missing, damaged or does not fit")                                                    \
	X(AUR_IO, 4, "disk or file system failed")                                                                         \
	X(AUR_MEMORY, 4, "out of memory")                                                                                  \
	X(AUR_DEVICE, 4, "a device failed")                                                                                \
	X(AUR_NETWORK, 4, "communication between ranks failed")                                                            \
	X(AUR_SHAPE, 4, "shapes disagree")                                                                                 \
	X(AUR_INTERNAL, 4, "an internal rule was broken")                                                                  \
	X(AUR_DIVERGED, 5, "training diverged")                                                                            \
	X(AUR_GAVE_UP, 6, "restarting gave up")                                                                            \
	X(AUR_STOPPED, 75, "stopped after a checkpoint; start again to go on")

#define AUR_STATUS_MEMBER(name, code, text) name,
typedef enum aur_status { AUR_STATUS_TABLE(AUR_STATUS_MEMBER) AUR_STATUS_COUNT } aur_status;
#undef AUR_STATUS_MEMBER

/* Bytes of the longest message, its end included. */
enum { AUR_MESSAGE = 2048 };

/* Returns early on failure; for functions that own nothing yet. */
#define AUR_TRY(expression)                                                                                            \
	do {                                                                                                               \
		const aur_status aur_try_status = (expression);                                                                \
		if (aur_try_status != AUR_OK)                                                                                  \
			return aur_try_status;                                                                                     \
	} while (0)

/* Jumps to `cleanup` on failure, with the status in the caller's variable `status`. */
#define AUR_TRY_CLEANUP(expression)                                                                                    \
	do {                                                                                                               \
		status = (expression);                                                                                         \
		if (status != AUR_OK)                                                                                          \
			goto cleanup;                                                                                              \
	} while (0)

int aur_status_exit_code(aur_status status);
const char *aur_status_name(aur_status status);
const char *aur_status_text(aur_status status);

/* Records the message of a failure in the calling thread, replacing any earlier one, and returns `status`. */
aur_status aur_fail(aur_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Puts "CONTEXT: " in front of the recorded message and returns `status` unchanged. */
aur_status aur_add_context(aur_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The calling thread's message: one line, never NULL, empty when another rank reports the failure. Borrowed until the
 * thread's next aur_fail. */
const char *aur_error_message(void);

/* Forgets the message: a failure that was handled, or one that another rank prints. */
void aur_error_clear(void);

#endif
