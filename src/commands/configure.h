#ifndef AUR_COMMANDS_CONFIGURE_H
#define AUR_COMMANDS_CONFIGURE_H

#include "config/config.h"
#include "core/status.h"

/* What the command line puts on top of a configuration file: --data (NULL: not given), then the overrides in their
 * order: the last word wins. The caller finishes the configuration. AUR_USAGE. */
aur_status aur_configure(struct aur_config *config, const char *data, const char *const *overrides, int n_overrides);

#endif
