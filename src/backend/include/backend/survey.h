#ifndef AUR_BACKEND_SURVEY_H
#define AUR_BACKEND_SURVEY_H

#include <stdint.h>

/* What a machine has of a backend's devices, their driver and the libraries they need, as people are told of it. Texts
 * are empty where there is nothing to say. */

enum { AUR_SURVEY_DEVICES = 16, AUR_SURVEY_LIBRARIES = 4 };

struct aur_survey_device {
	char name[96], id[32];            /* "NVIDIA H200", its PCI address */
	int capability;                   /* 90 for 9.0 */
	int64_t memory_bytes, free_bytes; /* 0: the device does not say */
	char unusable[128];               /* why nothing can be computed on it */
};

struct aur_survey_library {
	const char *name;  /* "cuDNN" */
	char version[64];  /* of the one that is found */
	char missing[320]; /* why it is not, what is done without it and how to get it */
};

struct aur_survey {
	char driver[64], runtime[64]; /* "CUDA 13.0": what the driver is for; what the program was built with */
	int n_devices;                /* all of them; the first AUR_SURVEY_DEVICES are described */
	struct aur_survey_device devices[AUR_SURVEY_DEVICES];
	char apart[32]; /* "0 and 1": two usable ones without access to each other's memory */
	int n_libraries;
	struct aur_survey_library libraries[AUR_SURVEY_LIBRARIES];
	char why[320]; /* nothing can be computed on any device, and what to do about it */
};

#endif
