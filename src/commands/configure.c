#include "configure.h"

#include <stdio.h>
#include <string.h>

aur_status aur_configure(struct aur_config *config, const char *data, const char *const *overrides, int n_overrides)
{
	if (data) {
		char assignment[sizeof config->data.train + sizeof "data.train="];
		if (strlen(data) >= sizeof config->data.train)
			return aur_fail(AUR_USAGE, "--data: the list is longer than %zu bytes", sizeof config->data.train - 1);
		snprintf(assignment, sizeof assignment, "data.train=%s", data);
		AUR_TRY(aur_config_override(config, assignment));
	}
	for (int i = 0; i < n_overrides; i++)
		AUR_TRY(aur_config_override(config, overrides[i]));
	return AUR_OK;
}
