#include "gnuplot.h"

#include "io/file.h"
#include "text/tokenizer.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* ---- the child ---- */

/* A file in memory: unlike a pipe it takes the whole script at once and raises no SIGPIPE when the child dies. */
static aur_status memory_file(const char *name, const char *content, size_t bytes, int *file)
{
	*file = memfd_create(name, MFD_CLOEXEC);
	if (*file < 0)
		return aur_fail(AUR_IO, "gnuplot: no file in memory for its %s: %s", name, strerror(errno));
	while (bytes > 0) {
		const ssize_t written = write(*file, content, bytes);
		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return aur_fail(AUR_IO, "gnuplot: cannot write its %s: %s", name, strerror(errno));
		content += written;
		bytes -= (size_t)written;
	}
	if (lseek(*file, 0, SEEK_SET) < 0)
		return aur_fail(AUR_IO, "gnuplot: cannot rewind its %s: %s", name, strerror(errno));
	return AUR_OK;
}

/* The child gets default signals: main may ignore SIGPIPE and block others. */
static int spawn_with(posix_spawn_file_actions_t *actions, posix_spawnattr_t *attributes, pid_t *child)
{
	char *arguments[] = {(char[]){"gnuplot"}, (char[]){"-d"}, NULL};
	sigset_t all, none;
	sigfillset(&all);
	sigdelset(&all, SIGKILL);
	sigdelset(&all, SIGSTOP);
	sigemptyset(&none);
	posix_spawnattr_setsigdefault(attributes, &all);
	posix_spawnattr_setsigmask(attributes, &none);
	posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
	return posix_spawnp(child, arguments[0], actions, attributes, arguments, environ);
}

static int spawn_gnuplot(int input, int errors, pid_t *child)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	if (posix_spawn_file_actions_init(&actions) != 0)
		return ENOMEM;
	if (posix_spawnattr_init(&attributes) != 0) {
		posix_spawn_file_actions_destroy(&actions);
		return ENOMEM;
	}
	int error = posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
	if (error == 0)
		error = posix_spawn_file_actions_adddup2(&actions, errors, STDERR_FILENO);
	if (error == 0)
		error = posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", 1, 0);
	if (error == 0)
		error = spawn_with(&actions, &attributes, child);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return error;
}

/* Appends the rest of a line to what is in `text`. */
static void append_line(char *text, size_t room, const char *before, const char *line)
{
	const size_t used = strlen(text);
	snprintf(text + used, room - used, "%s%.*s", before, (int)strcspn(line, "\n"), line);
}

/* What gnuplot wrote behind the place of the error, as one line. */
static void read_complaint(int errors, char *complaint, size_t room)
{
	char text[1024];
	complaint[0] = '\0';
	const ssize_t bytes = pread(errors, text, sizeof text - 1, 0);
	if (bytes <= 0)
		return;
	text[bytes] = '\0';
	size_t at = strspn(text, " \t\n");
	const char *place = strstr(text, "line ");
	if (place && strchr(place, ':'))
		at = (size_t)(strchr(place, ':') + 1 - text);
	at += strspn(text + at, " \t\n");
	append_line(complaint, room, "", text + at);
	const char *reason = strstr(text + at, "system error: ");
	if (reason)
		append_line(complaint, room, ": ", reason + strlen("system error: "));
}

static aur_status wait_for(pid_t child, int errors)
{
	int ending;
	char complaint[512];
	while (waitpid(child, &ending, 0) < 0)
		if (errno != EINTR)
			return aur_fail(AUR_IO, "gnuplot: cannot wait for it: %s", strerror(errno));
	if (WIFEXITED(ending) && WEXITSTATUS(ending) == 0)
		return AUR_OK;
	if (WIFSIGNALED(ending))
		return aur_fail(AUR_IO, "gnuplot: ended by signal %d (%s)", WTERMSIG(ending), strsignal(WTERMSIG(ending)));
	read_complaint(errors, complaint, sizeof complaint);
	return aur_fail(AUR_IO, "gnuplot: failed with code %d: %s", WEXITSTATUS(ending), complaint);
}

aur_status aur_gnuplot_run(const char *script, size_t bytes)
{
	aur_status status;
	int input = -1, errors = -1;
	pid_t child;
	AUR_TRY_CLEANUP(memory_file("script", script, bytes, &input));
	AUR_TRY_CLEANUP(memory_file("errors", NULL, 0, &errors));
	const int error = spawn_gnuplot(input, errors, &child);
	if (error == ENOENT)
		status = aur_fail(AUR_IO, "gnuplot was not found: plots need it (apt-get install gnuplot-nox)");
	else if (error != 0)
		status = aur_fail(AUR_IO, "gnuplot: cannot be started: %s", strerror(error));
	else
		status = wait_for(child, errors);
cleanup:
	if (input >= 0)
		close(input);
	if (errors >= 0)
		close(errors);
	return status;
}

