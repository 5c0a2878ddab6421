#include "progress.h"

#include "core/clock.h"
#include "print.h"

#include <stdio.h>

/* A bar comes and changes often, a line seldom. */
#define BAR_FIRST_S 0.5
#define BAR_EVERY_S 0.2
#define LINE_FIRST_S 2.0
#define LINE_EVERY_S 10.0

void aur_progress_begin(struct aur_progress_line *line)
{
	line->begun_s = aur_clock_s();
	line->shown_s = 0;
	line->drawn = 0;
}

void aur_progress_text(const char *title, double done, double all, double elapsed_s, char *text, size_t bytes)
{
	const double rate = elapsed_s > 0 ? done / elapsed_s : 0;
	const long long left = rate > 0 && all > done ? (long long)((all - done) / rate + 0.5) : 0;
	char eta[32] = "unknown";
	if (rate > 0 && left >= 3600)
		snprintf(eta, sizeof eta, "%lld:%02lld:%02lld", left / 3600, left / 60 % 60, left % 60);
	else if (rate > 0)
		snprintf(eta, sizeof eta, "%lld:%02lld", left / 60, left % 60);
	const double share = all > 0 ? done / all : 1;
	snprintf(text, bytes, "%s %3.0f%% | %.1f of %.1f MB | %.1f MB/s | ETA %s", title, 100 * (share < 1 ? share : 1),
		done * 1e-6, all * 1e-6, rate * 1e-6, eta);
}

static void draw_bar(double share, const char *text)
{
	enum { WIDTH = 30 };
	char bar[WIDTH + 1];
	for (int i = 0; i < WIDTH; i++)
		bar[i] = i < (int)(share * WIDTH) ? '#' : '.';
	bar[WIDTH] = '\0';
	aur_print("\r\033[K[%s] %s", bar, text);
	aur_print_flush();
}

void aur_progress_show(struct aur_progress_line *line, const char *title, double done, double all)
{
	const double now = aur_clock_s(), first = line->terminal ? BAR_FIRST_S : LINE_FIRST_S;
	const double every = line->terminal ? BAR_EVERY_S : LINE_EVERY_S;
	char text[160];
	if (line->silent || now - line->begun_s < first || (line->drawn && now - line->shown_s < every))
		return;
	aur_progress_text(title, done, all, now - line->begun_s, text, sizeof text);
	if (line->terminal)
		draw_bar(all > 0 ? done / all : 1, text);
	else
		aur_print("%s\n", text);
	aur_print_flush();
	line->drawn = 1;
	line->shown_s = now;
}

void aur_progress_end(struct aur_progress_line *line)
{
	if (!line->drawn || !line->terminal)
		return;
	aur_print("\r\033[K");
	aur_print_flush();
}
