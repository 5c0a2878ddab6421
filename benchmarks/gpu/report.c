#include "trace.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Rows of a table that are printed, and of a name the letters. */
enum { KERNELS = 60, GAPS = 25, LETTERS = 110, FIRST_MARK = 5 };

static int32_t number_of(struct trace *trace, const char *name)
{
	/* The latest first: neighbours in time are often alike. */
	for (int32_t i = trace->n_names - 1; i >= 0; i--)
		if (strcmp(trace->names[i], name) == 0)
			return i;
	if (trace->n_names == trace->names_room) {
		const int32_t room = trace->names_room ? 2 * trace->names_room : 256;
		char **names = realloc(trace->names, (size_t)room * sizeof *names);
		if (!names)
			return -1;
		trace->names = names;
		trace->names_room = room;
	}
	char *copy = strdup(name);
	if (!copy)
		return -1;
	trace->names[trace->n_names] = copy;
	return trace->n_names++;
}

int trace_add(struct trace *trace, const char *name, uint64_t start, uint64_t end)
{
	if (trace->n_spans == trace->room) {
		const size_t room = trace->room ? 2 * trace->room : (size_t)1 << 16;
		struct trace_span *spans = realloc(trace->spans, room * sizeof *spans);
		if (!spans)
			return -1;
		trace->spans = spans;
		trace->room = room;
	}
	const int32_t number = number_of(trace, name ? name : "?");
	if (number < 0)
		return -1;
	trace->spans[trace->n_spans++] = (struct trace_span){.start = start, .end = end, .name = number};
	return 0;
}

void trace_free(struct trace *trace)
{
	for (int32_t i = 0; i < trace->n_names; i++)
		free(trace->names[i]);
	free(trace->names);
	free(trace->spans);
	*trace = (struct trace){0};
}

struct total {
	int32_t name, then; /* `then`: what followed a gap */
	size_t count;
	uint64_t ns, most;
};

static int by_start(const void *a, const void *b)
{
	const struct trace_span *x = a, *y = b;
	return x->start < y->start ? -1 : x->start > y->start;
}

static int by_time(const void *a, const void *b)
{
	const struct total *x = a, *y = b;
	return x->ns > y->ns ? -1 : x->ns < y->ns;
}

/* The spans [first, end) that the table covers, and how many steps they are (0: no marks). */
struct window {
	size_t first, end;
	long steps;
};

static long skipped_marks(void)
{
	const char *text = getenv("AURELIUS_GPU_TRACE_SKIP");
	char *end = NULL;
	const long skip = text ? strtol(text, &end, 10) : FIRST_MARK;
	return text && (end == text || *end != '\0' || skip < 0) ? FIRST_MARK : skip;
}

static int is_mark(const struct trace *trace, size_t i, const char *mark)
{
	return i < trace->n_spans && strstr(trace->names[trace->spans[i].name], mark) != NULL;
}

static struct window find_window(const struct trace *trace)
{
	const char *asked = getenv("AURELIUS_GPU_TRACE_MARK"), *mark = asked ? asked : "adamw";
	const long skip = skipped_marks();
	struct window window = {.first = 0, .end = trace->n_spans};
	size_t last = 0;
	long marks = 0;
	for (size_t i = 0; i < trace->n_spans; i++) {
		/* The update of a model of many tensors is several launches, one behind the other. */
		if (!is_mark(trace, i, mark) || is_mark(trace, i + 1, mark))
			continue;
		marks++;
		if (marks == skip)
			window.first = i + 1;
		last = i + 1;
	}
	if (marks <= skip)
		return (struct window){.first = 0, .end = trace->n_spans};
	window.end = last;
	window.steps = marks - skip;
	return window;
}

