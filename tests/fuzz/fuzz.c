#include "fuzz.h"

#include "mutate.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

static struct fuzz_bytes seeds[FUZZ_SEEDS];
static size_t n_seeds;

/* What a handler of a crash has to know. */
static const struct fuzz_target *running;
static struct fuzz_bytes input;
static int64_t round_now;

/* ---- sanitizers, where they are linked ---- */

void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));
void __asan_init(void) __attribute__((weak));
const char *__asan_default_options(void);
const char *__ubsan_default_options(void);

/* AddressSanitizer reserves terabytes, which RLIMIT_AS would refuse: it has a limit of its own (FUZZ_MEMORY_MB). */
const char *__asan_default_options(void)
{
	return "max_allocation_size_mb=512:allocator_may_return_null=1:detect_leaks=1";
}

/* gcc links UndefinedBehaviorSanitizer as a library of its own, which knows nothing of the callback of the other. */
const char *__ubsan_default_options(void)
{
	return "abort_on_error=1:print_stacktrace=1";
}

/* ---- failures ---- */

static void say(const char *text)
{
	if (write(STDERR_FILENO, text, strlen(text)) < 0)
		return;
}

/* Called in signal handlers: nothing here allocates. */
static void keep_input(void)
{
	char text[256];
	snprintf(text, sizeof text, "%s.failed", running->name);
	const int fd = open(text, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	const int kept = fd >= 0 && write(fd, input.bytes, input.size) == (ssize_t)input.size;
	if (fd >= 0)
		close(fd);
	snprintf(text, sizeof text,
		"fuzz %s: input %" PRId64 " failed (AURELIUS_FUZZ_ROUND=%" PRId64 "), %zu bytes%s%s%s\n", running->name,
		round_now, round_now, input.size, kept ? ", kept in " : "", kept ? running->name : "", kept ? ".failed" : "");
	say(text);
}

static void died(int number)
{
	char text[64];
	snprintf(text, sizeof text, "fuzz: signal %d%s\n", number, number == SIGPROF ? ": it takes too long" : "");
	say(text);
	keep_input();
	_exit(1);
}

static void watch_for_death(void)
{
	static const int signals[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL};
	signal(SIGPROF, died);
	signal(SIGABRT, died);
	if (__sanitizer_set_death_callback) {
		__sanitizer_set_death_callback(keep_input);
		return;
	}
	/* A stack that is used up leaves none for the handler. */
	static char stack[64 << 10];
	const stack_t other = {.ss_sp = stack, .ss_size = sizeof stack};
	sigaltstack(&other, NULL);
	for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
		sigaction(signals[i], &(struct sigaction){.sa_handler = died, .sa_flags = SA_ONSTACK}, NULL);
}

static void limit_time(int seconds)
{
	const struct itimerval timer = {.it_value = {.tv_sec = seconds}};
	setitimer(ITIMER_PROF, &timer, NULL);
}

static void limit_memory(void)
{
	long pages = 0;
	FILE *stream = fopen("/proc/self/statm", "r");
	if (__asan_init || !stream || fscanf(stream, "%ld", &pages) != 1)
		pages = 0;
	if (stream)
		fclose(stream);
	const rlim_t bytes = (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) + ((rlim_t)FUZZ_MEMORY_MB << 20);
	if (pages > 0)
		setrlimit(RLIMIT_AS, &(struct rlimit){bytes, bytes});
}

aur_status fuzz_fail(const char *format, ...)
{
	char text[512];
	va_list arguments;
	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	return aur_fail(AUR_INTERNAL, "%s", text);
}

static void check(int holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "fuzz %s: %s\n", running->name, what);
	keep_input();
	exit(1);
}

/* ---- seeds and files ---- */

static char folder[64];

static void remove_folder(void)
{
	char command[128];
	snprintf(command, sizeof command, "rm -rf '%s'", folder);
	if (folder[0] && system(command) != 0)
		fprintf(stderr, "fuzz: %s is left behind\n", folder);
}

const char *fuzz_scratch(const char *name)
{
	static char path[256];
	if (!folder[0]) {
		snprintf(folder, sizeof folder, "/tmp/aurelius-fuzz-XXXXXX");
		if (!mkdtemp(folder)) {
			fprintf(stderr, "fuzz: no folder %s\n", folder);
			exit(1);
		}
		atexit(remove_folder);
	}
	snprintf(path, sizeof path, "%s/%s", folder, name);
	return path;
}

void fuzz_seed(const void *bytes, size_t size)
{
	if (n_seeds == FUZZ_SEEDS) {
		fprintf(stderr, "fuzz: more than %d seeds\n", FUZZ_SEEDS);
		exit(1);
	}
	fuzz_set(&seeds[n_seeds++], bytes, size);
}

void fuzz_seed_text(const char *text)
{
	fuzz_seed(text, strlen(text));
}

