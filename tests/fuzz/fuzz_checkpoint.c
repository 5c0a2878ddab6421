/* The reader of checkpoints (HDF5). */
#include "../fault/sample.h"
#include "fuzz.h"
#include "io/hdf5.h"

#include <stdio.h>

static aur_status parse(const struct fuzz_input *input)
{
	aur_status status;
	if (sample_check(input->path, 1, &status) < 0)
		return fuzz_fail("other content came back without complaint");
	return status;
}

int main(void)
{
	aur_hdf5_start();
	const char *path = fuzz_scratch("seed.h5");
	if (sample_save(path, 1) != AUR_OK) {
		fprintf(stderr, "%s\n", aur_error_message());
		return 1;
	}
	fuzz_seed_file(path);
	return fuzz_run(&(struct fuzz_target){.name = "checkpoint", .parse = parse, .file = "x.h5", .rounds = 10000});
}