static void print_rows(const struct trace *trace, FILE *file, const struct window *window, struct total *totals,
	size_t count, size_t most, const char *word)
{
	const double steps = window->steps > 0 ? (double)window->steps : 1.0;
	qsort(totals, count, sizeof *totals, by_time);
	for (size_t i = 0; i < count && i < most && totals[i].count > 0; i++) {
		const struct total *row = &totals[i];
		fprintf(file, "%-6s %10.1f us  %8.2f times  longest %8.1f us  %.*s", word, (double)row->ns * 1e-3 / steps,
			(double)row->count / steps, (double)row->most * 1e-3, LETTERS, trace->names[row->name]);
		if (row->then >= 0)
			fprintf(file, "  ->  %.*s", LETTERS / 2, trace->names[row->then]);
		fputc('\n', file);
	}
}

static void add(struct total *total, uint64_t ns)
{
	total->count++;
	total->ns += ns;
	if (ns > total->most)
		total->most = ns;
}

static int print_kernels(const struct trace *trace, FILE *file, const struct window *window)
{
	struct total *totals = calloc((size_t)trace->n_names, sizeof *totals);
	if (!totals)
		return -1;
	for (int32_t i = 0; i < trace->n_names; i++)
		totals[i] = (struct total){.name = i, .then = -1};
	for (size_t i = window->first; i < window->end; i++)
		add(&totals[trace->spans[i].name], trace->spans[i].end - trace->spans[i].start);
	print_rows(trace, file, window, totals, (size_t)trace->n_names, KERNELS, "kernel");
	free(totals);
	return 0;
}

/* Time in which nothing ran, by what ended before it and what began after it. */
static int print_gaps(const struct trace *trace, FILE *file, const struct window *window)
{
	const size_t names = (size_t)trace->n_names;
	struct total *totals = calloc(names * names, sizeof *totals);
	if (!totals)
		return -1;
	int32_t before = trace->spans[window->first].name;
	uint64_t reached = trace->spans[window->first].end;
	for (size_t i = window->first + 1; i < window->end; i++) {
		const struct trace_span *span = &trace->spans[i];
		if (span->start > reached) {
			struct total *total = &totals[(size_t)before * names + (size_t)span->name];
			total->name = before;
			total->then = span->name;
			add(total, span->start - reached);
		}
		if (span->end >= reached) {
			reached = span->end;
			before = span->name;
		}
	}
	print_rows(trace, file, window, totals, names * names, GAPS, "gap");
	free(totals);
	return 0;
}

/* Of the time from the first start to the last end, that in which something ran. */
static void print_share(const struct trace *trace, FILE *file, const struct window *window)
{
	const uint64_t begin = window->first > 0 ? trace->spans[window->first - 1].end : trace->spans[0].start;
	uint64_t busy = 0, reached = begin;
	for (size_t i = window->first; i < window->end; i++) {
		const struct trace_span *span = &trace->spans[i];
		const uint64_t from = span->start > reached ? span->start : reached;
		if (span->end > from) {
			busy += span->end - from;
			reached = span->end;
		}
	}
	const double whole = (double)(reached - begin), steps = window->steps > 0 ? (double)window->steps : 1.0;
	fprintf(file, "window %10.1f us each of %ld steps, %zu kernels and copies, %zu not noted\n", whole * 1e-3 / steps,
		window->steps, window->end - window->first, trace->lost);
	fprintf(file, "busy   %10.1f us, %.2f%%\n", (double)busy * 1e-3 / steps, 100.0 * (double)busy / whole);
}

void trace_report(struct trace *trace, FILE *file)
{
	if (trace->n_spans == 0) {
		fprintf(file, "window: nothing ran on a GPU, %zu kernels and copies were not noted\n", trace->lost);
		return;
	}
	qsort(trace->spans, trace->n_spans, sizeof *trace->spans, by_start);
	const struct window window = find_window(trace);
	print_share(trace, file, &window);
	if (print_kernels(trace, file, &window) != 0 || print_gaps(trace, file, &window) != 0)
		fputs("no memory for the tables\n", file);
}
