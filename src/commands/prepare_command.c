#include "prepare_command.h"

#include "core/build_info.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* Of a whole file, a block at a time. */
static aur_status hash_file(const char *path, uint64_t *hash)
{
	enum { BLOCK = 1 << 20 };
	char *block = malloc(BLOCK);
	XXH3_state_t *state = XXH3_createState();
	aur_status status = block && state ? AUR_OK : aur_fail(AUR_MEMORY, "%s: no memory to look at it", path);
	size_t got = BLOCK;
	if (state)
		XXH3_64bits_reset(state);
	for (int64_t at = 0; status == AUR_OK && got == BLOCK; at += BLOCK) {
		status = aur_file_read_part(path, at, block, BLOCK, &got);
		XXH3_64bits_update(state, block, got);
	}
	*hash = state ? XXH3_64bits_digest(state) : 0;
	XXH3_freeState(state);
	free(block);
	return status;
}

static void write_tokenizer(const struct aur_prepare *prepare, FILE *out)
{
	const struct aur_tokenizer_options *options = &prepare->request->tokenizer.options;
	fprintf(out, "tokenizer %s\n", options->kind);
	if (prepare->tokenizer)
		fprintf(
			out, "vocabulary %016llx\n", (unsigned long long)aur_vocab_hash(aur_tokenizer_vocab(prepare->tokenizer)));
	else
		fprintf(out, "clean %s\nlowercase %d\nmin-count %lld\nvocab-size %lld\nspecial %s\npattern %s\n",
			options->clean, options->lowercase, (long long)options->min_count, (long long)options->vocab_size,
			options->specials ? options->specials : "", options->pattern ? options->pattern : "");
}

static aur_status write_source(const struct aur_prepare *prepare, int64_t index, FILE *out)
{
	const struct aur_corpus_file *source = &prepare->sources.all[index];
	const char *name = aur_corpus_file_name(&prepare->sources, index, prepare->standard_input);
	uint64_t hash = 0;
	if (name == source->path) {
		fprintf(out, "input %s, %lld bytes, of %lld\n", name, (long long)source->bytes, (long long)source->modified_ns);
		return AUR_OK;
	}
	AUR_TRY(hash_file(source->path, &hash));
	fprintf(out, "input %s, %lld bytes, %016llx\n", name, (long long)source->bytes, (unsigned long long)hash);
	return AUR_OK;
}

static aur_status write_all(const struct aur_prepare *prepare, FILE *out)
{
	fprintf(out, "prepare %s\n", AUR_VERSION);
	write_tokenizer(prepare, out);
	fprintf(out, "field %s\nformat %s\n", prepare->request->field, prepare->request->format);
	for (int64_t i = 0; i < prepare->sources.count; i++)
		AUR_TRY(write_source(prepare, i, out));
	return AUR_OK;
}

aur_status aur_prepare_command(const struct aur_prepare *prepare, char **text)
{
	size_t bytes = 0;
	*text = NULL;
	FILE *out = open_memstream(text, &bytes);
	if (!out)
		return aur_fail(AUR_MEMORY, "no memory for the list of inputs");
	aur_status status = write_all(prepare, out);
	if (fclose(out) != 0 && status == AUR_OK)
		status = aur_fail(AUR_MEMORY, "no memory for the list of inputs");
	return status;
}

aur_status aur_prepare_command_agree(struct aur_comm *world, const char *text)
{
	const uint64_t mine = XXH3_64bits(text, strlen(text));
	uint64_t first = mine;
	AUR_TRY(world->ops->broadcast(world, &first, sizeof first, 0));
	const aur_status status =
		first == mine ? AUR_OK
					  : aur_fail(AUR_INPUT,
							"rank %d sees other inputs than rank 0: all ranks need the same files, on a shared disk",
							world->rank);
	return aur_comm_agree(world, status);
}