/* ---- pictures ---- */

static int ends_in(const char *path, const char *suffix)
{
	const size_t bytes = strlen(path), suffix_bytes = strlen(suffix);
	return bytes > suffix_bytes && strcmp(path + bytes - suffix_bytes, suffix) == 0;
}

aur_status aur_gnuplot_check_path(const char *path)
{
	struct stat info;
	if (!ends_in(path, ".svg") && !ends_in(path, ".png"))
		return aur_fail(AUR_USAGE, "%s: a picture's name must end in .svg or .png", path);
	if (strpbrk(path, "'\n\r\\"))
		return aur_fail(AUR_USAGE, "%s: a picture's name may not hold quotes, backslashes or line ends", path);
	/* It is put in place by renaming, which would replace a device or a pipe. */
	if (stat(path, &info) == 0 && !S_ISREG(info.st_mode))
		return aur_fail(AUR_IO, "%s: cannot be replaced: it is not a regular file", path);
	return AUR_OK;
}

/* Names of files need not be UTF-8, but an SVG must be. */
void aur_gnuplot_write_quoted(FILE *script, const char *text)
{
	const unsigned last = aur_utf8_check(text, strlen(text)) < 0 ? 0xff : 0x7f;
	fputc('\'', script);
	for (; *text; text++) {
		const unsigned char byte = (unsigned char)*text;
		if (byte == '\'')
			fputc('\'', script);
		fputc(byte < ' ' || byte > last ? '?' : byte, script);
	}
	fputc('\'', script);
}

static aur_status run_into(const char *partial, const char *terminal, const char *script, size_t bytes)
{
	char *whole = NULL;
	size_t whole_bytes = 0;
	FILE *stream = open_memstream(&whole, &whole_bytes);
	if (!stream)
		return aur_fail(AUR_MEMORY, "gnuplot: no memory for its script");
	/* A name that begins with | would be a command to gnuplot, one with ~ the home folder. */
	fprintf(stream, "%s\nset output '%s%s'\n", terminal, partial[0] == '/' ? "" : "./", partial);
	fwrite(script, 1, bytes, stream);
	fprintf(stream, "\nunset output\n");
	const int failed = ferror(stream);
	aur_status status = AUR_OK;
	if (fclose(stream) != 0 || failed)
		status = aur_fail(AUR_MEMORY, "gnuplot: no memory for its script");
	else
		status = aur_gnuplot_run(whole, whole_bytes);
	free(whole);
	return status;
}

/* gnuplot does not say when the disk was full: a whole picture ends with its format's last word. */
static aur_status check_whole(const char *partial)
{
	char tail[64];
	FILE *stream = fopen(partial, "rb");
	if (!stream)
		return aur_fail(AUR_IO, "gnuplot left no picture");
	const int sought = fseek(stream, -(long)sizeof tail, SEEK_END);
	const size_t bytes = sought == 0 ? fread(tail, 1, sizeof tail, stream) : 0;
	fclose(stream);
	if (!memmem(tail, bytes, "</svg>", 6) && !memmem(tail, bytes, "IEND", 4))
		return aur_fail(AUR_IO, "the picture is cut short: the disk may be full");
	return AUR_OK;
}

aur_status aur_gnuplot_draw(const char *path, int width, int height, const char *script, size_t bytes)
{
	AUR_TRY(aur_gnuplot_check_path(path));
	char *partial;
	char terminal[128];
	if (asprintf(&partial, "%s.partial", path) < 0)
		return aur_fail(AUR_MEMORY, "%s: no memory for its name", path);
	snprintf(terminal, sizeof terminal, "set terminal %s size %d,%d font 'sans,12' background rgb 'white'",
		ends_in(path, ".svg") ? "svg noenhanced" : "pngcairo noenhanced", width, height);
	aur_status status = run_into(partial, terminal, script, bytes);
	if (status == AUR_OK)
		status = check_whole(partial);
	if (status == AUR_OK)
		status = aur_file_sync(partial);
	if (status == AUR_OK)
		status = aur_file_rename(partial, path);
	if (status != AUR_OK)
		unlink(partial);
	free(partial);
	return status == AUR_OK ? AUR_OK : aur_add_context(status, "%s", path);
}
