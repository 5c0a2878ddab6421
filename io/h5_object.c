#include "h5_raw.h"

#include <stdlib.h>
#include <string.h>

enum { LINKS_MAX = 65536 };

hid_t aur_h5_file_type(enum aur_h5_type type)
{
	switch (type) {
	case AUR_H5_U8:
		return H5T_STD_U8LE;
	case AUR_H5_U16:
		return H5T_STD_U16LE;
	case AUR_H5_U32:
		return H5T_STD_U32LE;
	case AUR_H5_U64:
		return H5T_STD_U64LE;
	case AUR_H5_I64:
		return H5T_STD_I64LE;
	case AUR_H5_F32:
		return H5T_IEEE_F32LE;
	case AUR_H5_F64:
		return H5T_IEEE_F64LE;
	case AUR_H5_TEXT:
		break;
	}
	return -1;
}

hid_t aur_h5_text_type(size_t bytes)
{
	const hid_t type = H5Tcopy(H5T_C_S1);
	if (type < 0)
		return type;
	if (H5Tset_size(type, bytes) >= 0 && H5Tset_strpad(type, H5T_STR_NULLPAD) >= 0 &&
		H5Tset_cset(type, H5T_CSET_UTF8) >= 0)
		return type;
	H5Tclose(type);
	return -1;
}

static aur_status check_link(const struct aur_h5 *file, const char *name)
{
	const htri_t exists = H5Lexists(file->id, name, H5P_DEFAULT);
	if (exists < 0)
		return aur_h5_read_failed(file, name);
	if (!exists)
		return aur_h5_damaged(file, name, "is missing");
	H5L_info_t info;
	if (H5Lget_info(file->id, name, &info, H5P_DEFAULT) < 0)
		return aur_h5_read_failed(file, name);
	if (info.type != H5L_TYPE_HARD)
		return aur_h5_damaged(file, name, "is a link to elsewhere, which is not followed");
	return AUR_OK;
}

aur_status aur_h5_check_links(const struct aur_h5 *file, const char *name)
{
	char part[AUR_H5_NAME];
	const size_t bytes = strlen(name);
	if (bytes >= sizeof part || name[0] != '/')
		return aur_fail(AUR_INTERNAL, "%s: %s: no name of an object", file->path, name);
	for (size_t i = 1; bytes > 1 && i <= bytes; i++) {
		if (name[i] != '/' && name[i] != '\0')
			continue;
		memcpy(part, name, i);
		part[i] = '\0';
		AUR_TRY(check_link(file, part));
	}
	return AUR_OK;
}

int aur_h5_has(struct aur_h5 *file, const char *name)
{
	aur_h5_lock();
	const int has = aur_h5_check_links(file, name) == AUR_OK;
	aur_h5_unlock();
	if (!has)
		aur_error_clear();
	return has;
}

aur_status aur_h5_group(struct aur_h5 *file, const char *name)
{
	aur_h5_lock();
	const hid_t group = H5Gcreate2(file->id, name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
	const aur_status status = group < 0 || H5Gclose(group) < 0 ? aur_h5_write_failed(file) : AUR_OK;
	aur_h5_unlock();
	return status;
}

struct listing {
	const struct aur_h5 *file;
	const char *group;
	struct aur_paths *names;
	aur_status status;
};

/* H5Literate's callback: positive stops it. */
static herr_t add_name(hid_t group, const char *name, const H5L_info_t *info, void *data)
{
	(void)group;
	struct listing *listing = data;
	if (info->type != H5L_TYPE_HARD)
		listing->status =
			aur_h5_damaged(listing->file, listing->group, "%.60s is a link to elsewhere, which is not followed", name);
	else if (strlen(name) >= AUR_H5_NAME / 2)
		listing->status = aur_h5_damaged(listing->file, listing->group, "%.60s... is too long a name", name);
	else
		listing->status = aur_paths_add(listing->names, name);
	return listing->status != AUR_OK;
}

static aur_status list_group(const struct aur_h5 *file, hid_t group, const char *name, struct aur_paths *names)
{
	H5G_info_t info;
	if (H5Gget_info(group, &info) < 0)
		return aur_h5_read_failed(file, name);
	if (info.nlinks > LINKS_MAX)
		return aur_h5_damaged(file, name, "names %llu objects", (unsigned long long)info.nlinks);
	struct listing listing = {file, name, names, AUR_OK};
	/* In order of name, which HDF5 compares by bytes. */
	if (H5Literate(group, H5_INDEX_NAME, H5_ITER_INC, NULL, add_name, &listing) < 0 && listing.status == AUR_OK)
		return aur_h5_read_failed(file, name);
	return listing.status;
}

static aur_status list_locked(const struct aur_h5 *file, const char *name, struct aur_paths *names)
{
	AUR_TRY(aur_h5_check_links(file, name));
	const hid_t group = H5Gopen2(file->id, name, H5P_DEFAULT);
	if (group < 0)
		return aur_h5_read_failed(file, name);
	const aur_status status = list_group(file, group, name, names);
	H5Gclose(group);
	return status;
}

aur_status aur_h5_list(struct aur_h5 *file, const char *group, struct aur_paths *names)
{
	aur_h5_lock();
	const aur_status status = list_locked(file, group, names);
	aur_h5_unlock();
	return status;
}
