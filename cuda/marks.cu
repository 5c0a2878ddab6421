#include "internal.cuh"

/* NVTX's ranges, which Nsight Systems shows beside the kernels. The library is headers alone: without a profiler that
 * listens a range costs some nanoseconds. */

#if !defined(AURELIUS_EMULATED) && defined(__has_include)
#if __has_include(<nvtx3/nvToolsExt.h>)
#define AUR_WITH_NVTX 1
#endif
#endif

#ifdef AUR_WITH_NVTX

#include <nvtx3/nvToolsExt.h>

static void begin_mark(const char *name)
{
	(void)nvtxRangePushA(name);
}

static void end_mark(void)
{
	(void)nvtxRangePop();
}

static constexpr struct aur_backend_marks table_of_marks()
{
	struct aur_backend_marks table = {};
	table.begin = begin_mark;
	table.end = end_mark;
	return table;
}

static constexpr struct aur_backend_marks marks = table_of_marks();

const struct aur_backend_marks *aur_cuda_marks(void)
{
	return &marks;
}

#else

const struct aur_backend_marks *aur_cuda_marks(void)
{
	return NULL;
}

#endif
