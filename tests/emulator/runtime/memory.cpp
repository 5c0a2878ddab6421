#include "internal.h"
#include "waits.h"

#include <algorithm>
#include <map>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, bytes) ((void)(address), (void)(bytes))
#define ASAN_UNPOISON_MEMORY_REGION(address, bytes) ((void)(address), (void)(bytes))
#endif

/* Memory of the device and pinned memory of the host. Each device allocation has pages of its own between two that
 * nobody may touch and ends as close to the second as CUDA's alignment lets it; the rest of its pages is a guard. It
 * begins as NaN in every type, so that a read of what was never written shows. */

enum { ALIGNMENT = 256, GUARD_BYTE = 0xa5, NAN_BYTE = 0xff };

static size_t device_used;

/* By address. */
static std::map<uintptr_t, struct allocation> &registry(void)
{
	static std::map<uintptr_t, struct allocation> allocations;
	return allocations;
}

static size_t page_bytes(void)
{
	static const size_t bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
	return bytes;
}

static size_t round_up(size_t bytes, size_t multiple)
{
	return (bytes + multiple - 1) / multiple * multiple;
}

/* AURELIUS_EMULATOR_MEMORY_MB, or half of the machine's memory. */
static size_t memory_limit(void)
{
	const char *set = getenv("AURELIUS_EMULATOR_MEMORY_MB");
	if (set && *set)
		return static_cast<size_t>(strtoull(set, nullptr, 10)) << 20;
	return static_cast<size_t>(sysconf(_SC_PHYS_PAGES)) * page_bytes() / 2;
}

const struct allocation *memory_near(const void *address)
{
	const uintptr_t at = reinterpret_cast<uintptr_t>(address);
	for (const auto &entry : registry()) {
		const uintptr_t begin = reinterpret_cast<uintptr_t>(entry.second.mapping);
		if (entry.second.mapping && at >= begin && at < begin + entry.second.mapped)
			return &entry.second;
	}
	return nullptr;
}

const struct allocation *memory_find(const void *address, size_t bytes)
{
	const uintptr_t at = reinterpret_cast<uintptr_t>(address);
	auto next = registry().upper_bound(at);
	if (next == registry().begin())
		return nullptr;
	const struct allocation *found = &std::prev(next)->second;
	const uintptr_t offset = at - reinterpret_cast<uintptr_t>(found->begin);
	return offset <= found->bytes && bytes <= found->bytes - offset && (offset < found->bytes || bytes == 0) ? found
																											 : nullptr;
}

void memory_each_device(void (*visit)(struct allocation *allocation))
{
	for (auto &entry : registry())
		if (entry.second.type == cudaMemoryTypeDevice)
			visit(&entry.second);
}

static int guard_is_whole(const char *begin, const char *end)
{
	return std::all_of(begin, end, [](char byte) { return static_cast<unsigned char>(byte) == GUARD_BYTE; });
}

int memory_check_guards(void)
{
	for (const auto &entry : registry()) {
		const struct allocation &of = entry.second;
		if (of.type != cudaMemoryTypeDevice)
			continue;
		const char *first = of.mapping + page_bytes(), *last = of.mapping + of.mapped - page_bytes();
		ASAN_UNPOISON_MEMORY_REGION(first, last - first);
		const int whole = guard_is_whole(first, of.begin) && guard_is_whole(of.begin + of.bytes, last);
		ASAN_POISON_MEMORY_REGION(first, of.begin - first);
		ASAN_POISON_MEMORY_REGION(of.begin + of.bytes, last - of.begin - static_cast<long>(of.bytes));
		if (!whole) {
			message_set("something was written outside of the allocation %p of %zu bytes", of.begin, of.bytes);
			return 0;
		}
	}
	return 1;
}

