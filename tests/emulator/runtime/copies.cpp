#include "internal.h"

#include <string.h>
#include <vector>

/* Copies from global to shared memory that a thread asks for and waits for later. A device may make them at any time in
 * between, so here they are made as late as they may be, while what lies in their place becomes NaN at once: whoever
 * reads the place too early, or writes over the source too soon, computes something else. */

namespace
{

enum { NAN_BYTE = 0xff };

struct copy {
	void *to;
	const void *from; /* NULL: zeros */
	size_t bytes;
};

/* Of each thread of the block. */
std::vector<std::vector<struct copy>> asked;

} // namespace

void copies_begin(size_t threads)
{
	if (asked.size() < threads)
		asked.resize(threads);
	for (std::vector<struct copy> &copies : asked)
		copies.clear();
}

void aur_emulator_copy(void *to, const void *from, size_t bytes)
{
	memset(to, NAN_BYTE, bytes);
	asked[grid_thread()].push_back({to, from, bytes});
}

void aur_emulator_copy_wait(void)
{
	std::vector<struct copy> &copies = asked[grid_thread()];
	for (const struct copy &copy : copies) {
		if (copy.from)
			memcpy(copy.to, copy.from, copy.bytes);
		else
			memset(copy.to, 0, copy.bytes);
	}
	copies.clear();
}
