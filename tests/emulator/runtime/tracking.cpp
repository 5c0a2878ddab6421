#include "internal.h"

#include <algorithm>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <vector>

/* What a launch writes to device memory, found by the processor's own protection: before a schedule all of it is made
 * read-only, the first write to a piece keeps a copy of what was there, and so the launch can be run again from the
 * same start and compared. It costs with what is written, not with what is allocated. The same handler turns an access
 * outside of every allocation into a launch that fails. Not tracked are memory of the host, and a large allocation to
 * which no argument of the kernel points: protecting its pages costs more than the kernels of a small model.
 */

enum {
	PIECE = 16,      /* pages that are saved at once */
	LARGE = 1 << 20, /* bytes of an allocation from which it is tracked only where an argument points to it */
};

struct piece {
	char *begin; /* within the bytes of its allocation */
	size_t bytes;
	char *low; /* its pages */
	size_t room;
	const struct allocation *of;
	int written;                     /* by the schedule that runs */
	std::vector<char> before, first; /* before the launch, and after its first schedule */
};

static std::vector<struct piece> pieces;
static const struct aur_emulator_launch *tracked; /* NULL: none is */
static thread_local int here;                     /* this thread runs the launch */
static struct sigaction before_launch;
static char *signal_stack;

static size_t piece_bytes(void)
{
	static const size_t bytes = PIECE * static_cast<size_t>(sysconf(_SC_PAGESIZE));
	return bytes;
}

static void protect(const struct allocation *of, int mode)
{
	const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
	mprotect(of->mapping + page, of->mapped - 2 * page, mode);
}

static int holds_pointer_to(const struct aur_emulator_launch *launch, const struct allocation *of)
{
	const uintptr_t begin = reinterpret_cast<uintptr_t>(of->mapping);
	for (size_t i = 0; i + sizeof(uintptr_t) <= launch->arguments_bytes; i += sizeof(uintptr_t)) {
		uintptr_t word;
		memcpy(&word, static_cast<const char *>(launch->arguments) + i, sizeof word);
		if (word >= begin && word < begin + of->mapped)
			return 1;
	}
	return 0;
}

static void begin_tracking(struct allocation *of)
{
	of->is_tracked = of->bytes <= LARGE || holds_pointer_to(tracked, of);
	if (of->is_tracked)
		protect(of, PROT_READ);
}

static void end_tracking(struct allocation *of)
{
	if (of->is_tracked)
		protect(of, PROT_READ | PROT_WRITE);
	of->is_tracked = 0;
}

static int is_written(const char *begin)
{
	return std::any_of(pieces.begin(), pieces.end(),
		[begin](const struct piece &piece) { return piece.begin == begin && piece.written; });
}

/* Keeps what the piece round the address holds and lets it be written. 0: it is no place that may be written. */
static int open_piece(char *address)
{
	const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
	const struct allocation *of = memory_near(address);
	if (!tracked || !of || !of->is_tracked || address < of->mapping + page ||
		address >= of->mapping + of->mapped - page)
		return 0;
	char *first = of->mapping + page;
	char *low = first + static_cast<size_t>(address - first) / piece_bytes() * piece_bytes();
	char *high = std::min(low + piece_bytes(), of->mapping + of->mapped - page);
	char *begin = std::max(low, of->begin), *end = std::max(begin, std::min(high, of->begin + of->bytes));
	if (is_written(begin))
		return 0; /* it may be written, and still the access failed */
	const auto known =
		std::find_if(pieces.begin(), pieces.end(), [begin](const struct piece &piece) { return piece.begin == begin; });
	if (known != pieces.end())
		known->written = 1;
	else
		pieces.push_back({begin, static_cast<size_t>(end - begin), low, static_cast<size_t>(high - low), of, 1,
			std::vector<char>(begin, end), {}});
	return mprotect(low, static_cast<size_t>(high - low), PROT_READ | PROT_WRITE) == 0;
}

