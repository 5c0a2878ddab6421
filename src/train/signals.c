#include "train/signals.h"

#include "core/status.h"

#include <signal.h>
#include <stddef.h>
#include <unistd.h>

static volatile sig_atomic_t received;

static void on_signal(int number)
{
	if (received)
		_exit(75);
	received = number;
}

void aur_signals_install(void)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	sigemptyset(&action.sa_mask);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGUSR1, &action, NULL);
	/* A file-size limit shows as a failed write, which is handled, instead of killing the program. */
	signal(SIGXFSZ, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
}

int aur_signals_pending(const char **name)
{
	if (!received)
		return 0;
	if (name)
		*name = received == SIGINT ? "SIGINT" : received == SIGTERM ? "SIGTERM" : "SIGUSR1";
	return 1;
}
