#include "fiber.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#include <pthread.h>
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#define AUR_ASAN 1
#else
#define AUR_ASAN 0
#endif

#if !defined(__x86_64__) && !defined(__aarch64__)
#include <ucontext.h>
#endif

enum { LINE = 64 }; /* of the processor's cache */

/* AddressSanitizer's frames are larger. */
static const size_t stack_bytes = AUR_ASAN ? 512 << 10 : 128 << 10;

struct fiber {
#if defined(__x86_64__) || defined(__aarch64__)
	void *sp;
#else
	ucontext_t context;
#endif
	char *stack; /* lowest address; of the main fiber only AddressSanitizer needs it */
	size_t bytes;
	void (*entry)(void);
	void *fake_stack;
	struct fiber *before; /* the one made before it */
};

/* The one that was left last: what begins on a new stack finishes the switch for it. */
static struct fiber *arriving;

static void finish_switch(struct fiber *fiber)
{
#if AUR_ASAN
	__sanitizer_finish_switch_fiber(fiber->fake_stack, nullptr, nullptr);
#else
	(void)fiber;
#endif
}

static void begin(void)
{
	struct fiber *self = arriving;
	finish_switch(self);
	self->entry();
	abort(); /* an entry does not return */
}

#if defined(__x86_64__)

/* Saves what a call preserves on the old stack and takes it from the new one. */
asm(R"(
	.text
	.type aur_fiber_jump, @function
aur_fiber_jump:
	pushq %rbp
	pushq %rbx
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	movq %rsp, (%rdi)
	movq %rsi, %rsp
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbx
	popq %rbp
	ret
	.size aur_fiber_jump, .-aur_fiber_jump
)");
extern "C" void aur_fiber_jump(void **save, void *to);

static void prepare(struct fiber *fiber)
{
	uintptr_t *top = reinterpret_cast<uintptr_t *>(fiber->stack + fiber->bytes);
	*--top = 0; /* keeps the stack aligned as after a call, and ends a backtrace */
	*--top = reinterpret_cast<uintptr_t>(begin);
	for (int i = 0; i < 6; i++)
		*--top = 0;
	fiber->sp = top;
}

static void jump(struct fiber *from, struct fiber *to)
{
	aur_fiber_jump(&from->sp, to->sp);
}

#elif defined(__aarch64__)

asm(R"(
	.text
	.type aur_fiber_jump, %function
aur_fiber_jump:
	sub sp, sp, #160
	stp x19, x20, [sp, #0]
	stp x21, x22, [sp, #16]
	stp x23, x24, [sp, #32]
	stp x25, x26, [sp, #48]
	stp x27, x28, [sp, #64]
	stp x29, x30, [sp, #80]
	stp d8, d9, [sp, #96]
	stp d10, d11, [sp, #112]
	stp d12, d13, [sp, #128]
	stp d14, d15, [sp, #144]
	mov x9, sp
	str x9, [x0]
	mov sp, x1
	ldp x19, x20, [sp, #0]
	ldp x21, x22, [sp, #16]
	ldp x23, x24, [sp, #32]
	ldp x25, x26, [sp, #48]
	ldp x27, x28, [sp, #64]
	ldp x29, x30, [sp, #80]
	ldp d8, d9, [sp, #96]
	ldp d10, d11, [sp, #112]
	ldp d12, d13, [sp, #128]
	ldp d14, d15, [sp, #144]
	add sp, sp, #160
	ret
	.size aur_fiber_jump, .-aur_fiber_jump
)");
extern "C" void aur_fiber_jump(void **save, void *to);

static void prepare(struct fiber *fiber)
{
	enum { REGISTERS = 20, LINK = 11 };
	uintptr_t *top = reinterpret_cast<uintptr_t *>(fiber->stack + fiber->bytes) - REGISTERS;
	for (int i = 0; i < REGISTERS; i++)
		top[i] = 0;
	top[LINK] = reinterpret_cast<uintptr_t>(begin);
	fiber->sp = top;
}

static void jump(struct fiber *from, struct fiber *to)
{
	aur_fiber_jump(&from->sp, to->sp);
}

#else

static void prepare(struct fiber *fiber)
{
	getcontext(&fiber->context);
	fiber->context.uc_stack.ss_sp = fiber->stack;
	fiber->context.uc_stack.ss_size = fiber->bytes;
	fiber->context.uc_link = nullptr;
	makecontext(&fiber->context, begin, 0);
}

static void jump(struct fiber *from, struct fiber *to)
{
	swapcontext(&from->context, &to->context);
}

#endif

/* All of them, for the rest of the process: a search for leaks at its end finds them here. */
static struct fiber *last;

struct fiber *fiber_create(void (*entry)(void))
{
	const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
	/* Tops at the same place of their pages would share a few sets of the processor's cache. */
	static unsigned made;
	enum { COLOURS = 61, LINES = 3 };
	/* The lowest page stays out of reach, so that a stack that overflows is seen. */
	void *memory = mmap(nullptr, stack_bytes + page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		return nullptr;
	/* Apart from its stack: what switches read of many fibers lies close together. */
	struct fiber *fiber = static_cast<struct fiber *>(calloc(1, sizeof *fiber));
	if (!fiber || mprotect(static_cast<char *>(memory) + page, stack_bytes, PROT_READ | PROT_WRITE)) {
		free(fiber);
		munmap(memory, stack_bytes + page);
		return nullptr;
	}
	fiber->stack = static_cast<char *>(memory) + page;
	fiber->bytes = stack_bytes - made++ % COLOURS * LINES * LINE;
	fiber->entry = entry;
	fiber->before = last;
	last = fiber;
	prepare(fiber);
	return fiber;
}

void fiber_reset(struct fiber *fiber)
{
#if AUR_ASAN
	ASAN_UNPOISON_MEMORY_REGION(fiber->stack, fiber->bytes);
#endif
	fiber->fake_stack = nullptr;
	prepare(fiber);
}

void fiber_switch(struct fiber *from, struct fiber *to)
{
	arriving = to;
#if AUR_ASAN
	__sanitizer_start_switch_fiber(&from->fake_stack, to->stack, to->bytes);
#endif
	jump(from, to);
	finish_switch(from);
}

void fiber_fetch(const struct fiber *fiber)
{
#if defined(__x86_64__) || defined(__aarch64__)
	enum { LINES = 4 };
	for (int i = 0; i < LINES; i++)
		__builtin_prefetch(static_cast<const char *>(fiber->sp) + i * LINE);
#else
	(void)fiber;
#endif
}

struct fiber *fiber_main(void)
{
	static thread_local struct fiber self;
#if AUR_ASAN
	pthread_attr_t attributes;
	void *stack = nullptr;
	if (!self.stack && pthread_getattr_np(pthread_self(), &attributes) == 0) {
		pthread_attr_getstack(&attributes, &stack, &self.bytes);
		pthread_attr_destroy(&attributes);
		self.stack = static_cast<char *>(stack);
	}
#endif
	return &self;
}
