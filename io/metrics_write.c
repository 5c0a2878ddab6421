#include "file_posix.h"
#include "io/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINE_BYTES = 8192 };

struct aur_metrics {
	int fd;
	char *path;
	size_t used;
	int overflow;
	char line[LINE_BYTES];
};

/* A killed run may leave half a line at the end; the next one must not be glued to it. */
static aur_status end_cut_line(struct aur_metrics *metrics)
{
	struct stat info;
	char last = '\n';
	size_t got = 0;
	if (fstat(metrics->fd, &info) != 0)
		return aur_fail(AUR_IO, "%s: cannot read: %s", metrics->path, strerror(errno));
	if (info.st_size > 0)
		AUR_TRY(aur_fd_read_at(metrics->fd, metrics->path, &last, 1, (int64_t)info.st_size - 1, &got));
	return got == 0 || last == '\n' ? AUR_OK : aur_fd_write(metrics->fd, metrics->path, "\n", 1);
}

static aur_status open_file(struct aur_metrics *metrics, const char *path)
{
	metrics->path = strdup(path);
	if (!metrics->path)
		return aur_fail(AUR_MEMORY, "%s: no memory for its name", path);
	metrics->fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
	if (metrics->fd < 0)
		return aur_fail(AUR_IO, "%s: cannot open for writing: %s", path, strerror(errno));
	return end_cut_line(metrics);
}

aur_status aur_metrics_open(const char *path, struct aur_metrics **metrics)
{
	*metrics = calloc(1, sizeof **metrics);
	if (!*metrics)
		return aur_fail(AUR_MEMORY, "%s: no memory to write it", path);
	(*metrics)->fd = -1;
	const aur_status status = open_file(*metrics, path);
	if (status != AUR_OK)
		aur_metrics_close(metrics);
	return status;
}

void aur_metrics_close(struct aur_metrics **metrics)
{
	if (!metrics || !*metrics)
		return;
	if ((*metrics)->fd >= 0)
		close((*metrics)->fd);
	free((*metrics)->path);
	free(*metrics);
	*metrics = NULL;
}

/* ---- building a line in the fixed buffer ---- */

__attribute__((format(printf, 2, 3))) static void put(struct aur_metrics *metrics, const char *format, ...)
{
	va_list arguments;
	const size_t room = LINE_BYTES - metrics->used;
	va_start(arguments, format);
	const int written = vsnprintf(metrics->line + metrics->used, room, format, arguments);
	va_end(arguments);
	if (written < 0 || (size_t)written >= room)
		metrics->overflow = 1;
	else
		metrics->used += (size_t)written;
}

static void put_event(struct aur_metrics *metrics, const char *event, int64_t step)
{
	metrics->used = 0;
	metrics->overflow = 0;
	put(metrics, "{\"event\":\"%s\",\"step\":%" PRId64, event, step);
}

/* "%.*g" has no comma in any locale but one with a decimal comma, which is put right here. JSON has no NaN. */
static void put_number(struct aur_metrics *metrics, const char *key, double value, int digits)
{
	if (!isfinite(value)) {
		put(metrics, "\"%s\":null", key);
		return;
	}
	put(metrics, "\"%s\":", key);
	const size_t begin = metrics->used;
	put(metrics, "%.*g", digits, value);
	for (size_t i = begin; i < metrics->used; i++)
		if (metrics->line[i] == ',')
			metrics->line[i] = '.';
}

