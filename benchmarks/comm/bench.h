#ifndef AUR_BENCH_COMM_H
#define AUR_BENCH_COMM_H

#include "backend/backend.h"
#include "comm/comm.h"

/* The bandwidth of the project's exchanges between ranks, over the same table and the same choice of communicator that
 * a training has. */

enum bench_op { BENCH_EXCHANGE, BENCH_REDUCE_SCATTER, BENCH_ALL_GATHER, BENCH_ALL_REDUCE, BENCH_OPS };

struct bench_settings {
	int ops[BENCH_OPS];    /* which are measured */
	int64_t least, most;   /* bytes of all slices together */
	int factor;            /* from one size to the next */
	int repeats, warm_ups; /* calls that are timed, and before them */
	double bucket_mb;
	const char *backend;
	int share_gpu, as_training, json, help; /* as_training: slices cut as a training cuts them */
};

struct bench_result {
	enum bench_op op;
	int64_t bytes;
	double seconds;                  /* of one call, on the slowest rank */
	double algorithm_rate, bus_rate; /* bytes a second */
	int64_t wrong;                   /* elements on all ranks that are not what they should be */
};

/* What is measured: opened once, with memory for the largest size. */
struct bench {
	const struct bench_settings *settings;
	struct aur_comm *world, *comm;
	struct aur_backend *backend;
	struct aur_slices slices;
	float *send, *received; /* backend memory: [count], and the larger of [count] and aur_slices_parts */
	float *host;            /* [count] */
};

extern const char *const bench_help;
const char *bench_op_name(enum bench_op op);

aur_status bench_settings_parse(int argc, char **argv, struct bench_settings *settings);

/* Opens backend and communicator, takes memory. Collective. bench_close afterwards, whatever happened. */
aur_status bench_open(struct bench *bench);
void bench_close(struct bench *bench);

/* Collective. */
aur_status bench_measure(struct bench *bench, enum bench_op op, int64_t bytes, struct bench_result *result);

void bench_print_head(const struct bench *bench);
void bench_print_result(const struct bench_result *result);
aur_status bench_print_json(const struct bench *bench, const struct bench_result *results, int n_results);

#endif
