#include "configure.h"

#include <stdio.h>
#include <string.h>

aur_status aur_configure(struct aur_config *config, const char *data, const char *const *overrides, int n_overrides)
{
	if (data) {
		if (strlen(data) >= sizeof config->data.train)
			return aur_fail(AUR_USAGE, "--data: the list is longer than %zu bytes", sizeof config->data.train - 1);
		snprintf(config->data.train, sizeof config->data.train, "%s", data);
	}
	for (int i = 0; i < n_overrides; i++)
		AUR_TRY(aur_config_override(config, overrides[i]));
	return AUR_OK;
}
