/* Measures the training of a subword vocabulary: aurelius-bench-bpe FILE [--vocab-size N] [--min-count N]
 * [--pattern gpt2|gpt4] [--threads N]. Prints one JSON object: seconds of counting and of merging, peak memory, and a
 * hash of the merges, by which runs and programs are compared (hf_train.py). The file is mapped, and threads count
 * stretches of it. */
#include "core/clock.h"
#include "core/crew.h"
#include "core/threads.h"
#include "text/tokenizer.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STRETCH = 1 << 20, THREADS_MAX = 256 };

struct measuring {
	struct aur_text rest; /* guarded by the lock */
	pthread_mutex_t lock;
	struct aur_vocab_trainer *trainers[THREADS_MAX];
	int threads;
	double begun, counted;
};

static struct aur_text next_stretch(struct measuring *measuring, const struct aur_vocab *rules)
{
	pthread_mutex_lock(&measuring->lock);
	struct aur_text *rest = &measuring->rest;
	const size_t place = rest->size > STRETCH ? aur_text_place(rules, *rest, STRETCH) : 0;
	const struct aur_text stretch = {rest->bytes, place > 0 ? place : rest->size};
	rest->bytes += stretch.size;
	rest->size -= stretch.size;
	pthread_mutex_unlock(&measuring->lock);
	return stretch;
}

static aur_status count(void *context, int member)
{
	struct measuring *measuring = context;
	struct aur_vocab_trainer *trainer = measuring->trainers[member];
	struct aur_text stretch;
	while ((stretch = next_stretch(measuring, aur_vocab_trainer_vocab(trainer))).size > 0)
		AUR_TRY(aur_vocab_trainer_add(trainer, stretch, 0));
	return AUR_OK;
}

static aur_status train(
	struct measuring *measuring, const struct aur_tokenizer_options *options, struct aur_tokenizer **tokenizer)
{
	struct aur_crew *crew;
	for (int i = 0; i < measuring->threads; i++)
		AUR_TRY(aur_vocab_trainer_create(options, &measuring->trainers[i]));
	AUR_TRY(aur_crew_create(measuring->threads, 1, &crew));
	const aur_status status = aur_crew_run(crew, count, measuring);
	aur_crew_destroy(&crew);
	AUR_TRY(status);
	for (int i = 1; i < measuring->threads; i++) {
		AUR_TRY(aur_vocab_trainer_merge(measuring->trainers[0], measuring->trainers[i]));
		aur_vocab_trainer_destroy(&measuring->trainers[i]);
	}
	measuring->counted = aur_clock_s();
	AUR_TRY(aur_vocab_trainer_finish(measuring->trainers[0], tokenizer));
	aur_vocab_trainer_destroy(&measuring->trainers[0]);
	return AUR_OK;
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

static int parse(int argc, char **argv, struct aur_tokenizer_options *options, int *threads)
{
	for (int i = 2; i + 1 < argc; i += 2)
		if (strcmp(argv[i], "--vocab-size") == 0)
			options->vocab_size = atoll(argv[i + 1]);
		else if (strcmp(argv[i], "--min-count") == 0)
			options->min_count = atoll(argv[i + 1]);
		else if (strcmp(argv[i], "--pattern") == 0)
			options->pattern = argv[i + 1];
		else if (strcmp(argv[i], "--threads") == 0)
			*threads = atoi(argv[i + 1]);
		else
			return 0;
	return argc >= 2 && argc % 2 == 0 && *threads >= 1 && *threads <= THREADS_MAX;
}

int main(int argc, char **argv)
{
	struct measuring measuring = {.lock = PTHREAD_MUTEX_INITIALIZER, .threads = aur_threads_now()};
	struct aur_tokenizer_options options = {.kind = "bpe", .clean = "none", .vocab_size = 32000};
	struct aur_tokenizer *tokenizer = NULL;
	if (!parse(argc, argv, &options, &measuring.threads) || !map_file(argv[1], &measuring.rest)) {
		fprintf(
			stderr, "usage: aurelius-bench-bpe FILE [--vocab-size N] [--min-count N] [--pattern P] [--threads N]\n");
		return 2;
	}
	measuring.begun = aur_clock_s();
	if (train(&measuring, &options, &tokenizer) != AUR_OK) {
		fprintf(stderr, "%s\n", aur_error_message());
		return 1;
	}
	print(&measuring, aur_tokenizer_vocab(tokenizer));
	aur_tokenizer_destroy(&tokenizer);
	return 0;
}
