#ifndef AUR_COMMANDS_WORK_FOLDER_H
#define AUR_COMMANDS_WORK_FOLDER_H

#include "core/status.h"

#include <stdint.h>

/* The folder OUT.work beside a dataset that is being made: what is done lies there until all is. Its file `command`
 * says what the work is of; another command is refused. A small text never needs the folder. */

enum { AUR_WORK_PATH = 4096 };

struct aur_work;

/* Looks for the folder of `out`. `command`: what the result depends on, a line each; borrowed. AUR_USAGE when the
 * folder holds the work of another command, naming the first line that differs, unless `anew`: then it is removed.
 * AUR_IO when another process works in it. */
aur_status aur_work_open(const char *out, const char *command, int anew, struct aur_work **work);

/* The same without looking, for ranks other than 0. */
aur_status aur_work_follow(const char *out, struct aur_work **work);

void aur_work_close(struct aur_work **work);

/* Creates the folder unless it is there. Thread-safe. AUR_IO. */
aur_status aur_work_need(struct aur_work *work);

/* 1 when the folder is in use; `found`: it was when it was opened, so that there is work to go on with. */
int aur_work_exists(const struct aur_work *work);
int aur_work_found(const struct aur_work *work);

/* FOLDER/NAME. AUR_USAGE when it is too long. */
aur_status aur_work_path(const struct aur_work *work, const char *name, char path[AUR_WORK_PATH]);
const char *aur_work_name(const struct aur_work *work);

/* Removes the folder with all in it: the work is done. AUR_IO. */
aur_status aur_work_remove(struct aur_work *work);

#endif
