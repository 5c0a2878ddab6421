/* Measures the training of a subword vocabulary: aurelius-bench-bpe FILE [--vocab-size N] [--min-count N]
 * [--pattern gpt2|gpt4] [--threads N]. Prints one JSON object: seconds of counting and of merging, peak memory, and a
 * hash of the merges, by which runs and programs are compared (hf_train.py). The file is mapped and
 * counted in stretches of a MiB. */
#include "core/clock.h"
#include "text/bpe_train.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STRETCH = 1 << 20 };

struct measuring {
	struct aur_text rest;
	double begun, counted;
};

static int is_letter(char byte)
{
	return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
}

/* Before a space between letters a piece ends by both patterns. */
static int may_cut(struct aur_text text, size_t at)
{
	return at > 0 && at + 1 < text.size && is_letter(text.bytes[at - 1]) && text.bytes[at] == ' ' &&
		   is_letter(text.bytes[at + 1]);
}

static aur_status next_stretch(void *context, int thread, struct aur_text *stretch)
{
	struct measuring *measuring = context;
	struct aur_text *rest = &measuring->rest;
	size_t size = rest->size < STRETCH ? rest->size : STRETCH;
	(void)thread;
	while (size < rest->size && !may_cut(*rest, size))
		size++;
	*stretch = (struct aur_text){rest->bytes, size};
	rest->bytes += size;
	rest->size -= size;
	return AUR_OK;
}

static void note_progress(void *context, enum aur_bpe_phase phase, int64_t done, int64_t of)
{
	struct measuring *measuring = context;
	(void)done, (void)of;
	if (phase == AUR_BPE_MERGING && measuring->counted == 0)
		measuring->counted = aur_clock_s();
}

static int map_file(const char *path, struct aur_text *text)
{
	struct stat info;
	const int fd = open(path, O_RDONLY);
	if (fd < 0 || fstat(fd, &info) != 0 || info.st_size == 0)
		return 0;
	void *map = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	*text = (struct aur_text){map, (size_t)info.st_size};
	return map != MAP_FAILED;
}

static uint64_t hash_of_merges(const struct aur_vocab *vocab)
{
	uint64_t hash = 0xcbf29ce484222325u;
	for (int64_t i = 0; i < 2 * vocab->n_merges; i++)
		for (int byte = 0; byte < 4; byte++)
			hash = (hash ^ ((uint64_t)vocab->merges[i] >> 8 * byte & 0xff)) * 0x100000001b3u;
	return hash;
}

static void print(const struct measuring *measuring, const struct aur_vocab *vocab)
{
	struct rusage usage;
	const double ended = aur_clock_s();
	getrusage(RUSAGE_SELF, &usage);
	printf("{\"seconds\":%.3f,\"counting\":%.3f,\"merging\":%.3f,\"peak_mb\":%.1f,\"tokens\":%lld,\"merges\":%lld,"
		   "\"hash\":\"%016llx\"}\n",
		ended - measuring->begun, measuring->counted - measuring->begun, ended - measuring->counted,
		(double)usage.ru_maxrss / 1024, (long long)vocab->size, (long long)vocab->n_merges,
		(unsigned long long)hash_of_merges(vocab));
}

int main(int argc, char **argv)
{
	struct measuring measuring = {0};
	struct aur_bpe_settings settings = {
		.pattern = "gpt2", .vocab_size = 32000, .progress = note_progress, .progress_context = &measuring};
	const struct aur_bpe_source source = {next_stretch, &measuring};
	struct aur_vocab vocab = {0};
	int wrong = argc < 2 || argc % 2 != 0;
	for (int i = 2; i + 1 < argc; i += 2)
		if (strcmp(argv[i], "--vocab-size") == 0)
			settings.vocab_size = atoll(argv[i + 1]);
		else if (strcmp(argv[i], "--min-count") == 0)
			settings.min_count = atoll(argv[i + 1]);
		else if (strcmp(argv[i], "--threads") == 0)
			settings.threads = atoi(argv[i + 1]);
		else if (strcmp(argv[i], "--pattern") == 0)
			settings.pattern = argv[i + 1];
		else
			wrong = 1;
	if (wrong || !map_file(argv[1], &measuring.rest)) {
		fprintf(
			stderr, "usage: aurelius-bench-bpe FILE [--vocab-size N] [--min-count N] [--pattern P] [--threads N]\n");
		return 2;
	}
	measuring.begun = aur_clock_s();
	if (aur_bpe_train(&settings, &source, &vocab) != AUR_OK) {
		fprintf(stderr, "%s\n", aur_error_message());
		return 1;
	}
	print(&measuring, &vocab);
	aur_vocab_clear(&vocab);
	return 0;
}