/* Bytes of the character at `text`; 0 where it is no UTF-8. */
static int character_bytes(const char *text)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	const unsigned char *byte = (const unsigned char *)text;
	if (byte[0] < 0x80)
		return 1;
	const int bytes = byte[0] < 0xc0 ? 0 : byte[0] < 0xe0 ? 2 : byte[0] < 0xf0 ? 3 : byte[0] < 0xf8 ? 4 : 0;
	uint32_t code = byte[0] & (0x7fu >> bytes);
	for (int i = 1; i < bytes; i++) {
		if ((byte[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (byte[i] & 0x3fu);
	}
	return code < least[bytes] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ? 0 : bytes;
}

/* Names of files need not be UTF-8, but JSON must be: bytes that are not become question marks. */
static void put_text(struct aur_metrics *metrics, const char *key, const char *text)
{
	put(metrics, ",\"%s\":\"", key);
	while (*text) {
		const unsigned char byte = (unsigned char)*text;
		const int bytes = character_bytes(text);
		if (byte == '"' || byte == '\\')
			put(metrics, "\\%c", byte);
		else if (byte < 32)
			put(metrics, "\\u%04x", byte);
		else
			put(metrics, "%.*s", bytes > 0 ? bytes : 1, bytes > 0 ? text : "?");
		text += bytes > 0 ? bytes : 1;
	}
	put(metrics, "\"");
}

/* One write: the kernel appends it whole, whatever happens to the process. What a full disk took of a line is cut off
 * again, so that later lines stay whole. */
static aur_status end_line(struct aur_metrics *metrics)
{
	struct stat info;
	put(metrics, "}\n");
	if (metrics->overflow)
		return aur_fail(AUR_INTERNAL, "%s: a line has more than %d bytes", metrics->path, LINE_BYTES);
	const int known = fstat(metrics->fd, &info) == 0 && S_ISREG(info.st_mode);
	const aur_status status = aur_fd_write(metrics->fd, metrics->path, metrics->line, metrics->used);
	if (status != AUR_OK && known && ftruncate(metrics->fd, info.st_size) != 0)
		return aur_add_context(status, "%s: half a line is left in it", metrics->path);
	return status;
}

enum { EXACT = 17, SHORT = 6 };

aur_status aur_metrics_write_step(struct aur_metrics *metrics, const struct aur_metrics_step *step)
{
	const struct {
		const char *key;
		double value;
	} times[] = {{"step", step->ms_step}, {"data", step->ms_data}, {"forward", step->ms_forward},
		{"backward", step->ms_backward}, {"reduce_wait", step->ms_reduce_wait}, {"optimizer", step->ms_optimizer}};
	put_event(metrics, "step", step->step);
	put(metrics, ",");
	put_number(metrics, "loss", step->loss, EXACT);
	put(metrics, ",");
	put_number(metrics, "grad_norm", step->grad_norm, EXACT);
	put(metrics, ",");
	put_number(metrics, "learning_rate", step->learning_rate, EXACT);
	put(metrics, ",\"tokens\":%" PRId64 ",", step->tokens);
	put_number(metrics, "tokens_per_s", step->tokens_per_s, SHORT);
	put(metrics, ",");
	put_number(metrics, "of_ceiling", step->of_ceiling, SHORT);
	put(metrics, ",\"ms\":{");
	for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
		put(metrics, "%s", i > 0 ? "," : "");
		put_number(metrics, times[i].key, times[i].value, SHORT);
	}
	put(metrics, "}");
	return end_line(metrics);
}

aur_status aur_metrics_write_eval(struct aur_metrics *metrics, int64_t step, double train_loss, double val_loss)
{
	put_event(metrics, "eval", step);
	put(metrics, ",");
	put_number(metrics, "train_loss", train_loss, EXACT);
	put(metrics, ",");
	put_number(metrics, "val_loss", val_loss, EXACT);
	return end_line(metrics);
}

aur_status aur_metrics_write_checkpoint(struct aur_metrics *metrics, int64_t step, const char *path, double seconds)
{
	put_event(metrics, "checkpoint", step);
	put_text(metrics, "path", path);
	put(metrics, ",");
	put_number(metrics, "seconds", seconds, SHORT);
	return end_line(metrics);
}

aur_status aur_metrics_write_start(struct aur_metrics *metrics, int64_t step, int ranks, int threads,
	int64_t parameters, const char *program, const char *variant, const char *precision)
{
	put_event(metrics, "start", step);
	put(metrics, ",\"ranks\":%d,\"threads\":%d,\"parameters\":%" PRId64, ranks, threads, parameters);
	put_text(metrics, "program", program);
	put_text(metrics, "variant", variant);
	put_text(metrics, "precision", precision);
	return end_line(metrics);
}

aur_status aur_metrics_write_end(struct aur_metrics *metrics, int64_t step, const char *reason)
{
	put_event(metrics, "end", step);
	put_text(metrics, "reason", reason);
	return end_line(metrics);
}
