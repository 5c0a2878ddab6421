#ifndef AUR_EMULATOR_FIBER_H
#define AUR_EMULATOR_FIBER_H

/* Stacks that change places without a system call. */

#include <stddef.h>

struct fiber;

/* A fiber with a stack of its own that begins in `entry`, which must not return. NULL without memory. */
struct fiber *fiber_create(void (*entry)(void));

/* Leaves `from` and goes on in `to`; returns when something switches back to `from`. */
void fiber_switch(struct fiber *from, struct fiber *to);

/* Asks the processor for what a switch to the fiber will read first. */
void fiber_fetch(const struct fiber *fiber);

/* Lets a fiber begin in its entry again, whatever it was in the middle of. It must not be the running one. */
void fiber_reset(struct fiber *fiber);

/* The processor thread's own stack as a fiber to switch from and back to. */
struct fiber *fiber_main(void);

#endif