static void describe_access(const char *address)
{
	const struct allocation *near = memory_near(address);
	if (!near)
		message_set("it reads or writes %p, which is not memory of the device", address);
	else if (address < near->begin)
		message_set(
			"it reads or writes %td bytes before an allocation of %zu bytes", near->begin - address, near->bytes);
	else
		message_set("it reads or writes %td bytes behind the end of an allocation of %zu bytes",
			address - near->begin - static_cast<ptrdiff_t>(near->bytes), near->bytes);
}

static void handle_fault(int number, siginfo_t *information, void *context)
{
	char *address = static_cast<char *>(information->si_addr);
	if (!here || !grid_is_running()) {
		if (before_launch.sa_flags & SA_SIGINFO) {
			before_launch.sa_sigaction(number, information, context);
		} else {
			sigaction(number, &before_launch, nullptr);
		}
		return;
	}
	if (open_piece(address))
		return;
	describe_access(address);
	grid_abandon(cudaErrorIllegalAddress);
}

void tracking_catch_faults(void)
{
	enum { STACK = 256 << 10 };
	stack_t stack = {};
	/* A stack that overflows leaves no room on it for the handler. */
	if (sigaltstack(nullptr, &stack) == 0 && (stack.ss_flags & SS_DISABLE)) {
		if (!signal_stack)
			signal_stack = static_cast<char *>(malloc(STACK));
		stack.ss_sp = signal_stack;
		stack.ss_size = STACK;
		stack.ss_flags = 0;
		if (signal_stack)
			sigaltstack(&stack, nullptr);
	}
	struct sigaction action = {};
	action.sa_sigaction = handle_fault;
	/* The handler may leave by a switch of stacks, which does not open the signal again. */
	action.sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK;
	sigaction(SIGSEGV, &action, &before_launch);
	here = 1;
}

void tracking_release_faults(void)
{
	sigaction(SIGSEGV, &before_launch, nullptr);
	here = 0;
}

void tracking_begin(const struct aur_emulator_launch *launch)
{
	tracked = launch;
	memory_each_device(begin_tracking);
}

void tracking_end(void)
{
	tracked = nullptr;
	memory_each_device(end_tracking);
}

void tracking_forget(void)
{
	pieces.clear();
}

void tracking_keep_first(void)
{
	for (struct piece &piece : pieces)
		piece.first.assign(piece.begin, piece.begin + piece.bytes);
}

void tracking_restore(void)
{
	for (struct piece &piece : pieces) {
		memcpy(piece.begin, piece.before.data(), piece.bytes);
		mprotect(piece.low, piece.room, PROT_READ);
		piece.written = 0;
	}
}

static void describe_difference(const struct piece &piece, const char *expected, enum schedule schedule)
{
	const char *now = piece.begin;
	size_t at = 0;
	while (now[at] == expected[at])
		at++;
	at -= static_cast<size_t>(piece.begin + at - piece.of->begin) % sizeof(float);
	uint32_t bits[2] = {0, 0};
	float values[2];
	const size_t left = std::min(sizeof *bits, piece.bytes - at);
	memcpy(&bits[0], expected + at, left);
	memcpy(&bits[1], now + at, left);
	memcpy(values, bits, sizeof values);
	message_set(
		"its result depends on the order of threads: byte %td of an allocation of %zu is %08x (%g as fp32) in the "
		"ascending schedule and %08x (%g) in the %s one; a barrier is missing",
		piece.begin + at - piece.of->begin, piece.of->bytes, bits[0], static_cast<double>(values[0]), bits[1],
		static_cast<double>(values[1]), schedule_name(schedule));
}

/* A piece that the first schedule did not write must be as it was before. */
int tracking_agrees(enum schedule schedule)
{
	for (const struct piece &piece : pieces) {
		const char *expected = piece.first.empty() ? piece.before.data() : piece.first.data();
		if (memcmp(piece.begin, expected, piece.bytes) != 0) {
			describe_difference(piece, expected, schedule);
			return 0;
		}
	}
	return 1;
}
