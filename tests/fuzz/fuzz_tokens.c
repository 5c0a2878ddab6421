/* The reader of token datasets (HDF5). */
#include "../fault/sample.h"
#include "fuzz.h"
#include "io/hdf5.h"

#include <stdio.h>

static aur_status parse(const struct fuzz_input *input)
{
	aur_status status;
	char kind[32];
	const int result = sample_check_tokens(input->path, &status);
	if (result < 0)
		return fuzz_fail("other content came back without complaint");
	/* Here no content is compared, only whether the file is looked at without harm. */
	if (status == AUR_OK)
		return aur_hdf5_kind(input->path, kind);
	return status;
}

int main(void)
{
	aur_hdf5_start();
	for (int compress = 0; compress < 2; compress++) {
		const char *path = fuzz_scratch("seed.h5");
		if (sample_prepare(path, compress) != AUR_OK) {
			fprintf(stderr, "%s\n", aur_error_message());
			return 1;
		}
		fuzz_seed_file(path);
	}
	return fuzz_run(&(struct fuzz_target){.name = "tokens", .parse = parse, .file = "x.h5", .rounds = 10000});
}
