#include "waits.h"

#include "internal.h"

#include <list>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vector>

/* What the host knows to be done. Work is done here at once, yet a device does it some time before the host has waited
 * for it; so copies between it and pinned memory end no sooner than that: what the host reads early is NaN, and what it
 * writes early is found. Progress is counted for each stream, as far as events and waits order streams. */

/* Of one stream alone: what others have done is not known from it. */
static struct progress asked, known;

struct late_copy {
	char *host;
	int to_host;
	std::vector<char> bytes; /* as they were when the device came to the copy */
	struct progress at;
};

static std::list<late_copy> &late_copies(void)
{
	static std::list<late_copy> all;
	return all;
}

void progress_join(struct progress *progress, const struct progress &other)
{
	for (const auto &entry : other.done)
		if (progress->done[entry.first] < entry.second)
			progress->done[entry.first] = entry.second;
}

static int covers(const struct progress &progress, const struct progress &other)
{
	for (const auto &entry : other.done) {
		const auto found = progress.done.find(entry.first);
		if (found == progress.done.end() || found->second < entry.second)
			return 0;
	}
	return 1;
}

static long sum(const struct progress &progress)
{
	long all = 0;
	for (const auto &entry : progress.done)
		all += entry.second;
	return all;
}

void waits_ask(struct progress *stream, int number)
{
	stream->done[number] = ++asked.done[number];
}

static void end_copy(const struct late_copy &copy)
{
	if (error_sticky() != cudaSuccess)
		return;
	if (copy.to_host) {
		memcpy(copy.host, copy.bytes.data(), copy.bytes.size());
	} else if (memcmp(copy.host, copy.bytes.data(), copy.bytes.size()) != 0) {
		message_set("pinned memory %p was written to while a copy of its %zu bytes to the device was on its way",
			copy.host, copy.bytes.size());
		error_set_sticky(cudaErrorLaunchFailure);
	}
}

void waits_reach(const struct progress &progress)
{
	std::list<late_copy> &all = late_copies();
	for (auto copy = all.begin(); copy != all.end();) {
		if (!covers(progress, copy->at)) {
			++copy;
			continue;
		}
		end_copy(*copy);
		copy = all.erase(copy);
	}
}

static int overlap(const struct late_copy &copy, const void *memory, size_t bytes)
{
	const char *first = static_cast<const char *>(memory);
	return copy.host < first + bytes && first < copy.host + copy.bytes.size();
}

void waits_before_copy(const void *to, const void *from, size_t bytes, const struct progress &stream)
{
	std::list<late_copy> &all = late_copies();
	for (auto copy = all.begin(); copy != all.end();) {
		if ((!overlap(*copy, to, bytes) && !overlap(*copy, from, bytes)) || !covers(stream, copy->at)) {
			++copy;
			continue;
		}
		end_copy(*copy);
		copy = all.erase(copy);
	}
}

void waits_end(const struct progress &progress, const char *call)
{
	const char *set = getenv("AURELIUS_EMULATOR_TRACE");
	if (covers(known, progress))
		return;
	progress_join(&known, progress);
	if (set && strcmp(set, "waits") == 0)
		fprintf(stderr, "emulator: the host waits in %s, %ld behind it\n", call, sum(asked) - sum(known));
	waits_reach(known);
}

void waits_end_all(const char *call)
{
	waits_end(asked, call);
}

void waits_forget(void)
{
	late_copies().clear();
	known = asked;
}

static int is_pinned(const void *memory, size_t bytes)
{
	const struct allocation *found = memory_find(memory, bytes);
	return found && found->type == cudaMemoryTypeHost;
}

static int is_on_device(const void *memory, size_t bytes)
{
	const struct allocation *found = memory_find(memory, bytes);
	return found && found->type == cudaMemoryTypeDevice;
}

void waits_copy(void *to, const void *from, size_t bytes, const struct progress &stream)
{
	const int to_device = is_on_device(to, bytes), from_device = is_on_device(from, bytes);
	if (bytes == 0 || (to_device && from_device))
		return;
	void *host = to_device ? const_cast<void *>(from) : to;
	if (to_device == from_device || !is_pinned(host, bytes)) {
		waits_end(stream, "cudaMemcpyAsync with memory that is not pinned");
		return;
	}
	const char *first = static_cast<const char *>(host);
	late_copies().push_back({static_cast<char *>(host), !to_device, std::vector<char>(first, first + bytes), stream});
	if (!to_device)
		memset(host, 0xff, bytes);
}
