#include "library.h"

const struct bench_library *const bench_libraries[] = {
#ifdef AUR_BENCH_OPENBLAS
	&bench_openblas,
#endif
#ifdef AUR_BENCH_ONEDNN
	&bench_onednn,
#endif
	NULL,
};
