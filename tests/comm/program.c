#include "stand_in.h"

#include <stdlib.h>

/* Linked with the whole program: a backend "cuda", which is the stand-in. STAND_IN_SHARED puts all ranks of a node on
 * one device. */

static int place;

static aur_status open_stand_in(struct aur_backend **backend)
{
	AUR_TRY(stand_in_open(getenv("STAND_IN_SHARED") ? 0 : place, "stand-in", backend));
	(*backend)->name = "cuda";
	return AUR_OK;
}

static void use_device(int wanted)
{
	place = wanted;
}

static const struct aur_backend_factory factory = {.name = "cuda", .open = open_stand_in, .use_device = use_device};

__attribute__((constructor)) static void register_stand_in(void)
{
	aur_backend_register(&factory);
}
