#include "tokenizer_file.h"

#include "core/vocab.h"
#include "io/checkpoint.h"
#include "io/file.h"
#include "io/hdf5.h"
#include "io/tokens.h"
#include "text/bpe.h"
#include "train/model_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* The largest vocabularies in use have some ten megabytes. */
enum { MOST_BYTES = 256 << 20, PATH_BYTES = 4096 };

/* ---- HDF5 files ---- */

static aur_status copy_dataset_vocab(const char *path, struct aur_vocab *vocab)
{
	struct aur_tokens *tokens = NULL;
	AUR_TRY(aur_tokens_open(path, &tokens));
	const aur_status status = aur_vocab_copy(aur_tokens_vocab(tokens), vocab);
	aur_tokens_close(&tokens);
	return status;
}

static aur_status copy_checkpoint_vocab(const char *path, struct aur_vocab *vocab)
{
	struct aur_checkpoint *checkpoint = NULL;
	AUR_TRY(aur_checkpoint_open(path, &checkpoint));
	const aur_status status = aur_vocab_copy(aur_checkpoint_vocab(checkpoint), vocab);
	aur_checkpoint_close(&checkpoint);
	return status;
}

/* Takes the vocabulary over. */
static aur_status create(const char *path, aur_status read, struct aur_vocab *vocab, struct aur_tokenizer **tokenizer)
{
	const aur_status status = read == AUR_OK ? aur_tokenizer_create(vocab, tokenizer) : read;
	aur_vocab_clear(vocab);
	return status == AUR_OK ? AUR_OK : aur_add_context(status, "%s", path);
}

static aur_status open_hdf5(const char *file, struct aur_tokenizer **tokenizer)
{
	char path[PATH_BYTES], kind[32];
	struct aur_vocab vocab = {0};
	AUR_TRY(aur_model_file_resolve(file, 0, path, sizeof path));
	AUR_TRY(aur_hdf5_kind(path, kind));
	if (strcmp(kind, "aurelius-tokens") == 0)
		AUR_TRY(copy_dataset_vocab(path, &vocab));
	else
		AUR_TRY(copy_checkpoint_vocab(path, &vocab));
	return create(path, AUR_OK, &vocab, tokenizer);
}

/* ---- files of byte-level BPE ---- */

static aur_status open_json(const char *path, struct aur_tokenizer **tokenizer)
{
	struct aur_vocab vocab = {0};
	char *text = NULL;
	size_t bytes = 0;
	AUR_TRY(aur_file_read(path, MOST_BYTES, &text, &bytes));
	const aur_status status = aur_bpe_read_json(text, bytes, &vocab);
	free(text);
	return create(path, status, &vocab, tokenizer);
}

static aur_status read_pair(const char *tokens_path, const char *merges_path, struct aur_vocab *vocab)
{
	char *tokens = NULL, *merges = NULL;
	size_t tokens_bytes = 0, merges_bytes = 0;
	aur_status status = aur_file_read(tokens_path, MOST_BYTES, &tokens, &tokens_bytes);
	if (status == AUR_OK)
		status = aur_file_read(merges_path, MOST_BYTES, &merges, &merges_bytes);
	if (status == AUR_OK) {
		status = aur_bpe_read_files(tokens, tokens_bytes, merges, merges_bytes, vocab);
		status = status == AUR_OK ? AUR_OK : aur_add_context(status, "%s and %s", tokens_path, merges_path);
	}
	free(tokens);
	free(merges);
	return status;
}

static const char *const pairs[][2] = {{"encoder.json", "vocab.bpe"}, {"vocab.json", "merges.txt"}};

enum { PAIRS = sizeof pairs / sizeof *pairs };

static aur_status path_in(const char *folder, const char *name, char path[PATH_BYTES])
{
	if (snprintf(path, PATH_BYTES, "%s/%s", folder, name) >= PATH_BYTES)
		return aur_fail(AUR_INPUT, "%s: the name is too long", folder);
	return AUR_OK;
}

/* The first pair of which the folder holds a file; PAIRS when it holds none. */
static aur_status find_pair(const char *folder, int *found, char paths[2][PATH_BYTES])
{
	for (*found = 0; *found < PAIRS; ++*found) {
		AUR_TRY(path_in(folder, pairs[*found][0], paths[0]));
		AUR_TRY(path_in(folder, pairs[*found][1], paths[1]));
		if (aur_file_exists(paths[0]) || aur_file_exists(paths[1]))
			break;
	}
	return AUR_OK;
}

aur_status aur_tokenizer_of_folder(const char *folder, struct aur_tokenizer **tokenizer)
{
	struct aur_vocab vocab = {0};
	char paths[2][PATH_BYTES];
	int found;
	AUR_TRY(find_pair(folder, &found, paths));
	if (found == PAIRS)
		return aur_fail(AUR_INPUT,
			"%s: holds neither encoder.json and vocab.bpe nor vocab.json and merges.txt (GPT-2's are at "
			"https://huggingface.co/openai-community/gpt2/tree/main: put vocab.json and merges.txt there)",
			folder);
	const aur_status status = read_pair(paths[0], paths[1], &vocab);
	if (status != AUR_OK) {
		aur_vocab_clear(&vocab);
		return status;
	}
	return create(folder, AUR_OK, &vocab, tokenizer);
}

static int is_json(const char *path)
{
	const size_t length = strlen(path);
	return length > 5 && strcmp(path + length - 5, ".json") == 0;
}

aur_status aur_tokenizer_of_file(const char *path, struct aur_tokenizer **tokenizer)
{
	char paths[2][PATH_BYTES];
	struct stat info;
	int found = PAIRS;
	if (is_json(path))
		return open_json(path, tokenizer);
	if (stat(path, &info) == 0 && S_ISDIR(info.st_mode))
		AUR_TRY(find_pair(path, &found, paths));
	return found < PAIRS ? aur_tokenizer_of_folder(path, tokenizer) : open_hdf5(path, tokenizer);
}