void fuzz_seed_file(const char *path)
{
	enum { LIMIT = 1 << 20 };
	char *bytes = malloc(LIMIT);
	FILE *stream = bytes ? fopen(path, "rb") : NULL;
	const size_t size = stream ? fread(bytes, 1, LIMIT, stream) : 0;
	if (!stream || size == 0 || size == LIMIT) {
		fprintf(stderr, "fuzz: the seed %s is missing, empty or too long\n", path);
		exit(1);
	}
	fclose(stream);
	fuzz_seed(bytes, size);
	free(bytes);
}

static int open_files(void)
{
	int count = 0;
	DIR *stream = opendir("/proc/self/fd");
	while (stream && readdir(stream))
		count++;
	if (stream)
		closedir(stream);
	return count;
}

/* ---- running ---- */

/* A new file each time: one that is cut to nothing and filled again is written to the disk at once by ext4. */
static void write_input(const char *path)
{
	unlink(path);
	FILE *stream = fopen(path, "wb");
	const int written = stream && fwrite(input.bytes, 1, input.size, stream) == input.size;
	if (!stream || fclose(stream) != 0 || !written) {
		fprintf(stderr, "fuzz: cannot write %s\n", path);
		exit(1);
	}
}

static void check_message(void)
{
	const char *message = aur_error_message();
	check(message[0] != '\0', "a refusal without a message");
	for (const char *at = message; *at; at++)
		if (iscntrl((unsigned char)*at)) {
			fprintf(stderr, "%s\n", message);
			check(0, "the message is no line of text");
		}
}

/* 1 when the input was taken, 0 when it was refused. */
static int run_input(const char *path)
{
	const aur_status refusal = running->refusal != AUR_OK ? running->refusal : AUR_INPUT;
	/* Of its own exact size, so that AddressSanitizer sees each byte that is read behind it. */
	char *exact = malloc(input.size > 0 ? input.size : 1);
	check(exact != NULL, "no memory for the input");
	memcpy(exact, input.bytes, input.size);
	if (path)
		write_input(path);
	aur_error_clear();
	limit_time(running->seconds > 0 ? running->seconds : FUZZ_SECONDS);
	const aur_status status = running->parse(&(struct fuzz_input){exact, input.size, path});
	limit_time(0);
	free(exact);
	if (status != AUR_OK && status != refusal) {
		fprintf(stderr, "%s: %s\n", aur_status_name(status), aur_error_message());
		check(0, status == AUR_MEMORY ? "it wanted too much memory" : "neither taken nor refused");
	}
	if (status != AUR_OK)
		check_message();
	return status == AUR_OK;
}

/* Input `round`: a seed, changed once or more. */
static void make_input(int64_t round)
{
	uint64_t random = (uint64_t)round;
	const struct fuzz_bytes *seed = &seeds[fuzz_random(&random) % n_seeds];
	fuzz_set(&input, seed->bytes, seed->size);
	do {
		const struct fuzz_bytes *other = &seeds[fuzz_random(&random) % n_seeds];
		fuzz_mutate(&input, other, running->words, &random);
	} while (fuzz_random(&random) % 2 == 0);
}

static int64_t number_of(const char *variable, int64_t fallback)
{
	const char *text = getenv(variable);
	return text && text[0] ? strtoll(text, NULL, 10) : fallback;
}

static void run_seeds(const char *path)
{
	for (size_t i = 0; i < n_seeds; i++) {
		fuzz_set(&input, seeds[i].bytes, seeds[i].size);
		round_now = -1 - (int64_t)i;
		if (!run_input(path))
			fprintf(stderr, "seed %zu: %s\n", i, aur_error_message());
		else
			continue;
		check(0, "a seed is refused");
	}
}

int fuzz_run(const struct fuzz_target *target)
{
	const int64_t only = number_of("AURELIUS_FUZZ_ROUND", 0);
	const int64_t last = only > 0 ? only : target->rounds * number_of("AURELIUS_FUZZ_TIMES", 1);
	int64_t taken = 0, refused = 0;
	char path[256];
	running = target;
	if (target->file)
		snprintf(path, sizeof path, "%s", fuzz_scratch(target->file));
	const char *file = target->file ? path : NULL;
	watch_for_death();
	limit_memory();
	run_seeds(file);
	const int files = open_files();
	for (round_now = only > 0 ? only : 1; round_now <= last; round_now++) {
		make_input(round_now);
		const int was_taken = run_input(file);
		taken += was_taken;
		refused += !was_taken;
		check(open_files() == files, "a file stays open");
	}
	printf("fuzz %s: %zu seeds, %" PRId64 " changed inputs: %" PRId64 " taken, %" PRId64 " refused\n", target->name,
		n_seeds, taken + refused, taken, refused);
	check(only > 0 || refused > 0, "no changed input was refused");
	return 0;
}
