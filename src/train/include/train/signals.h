#ifndef AUR_TRAIN_SIGNALS_H
#define AUR_TRAIN_SIGNALS_H

/* SIGINT, SIGTERM and SIGUSR1 ask for a checkpoint at the next step boundary and an end with exit code 75; a second one
 * leaves at once with the same code. */
void aur_signals_install(void);

/* 1 when a signal has come; `name` (may be NULL) gets "SIGTERM". */
int aur_signals_pending(const char **name);

#endif
