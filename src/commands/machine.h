#ifndef AUR_COMMANDS_MACHINE_H
#define AUR_COMMANDS_MACHINE_H

#include <stddef.h>
#include <stdint.h>

/* What Linux says of this machine. Texts are empty and numbers 0 where it says nothing. */

struct aur_machine {
	char processor[128];
	char instructions[256];           /* those that matter here, as /proc/cpuinfo names them */
	int cores;                        /* online */
	char affinity[256];               /* cores this process may run on: "0-3,8" */
	double quota;                     /* cores' worth of time a container grants; 0: no limit */
	int64_t memory_bytes, free_bytes; /* free: what can be taken without swapping, containers' limits included */
};

void aur_machine_read(struct aur_machine *machine);

/* The first file that matches one of the places where the loader finds `name` ("libnccl.so*"). 1 when there is one. */
int aur_machine_find_library(const char *name, char *path, size_t bytes);

/* The program `name` on the PATH. 1 when there is one. */
int aur_machine_find_program(const char *name, char *path, size_t bytes);

/* NVIDIA GPUs that the driver has, and its version's line. */
int aur_machine_gpus(char *driver, size_t bytes);

#endif