static cudaError_t map_device(size_t bytes, struct allocation *made)
{
	const size_t page = page_bytes(), limit = memory_limit();
	if (bytes > limit || device_used > limit - bytes)
		return cudaErrorMemoryAllocation;
	const size_t room = round_up(bytes, ALIGNMENT), data = round_up(room, page);
	void *memory = mmap(nullptr, data + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		return cudaErrorMemoryAllocation;
	char *first = static_cast<char *>(memory) + page;
	if (mprotect(first, data, PROT_READ | PROT_WRITE)) {
		munmap(memory, data + 2 * page);
		return cudaErrorMemoryAllocation;
	}
	*made = {first + data - room, bytes, cudaMemoryTypeDevice, static_cast<char *>(memory), data + 2 * page, 0};
	memset(first, GUARD_BYTE, static_cast<size_t>(made->begin - first));
	memset(made->begin, NAN_BYTE, bytes);
	memset(made->begin + bytes, GUARD_BYTE, room - bytes);
	ASAN_POISON_MEMORY_REGION(first, made->begin - first);
	ASAN_POISON_MEMORY_REGION(made->begin + bytes, room - bytes);
	return cudaSuccess;
}

cudaError_t cudaMalloc(void **memory, size_t bytes)
{
	const std::lock_guard<std::recursive_mutex> guard(emulator_lock());
	struct allocation made;
	*memory = nullptr;
	if (error_sticky() != cudaSuccess || bytes == 0)
		return error_set(cudaSuccess);
	const cudaError_t error = inject_failure("malloc") ? cudaErrorMemoryAllocation : map_device(bytes, &made);
	if (error != cudaSuccess)
		return error_set(error);
	device_used += bytes;
	registry()[reinterpret_cast<uintptr_t>(made.begin)] = made;
	*memory = made.begin;
	return error_set(cudaSuccess);
}

static void unmap_device(const struct allocation *allocation)
{
	device_used -= allocation->bytes;
	ASAN_UNPOISON_MEMORY_REGION(allocation->mapping, allocation->mapped);
	munmap(allocation->mapping, allocation->mapped);
}

void memory_free_all(void)
{
	waits_forget();
	for (const auto &entry : registry())
		if (entry.second.type == cudaMemoryTypeDevice)
			unmap_device(&entry.second);
		else
			free(entry.second.begin);
	registry().clear();
}

cudaError_t cudaFree(void *memory)
{
	const std::lock_guard<std::recursive_mutex> guard(emulator_lock());
	if (!memory)
		return error_set(cudaSuccess);
	const auto found = registry().find(reinterpret_cast<uintptr_t>(memory));
	if (found == registry().end() || found->second.type != cudaMemoryTypeDevice)
		return error_set(cudaErrorInvalidValue);
	waits_end_all("cudaFree");
	unmap_device(&found->second);
	registry().erase(found);
	return error_set(cudaSuccess);
}

cudaError_t cudaHostAlloc(void **memory, size_t bytes, unsigned flags)
{
	const std::lock_guard<std::recursive_mutex> guard(emulator_lock());
	(void)flags;
	*memory = nullptr;
	if (posix_memalign(memory, page_bytes(), bytes ? bytes : 1))
		return error_set(cudaErrorMemoryAllocation);
	memset(*memory, NAN_BYTE, bytes);
	registry()[reinterpret_cast<uintptr_t>(*memory)] = {
		static_cast<char *>(*memory), bytes, cudaMemoryTypeHost, nullptr, 0, 0};
	return error_set(cudaSuccess);
}

cudaError_t cudaMallocHost(void **memory, size_t bytes)
{
	return cudaHostAlloc(memory, bytes, cudaHostAllocDefault);
}

cudaError_t cudaFreeHost(void *memory)
{
	const std::lock_guard<std::recursive_mutex> guard(emulator_lock());
	const auto found = registry().find(reinterpret_cast<uintptr_t>(memory));
	if (!memory)
		return error_set(cudaSuccess);
	if (found == registry().end() || found->second.type != cudaMemoryTypeHost)
		return error_set(cudaErrorInvalidValue);
	waits_end_all("cudaFreeHost");
	registry().erase(found);
	free(memory);
	return error_set(cudaSuccess);
}

cudaError_t cudaMemGetInfo(size_t *available, size_t *total)
{
	const std::lock_guard<std::recursive_mutex> guard(emulator_lock());
	*total = memory_limit();
	*available = *total > device_used ? *total - device_used : 0;
	return error_set(cudaSuccess);
}

cudaError_t cudaPointerGetAttributes(struct cudaPointerAttributes *attributes, const void *memory)
{
	const std::lock_guard<std::recursive_mutex> guard(emulator_lock());
	const struct allocation *found = memory_find(memory, 0);
	memset(attributes, 0, sizeof *attributes);
	attributes->type = found ? found->type : cudaMemoryTypeUnregistered;
	attributes->hostPointer = attributes->type == cudaMemoryTypeDevice ? nullptr : const_cast<void *>(memory);
	attributes->devicePointer = attributes->type == cudaMemoryTypeUnregistered ? nullptr : const_cast<void *>(memory);
	return error_set(cudaSuccess);
}

/* Whether the range lies in one allocation of the device, and whether any of it does. */
static int is_device(const void *memory, size_t bytes)
{
	const struct allocation *found = memory_find(memory, bytes);
	return found && found->type == cudaMemoryTypeDevice;
}

static int touches_device(const void *memory)
{
	return memory_near(memory) != nullptr;
}

static int ends_fit(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind)
{
	switch (kind) {
	case cudaMemcpyHostToDevice:
		return is_device(to, bytes) && !touches_device(from);
	case cudaMemcpyDeviceToHost:
		return !touches_device(to) && is_device(from, bytes);
	case cudaMemcpyDeviceToDevice:
		return is_device(to, bytes) && is_device(from, bytes);
	case cudaMemcpyHostToHost:
		return !touches_device(to) && !touches_device(from);
	case cudaMemcpyDefault:
		return (is_device(to, bytes) || !touches_device(to)) && (is_device(from, bytes) || !touches_device(from));
	}
	return 0;
}

cudaError_t memory_copy(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind)
{
	if (error_sticky() != cudaSuccess || bytes == 0)
		return error_set(cudaSuccess);
	if (inject_failure("copy"))
		return error_set_sticky(cudaErrorIllegalAddress);
	if (!ends_fit(to, from, bytes, kind)) {
		message_set("a copy of %zu bytes from %p to %p does not lie within the memory that its kind %d names", bytes,
			from, to, static_cast<int>(kind));
		return error_set(cudaErrorInvalidValue);
	}
	memmove(to, from, bytes);
	return error_set(cudaSuccess);
}

cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind)
{
	const std::lock_guard<std::recursive_mutex> guard(emulator_lock());
	waits_end_all("cudaMemcpy");
	return memory_copy(to, from, bytes, kind);
}

cudaError_t cudaMemset(void *memory, int value, size_t bytes)
{
	const std::lock_guard<std::recursive_mutex> guard(emulator_lock());
	if (error_sticky() != cudaSuccess || bytes == 0)
		return error_set(cudaSuccess);
	if (!is_device(memory, bytes)) {
		message_set("a fill of %zu bytes at %p does not lie within one allocation", bytes, memory);
		return error_set(cudaErrorInvalidValue);
	}
	memset(memory, value, bytes);
	return error_set(cudaSuccess);
}
