#ifndef AUR_EMULATOR_WAITS_H
#define AUR_EMULATOR_WAITS_H

#include <map>
#include <stddef.h>

/* Pieces of work of streams, by the stream's number. */
struct progress {
	std::map<int, long> done;
};

void progress_join(struct progress *progress, const struct progress &other);

/* One more piece of work of the stream of this number, which is then at `stream`. */
void waits_ask(struct progress *stream, int number);

/* The host has waited, in this call, until a stream or an event that stands at `progress` was done; or for everything.
 * AURELIUS_EMULATOR_TRACE=waits says so where the host did not know it yet, and how much it had asked for behind it. */
void waits_end(const struct progress &progress, const char *call);
void waits_end_all(const char *call);

/* A function of the host that the stream calls sees what the stream has done, of which the host does not know yet. */
void waits_reach(const struct progress &progress);

/* Before a copy is done on a stream that stands at `stream` with it: the stream has ended its earlier ones of the same
 * memory by then. */
void waits_before_copy(const void *to, const void *from, size_t bytes, const struct progress &stream);

/* After a copy that was done on a stream, which stands at `stream` with it. */
void waits_copy(void *to, const void *from, size_t bytes, const struct progress &stream);

void waits_forget(void);

#endif
