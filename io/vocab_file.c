#include "io/vocab_file.h"

#include "h5.h"
#include "vocab_h5.h"

#define FORMAT "aurelius-vocabulary"

enum { VERSION = 1 };

static aur_status read_file(struct aur_h5 *file, struct aur_vocab *vocab)
{
	AUR_TRY(aur_h5_expect(file, FORMAT, VERSION, "start prepare anew", NULL));
	return aur_h5_get_vocab(file, vocab);
}

aur_status aur_vocab_load(const char *path, struct aur_vocab *vocab)
{
	struct aur_h5 *file;
	AUR_TRY(aur_h5_open(path, &file));
	const aur_status status = read_file(file, vocab);
	aur_h5_close(&file);
	return status;
}

static aur_status verify(const char *partial)
{
	struct aur_vocab vocab = {0};
	const aur_status status = aur_vocab_load(partial, &vocab);
	aur_vocab_clear(&vocab);
	return status;
}

static aur_status write_file(struct aur_h5 *file, const struct aur_vocab *vocab)
{
	AUR_TRY(aur_h5_put_text(file, "/", "format", FORMAT));
	AUR_TRY(aur_h5_put_int(file, "/", "version", VERSION));
	return aur_h5_put_vocab(file, vocab);
}

aur_status aur_vocab_save(const char *path, const struct aur_vocab *vocab)
{
	struct aur_h5 *file;
	AUR_TRY(aur_h5_create(path, &file));
	const aur_status status = write_file(file, vocab);
	if (status != AUR_OK) {
		aur_h5_abandon(&file);
		return status;
	}
	return aur_h5_finish_verified(&file, 1, verify);
}
