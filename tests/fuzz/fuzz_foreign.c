/* Token files of others: NAME.bin of llm.c and nanoGPT, and Megatron's NAME.idx beside a NAME.bin. */
#include "fuzz.h"
#include "io/file.h"
#include "io/foreign.h"

#include <stdlib.h>
#include <string.h>

enum { TOKENS = 600, SEQUENCES = 3 };

/* Reads everything that the file says it has. */
static aur_status read_all(const char *path)
{
	struct aur_foreign *foreign;
	AUR_TRY(aur_foreign_open(path, &foreign));
	const int64_t count = aur_foreign_tokens(foreign);
	uint32_t *tokens = malloc((size_t)(count + 1) * sizeof *tokens);
	int64_t *starts = NULL, n = 0;
	aur_status status = tokens ? AUR_OK : aur_fail(AUR_MEMORY, "no memory for the tokens");
	if (status == AUR_OK)
		status = aur_foreign_read(foreign, 0, count, tokens);
	if (status == AUR_OK)
		status = aur_foreign_documents(foreign, 0, count, &starts, &n);
	for (int64_t i = 0; status == AUR_OK && i < n; i++)
		if (starts[i] < 0 || starts[i] >= count || (i > 0 && starts[i] <= starts[i - 1]))
			status = fuzz_fail("a document starts out of order or range");
	free(starts);
	free(tokens);
	aur_foreign_close(&foreign);
	return status;
}

/* The input is the .bin or, where it begins like one, the .idx beside a good .bin. */
static aur_status parse(const struct fuzz_input *input)
{
	char idx[512];
	const char *bin = fuzz_scratch("m.bin");
	static const uint16_t tokens[TOKENS];
	if (input->size < 2 || memcmp(input->bytes, "MM", 2) != 0)
		return read_all(input->path);
	AUR_TRY(aur_file_write_atomic(bin, tokens, sizeof tokens));
	const size_t bytes = strlen(bin);
	if (bytes >= sizeof idx)
		return fuzz_fail("the scratch folder's name is too long");
	memcpy(idx, bin, bytes + 1);
	memcpy(idx + bytes - 4, ".idx", 4);
	AUR_TRY(aur_file_write_atomic(idx, input->bytes, input->size));
	return read_all(idx);
}

static void seed_bins(void)
{
	static int32_t llmc[256 + TOKENS / 2] = {20240520, 1, TOKENS};
	static int32_t wide[256 + TOKENS] = {20240801, 7, TOKENS};
	fuzz_seed(llmc, sizeof llmc);
	fuzz_seed(wide, sizeof wide);
	fuzz_seed("\1\0\2\0\3\0", 6);
}

static void seed_idx(void)
{
	unsigned char file[34 + SEQUENCES * 12 + 24];
	const uint64_t head[] = {SEQUENCES, 3};
	const uint64_t version = 1;
	const int32_t lengths[] = {TOKENS / 2, 0, TOKENS / 2};
	const int64_t offsets[] = {0, TOKENS, TOKENS}, starts[] = {0, 1, 3};
	memcpy(file, "MMIDIDX\0\0", 9);
	memcpy(file + 9, &version, sizeof version);
	file[17] = 8;
	memcpy(file + 18, head, sizeof head);
	memcpy(file + 34, lengths, sizeof lengths);
	memcpy(file + 34 + sizeof lengths, offsets, sizeof offsets);
	memcpy(file + 34 + sizeof lengths + sizeof offsets, starts, sizeof starts);
	fuzz_seed(file, sizeof file);
}

int main(void)
{
	seed_bins();
	seed_idx();
	return fuzz_run(&(struct fuzz_target){.name = "foreign", .parse = parse, .file = "x.bin", .rounds = 20000});
}
