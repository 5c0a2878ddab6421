#include "backend/backend.h"

#include <string.h>

enum { FACTORIES = 4 };

static const struct aur_backend_factory *factories[FACTORIES];
static int n_factories;

void aur_backend_register(const struct aur_backend_factory *factory)
{
	for (int i = 0; i < n_factories; i++)
		if (factories[i] == factory)
			return;
	if (n_factories < FACTORIES)
		factories[n_factories++] = factory;
}

/* The table is an array of pointers to functions: a member that a backend forgot would be found in the middle of a run.
 */
static aur_status check_required(const struct aur_backend *backend)
{
	typedef void (*any_function)(void);
	enum { MEMBERS = sizeof(struct aur_backend_ops) / sizeof(any_function) };
	any_function members[MEMBERS];
	memcpy(members, backend->ops, sizeof members);
	for (int i = 0; i < MEMBERS; i++)
		if (!members[i])
			return aur_fail(AUR_INTERNAL, "backend %s: required operation %d is not set", backend->name, i);
	return AUR_OK;
}

static aur_status open_one(const struct aur_backend_factory *factory, struct aur_backend **backend)
{
	AUR_TRY(factory->open(backend));
	const aur_status status = check_required(*backend);
	if (status != AUR_OK)
		aur_backend_close(backend);
	return status;
}

aur_status aur_backend_open(const char *name, struct aur_backend **backend)
{
	*backend = NULL;
	const int any = strcmp(name, "auto") == 0;
	aur_status status = AUR_OK;
	for (int i = 0; i < n_factories; i++) {
		if (!any && strcmp(name, factories[i]->name) != 0)
			continue;
		status = open_one(factories[i], backend);
		if (status == AUR_OK || !any)
			return status;
	}
	if (status != AUR_OK)
		return status;
	return aur_fail(AUR_USAGE, "system.backend: %s is not compiled into this program", name);
}

void aur_backend_use_device(int place)
{
	for (int i = 0; i < n_factories; i++)
		if (factories[i]->use_device)
			factories[i]->use_device(place);
}

int aur_backend_survey(const char *name, struct aur_survey *survey)
{
	*survey = (struct aur_survey){0};
	for (int i = 0; i < n_factories; i++)
		if (factories[i]->survey && strcmp(factories[i]->name, name) == 0) {
			factories[i]->survey(survey);
			return 1;
		}
	return 0;
}

void aur_backend_close(struct aur_backend **backend)
{
	if (!backend || !*backend)
		return;
	(*backend)->ops->close(*backend);
	*backend = NULL;
}
