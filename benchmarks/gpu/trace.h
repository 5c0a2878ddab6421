/* What ran on a GPU and when: collected by trace.c, put in a table by report.c. Times are nanoseconds of one clock. */
#ifndef AURELIUS_BENCH_GPU_TRACE_H
#define AURELIUS_BENCH_GPU_TRACE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct trace_span {
	uint64_t start, end;
	int32_t name; /* an index into `names` */
};

/* All zero at first. The owner frees it with trace_free. */
struct trace {
	struct trace_span *spans;
	size_t n_spans, room;
	char **names; /* each once, in order of their first span */
	int32_t n_names, names_room;
	size_t lost; /* what ran and could not be noted */
};

/* Takes a copy of `name`. 0, or -1 without memory. */
int trace_add(struct trace *trace, const char *name, uint64_t start, uint64_t end);

/* A table, in lines that begin with a word: `window`, `busy`, then `kernel` for each name by time, and `gap` for each
 * pair of neighbours by the time between them. The window runs from the end of one step to that of a later one, where a
 * step ends with kernels whose names contain AURELIUS_GPU_TRACE_MARK (default: adamw): from the end of the fifth step,
 * or of as many as AURELIUS_GPU_TRACE_SKIP says, to that of the last. Without as many, all of it. Sorts the spans. */
void trace_report(struct trace *trace, FILE *file);

void trace_free(struct trace *trace);

#endif
