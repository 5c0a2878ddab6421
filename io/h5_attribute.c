#include "h5_raw.h"

#include <stdio.h>
#include <string.h>

static aur_status put_locked(struct aur_h5 *file, const char *object, const char *name, hid_t type, const void *value)
{
	const hid_t space = H5Screate(H5S_SCALAR);
	const hid_t attribute =
		H5Acreate_by_name(file->id, object, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
	aur_status status = attribute < 0 || H5Awrite(attribute, type, value) < 0 ? aur_h5_write_failed(file) : AUR_OK;
	if (attribute >= 0 && H5Aclose(attribute) < 0 && status == AUR_OK)
		status = aur_h5_write_failed(file);
	if (space >= 0)
		H5Sclose(space);
	return status;
}

static aur_status put_number(
	struct aur_h5 *file, const char *object, const char *name, enum aur_h5_type type, const void *value)
{
	aur_h5_lock();
	const aur_status status = put_locked(file, object, name, aur_h5_file_type(type), value);
	aur_h5_unlock();
	return status;
}

aur_status aur_h5_put_int(struct aur_h5 *file, const char *object, const char *name, int64_t value)
{
	return put_number(file, object, name, AUR_H5_I64, &value);
}

aur_status aur_h5_put_uint(struct aur_h5 *file, const char *object, const char *name, uint64_t value)
{
	return put_number(file, object, name, AUR_H5_U64, &value);
}

aur_status aur_h5_put_double(struct aur_h5 *file, const char *object, const char *name, double value)
{
	return put_number(file, object, name, AUR_H5_F64, &value);
}

aur_status aur_h5_put_text(struct aur_h5 *file, const char *object, const char *name, const char *value)
{
	const size_t bytes = strlen(value);
	aur_h5_lock();
	/* HDF5 has no strings of length 0: an empty text is one zero. */
	const hid_t type = aur_h5_text_type(bytes > 0 ? bytes : 1);
	const aur_status status = type < 0 ? aur_h5_write_failed(file) : put_locked(file, object, name, type, value);
	if (type >= 0)
		H5Tclose(type);
	aur_h5_unlock();
	return status;
}

/* Under the lock: the attribute, known to exist and to be a scalar. */
static aur_status open_attribute(struct aur_h5 *file, const char *object, const char *name, hid_t *attribute)
{
	AUR_TRY(aur_h5_check_links(file, object));
	const htri_t exists = H5Aexists_by_name(file->id, object, name, H5P_DEFAULT);
	if (exists < 0)
		return aur_h5_read_failed(file, object);
	if (!exists)
		return aur_h5_damaged(file, object, "its attribute %s is missing", name);
	*attribute = H5Aopen_by_name(file->id, object, name, H5P_DEFAULT, H5P_DEFAULT);
	if (*attribute < 0)
		return aur_h5_read_failed(file, object);
	const hid_t space = H5Aget_space(*attribute);
	const int scalar = space >= 0 && H5Sget_simple_extent_type(space) == H5S_SCALAR;
	if (space >= 0)
		H5Sclose(space);
	if (scalar)
		return AUR_OK;
	H5Aclose(*attribute);
	return aur_h5_damaged(file, object, "its attribute %s is not one value", name);
}

static aur_status read_number(struct aur_h5 *file, const char *object, const char *name, hid_t wanted, void *value)
{
	hid_t attribute;
	AUR_TRY(open_attribute(file, object, name, &attribute));
	const hid_t type = H5Aget_type(attribute);
	aur_status status = AUR_OK;
	if (type < 0 || H5Tequal(type, wanted) <= 0)
		status = aur_h5_damaged(file, object, "its attribute %s has another type", name);
	else if (H5Aread(attribute, wanted, value) < 0)
		status = aur_h5_read_failed(file, object);
	if (type >= 0)
		H5Tclose(type);
	H5Aclose(attribute);
	return status;
}

static aur_status get_number(
	struct aur_h5 *file, const char *object, const char *name, enum aur_h5_type type, void *value)
{
	aur_h5_lock();
	const aur_status status = read_number(file, object, name, aur_h5_file_type(type), value);
	aur_h5_unlock();
	return status;
}

aur_status aur_h5_get_int(struct aur_h5 *file, const char *object, const char *name, int64_t *value)
{
	return get_number(file, object, name, AUR_H5_I64, value);
}

aur_status aur_h5_get_uint(struct aur_h5 *file, const char *object, const char *name, uint64_t *value)
{
	return get_number(file, object, name, AUR_H5_U64, value);
}

aur_status aur_h5_get_double(struct aur_h5 *file, const char *object, const char *name, double *value)
{
	return get_number(file, object, name, AUR_H5_F64, value);
}

static aur_status read_text(struct aur_h5 *file, const char *object, const char *name, char *value, size_t bytes)
{
	hid_t attribute;
	AUR_TRY(open_attribute(file, object, name, &attribute));
	const hid_t type = H5Aget_type(attribute);
	const int fixed = type >= 0 && H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) == 0;
	const size_t length = fixed ? H5Tget_size(type) : 0;
	aur_status status = AUR_OK;
	if (length == 0 || length >= bytes)
		status = aur_h5_damaged(file, object, "its attribute %s is no text of at most %zu bytes", name, bytes - 1);
	else if (H5Aread(attribute, type, value) < 0)
		status = aur_h5_read_failed(file, object);
	if (type >= 0)
		H5Tclose(type);
	H5Aclose(attribute);
	return status;
}

aur_status aur_h5_get_text(struct aur_h5 *file, const char *object, const char *name, char *value, size_t bytes)
{
	memset(value, 0, bytes);
	aur_h5_lock();
	const aur_status status = read_text(file, object, name, value, bytes);
	aur_h5_unlock();
	return status;
}
