#include "trace.h"

#include <cupti.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A library that CUDA loads into a program which CUDA_INJECTION64_PATH names it to, and that notes when each kernel and
 * each copy ran on the GPU. What it finds is written when the program ends (report.c). CUPTI's activity records are
 * described in cupti_activity.h. */

enum { BUFFER_BYTES = 4 << 20, BUFFER_ALIGNMENT = 8 };

/* The records of the CUPTI that this is compiled with: those of CUDA 12.8 and of 13.0 came with new numbers. */
#if CUPTI_API_VERSION >= 130000
typedef CUpti_ActivityKernel10 kernel_record;
#else
typedef CUpti_ActivityKernel9 kernel_record;
#endif
#if CUPTI_API_VERSION >= 26
typedef CUpti_ActivityMemcpy6 copy_record;
#else
typedef CUpti_ActivityMemcpy5 copy_record;
#endif

static struct trace trace;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void complain(const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	fputs("aurelius-gpu-trace: ", stderr);
	vfprintf(stderr, format, arguments);
	fputc('\n', stderr);
	va_end(arguments);
}

/* 1: the call worked. */
static int check(CUptiResult result, const char *call)
{
	const char *text = "?";
	if (result == CUPTI_SUCCESS)
		return 1;
	(void)cuptiGetResultString(result, &text);
	complain("%s: %s", call, text);
	return 0;
}

static void CUPTIAPI request_buffer(uint8_t **buffer, size_t *size, size_t *records)
{
	*buffer = aligned_alloc(BUFFER_ALIGNMENT, BUFFER_BYTES);
	*size = *buffer ? BUFFER_BYTES : 0;
	*records = 0;
}

static void note(const char *name, uint64_t start, uint64_t end)
{
	/* Zero: CUPTI could not tell the time. */
	if (start == 0 || end < start || trace_add(&trace, name, start, end) != 0)
		trace.lost++;
}

static void note_record(const CUpti_Activity *record)
{
	if (record->kind == CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL) {
		const kernel_record *kernel = (const kernel_record *)record;
		note(kernel->name, kernel->start, kernel->end);
	} else if (record->kind == CUPTI_ACTIVITY_KIND_MEMCPY) {
		const copy_record *copy = (const copy_record *)record;
		note("[copy]", copy->start, copy->end);
	} else if (record->kind == CUPTI_ACTIVITY_KIND_MEMSET) {
		const CUpti_ActivityMemset4 *set = (const CUpti_ActivityMemset4 *)record;
		note("[zero]", set->start, set->end);
	}
}

static void CUPTIAPI complete_buffer(CUcontext context, uint32_t stream, uint8_t *buffer, size_t size, size_t valid)
{
	CUpti_Activity *record = NULL;
	size_t dropped = 0;
	(void)size;
	(void)pthread_mutex_lock(&lock);
	while (valid > 0 && cuptiActivityGetNextRecord(buffer, valid, &record) == CUPTI_SUCCESS)
		note_record(record);
	if (cuptiActivityGetNumDroppedRecords(context, stream, &dropped) == CUPTI_SUCCESS)
		trace.lost += dropped;
	(void)pthread_mutex_unlock(&lock);
	free(buffer);
}

static void finish(void)
{
	(void)check(cuptiActivityFlushAll(CUPTI_ACTIVITY_FLAG_FLUSH_FORCED), "cuptiActivityFlushAll");
	(void)pthread_mutex_lock(&lock);
	const char *path = getenv("AURELIUS_GPU_TRACE");
	FILE *file = path ? fopen(path, "w") : stderr;
	if (!file)
		complain("cannot write %s", path);
	else
		trace_report(&trace, file);
	if (file && file != stderr && fclose(file) != 0)
		complain("cannot write %s", path);
	trace_free(&trace);
	(void)pthread_mutex_unlock(&lock);
}

/* Called by CUDA's driver as it starts, before any kernel; the result 1 says that all is well. */
__attribute__((visibility("default"))) int InitializeInjection(void);

int InitializeInjection(void)
{
	static const CUpti_ActivityKind kinds[] = {
		CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL, CUPTI_ACTIVITY_KIND_MEMCPY, CUPTI_ACTIVITY_KIND_MEMSET};
	if (!check(cuptiActivityRegisterCallbacks(request_buffer, complete_buffer), "cuptiActivityRegisterCallbacks"))
		return 1;
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (!check(cuptiActivityEnable(kinds[i]), "cuptiActivityEnable"))
			return 1;
	if (atexit(finish) != 0)
		complain("atexit failed: nothing will be written");
	return 1;
}
