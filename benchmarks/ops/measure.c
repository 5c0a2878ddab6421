#include "measure.h"

#include "core/clock.h"
#include "operands.h"
#include "products.h"

#include <math.h>
#include <stdlib.h>

/* A sample of operands in the cache is long enough for the clock and for the start of threads not to matter. */
static const double sample_s = 1e-3;

/* Calls in a row on a gradient overwritten in place: after many it would be subnormal numbers. */
enum { IN_PLACE_CALLS = 8 };

struct measurement {
	const struct bench_settings *settings;
	const struct bench_machine *machine;
	const struct bench_copy *copy;
	struct aur_backend *backend;
	struct bench_operand_sets sets;
	struct bench_products products;
	int rounds;        /* of a sample: each calls every job once */
	int product_calls; /* of the products in a sample */
	int cold;
	int samples;
	double seconds[BENCH_SAMPLES], copies[BENCH_SAMPLES], ratios[BENCH_SAMPLES], stream_ratios[BENCH_SAMPLES];
	double product_seconds[BENCH_SAMPLES], product_ratios[BENCH_SAMPLES];
};

static int compare(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

double bench_median(double *numbers, int count)
{
	qsort(numbers, (size_t)count, sizeof *numbers, compare);
	return count % 2 ? numbers[count / 2] : 0.5 * (numbers[count / 2 - 1] + numbers[count / 2]);
}

static int64_t larger(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static aur_status reserve(struct aur_backend *backend, const struct bench_shape *shape, enum aur_dtype activations)
{
	const struct aur_backend_limits limits = {
		.batch = larger(shape->batch, 1),
		.positions = larger(shape->positions, 1),
		.width = larger(shape->width, 1),
		.heads = larger(shape->heads, 1),
		.mlp_width = larger(larger(shape->width, shape->outputs), 1),
		.vocabulary = larger(shape->vocabulary, 1),
		.parameters = larger(shape->count, 1),
		.activations = activations,
		.training = 1,
	};
	return backend->ops->reserve(backend, &limits, NULL);
}

/* Runs every job `rounds` times in turn and gives the seconds that took. */
static aur_status run_rounds(struct measurement *m, int rounds, double *seconds)
{
	const double start = aur_clock_s();
	for (int i = 0; i < rounds; i++)
		for (int j = 0; j < m->sets.n_sets; j++)
			AUR_TRY(m->sets.jobs[j].run(&m->sets.jobs[j]));
	AUR_TRY(m->backend->ops->synchronise(m->backend));
	*seconds = aur_clock_s() - start;
	return AUR_OK;
}

static int calls_for(double one_s)
{
	return one_s < sample_s ? (int)ceil(sample_s / fmax(one_s, 1e-7)) : 1;
}

/* Cold operands are met once a sample: a second round would find in the cache what the first left there. */
static int rounds_of(const struct measurement *m, double round_s)
{
	const int rounds = m->cold ? 1 : calls_for(round_s);
	return m->sets.jobs[0].restored.data && rounds > IN_PLACE_CALLS ? IN_PLACE_CALLS : rounds;
}

/* Warms up: the first round is not counted, the second tells how many make a sample. */
static aur_status warm_up(struct measurement *m)
{
	double seconds;
	AUR_TRY(bench_operands_prepare(&m->sets));
	AUR_TRY(run_rounds(m, 1, &seconds));
	AUR_TRY(run_rounds(m, 1, &seconds));
	m->rounds = rounds_of(m, seconds);
	if (m->products.n_products > 0) {
		AUR_TRY(bench_products_time(&m->products, 1, &seconds));
		m->product_calls = calls_for(seconds);
	}
	return AUR_OK;
}

/* One sample: the copies, the case, its products, one right after the other. The copies drive the operands out of the
 * cache; warm ones are brought back by a round that is not timed. */
static aur_status take_sample(struct measurement *m)
{
	const int i = m->samples;
	double seconds;
	bench_operands_restore(&m->sets);
	const double stream = bench_copy_stream_rate(m->copy);
	m->copies[i] = bench_copy_rate(m->copy);
	if (!m->cold)
		AUR_TRY(run_rounds(m, 1, &seconds));
	AUR_TRY(run_rounds(m, m->rounds, &seconds));
	m->seconds[i] = seconds / (m->rounds * m->sets.n_sets);
	m->ratios[i] = m->sets.work.bytes / m->seconds[i] / m->copies[i];
	m->stream_ratios[i] = stream > 0 ? m->sets.work.bytes / m->seconds[i] / stream : 0;
	if (m->products.n_products > 0) {
		if (!m->cold)
			AUR_TRY(bench_products_time(&m->products, 1, &seconds));
		AUR_TRY(bench_products_time(&m->products, m->product_calls, &seconds));
		m->product_seconds[i] = seconds / m->product_calls;
		m->product_ratios[i] = m->seconds[i] / m->product_seconds[i];
	}
	m->samples++;
	return AUR_OK;
}

static aur_status take_samples(struct measurement *m)
{
	const double start = aur_clock_s();
	const int least = m->settings->repeats < BENCH_SAMPLES ? m->settings->repeats : BENCH_SAMPLES;
	while (m->samples < least || (m->samples < BENCH_SAMPLES && aur_clock_s() - start < m->settings->seconds))
		AUR_TRY(take_sample(m));
	return AUR_OK;
}

static enum bench_place place_of(const struct bench_machine *machine, int threads, size_t bytes)
{
	if (bytes <= machine->level2 * (size_t)threads)
		return BENCH_IN_L2;
	return bytes <= machine->last_level ? BENCH_IN_LAST_LEVEL : BENCH_IN_MEMORY;
}

static void summarise(struct measurement *m, struct bench_result *result)
{
	result->work = m->sets.work;
	result->supported = 1;
	result->samples = m->samples;
	result->sets = m->sets.n_sets;
	result->operand_bytes = m->sets.bytes * (size_t)m->sets.n_sets;
	result->place = place_of(m->machine, m->settings->threads, result->operand_bytes);
	result->ms = 1e3 * bench_median(m->seconds, m->samples);
	result->best_ms = 1e3 * m->seconds[0];
	result->copy_bytes_per_s = bench_median(m->copies, m->samples);
	result->of_copy = bench_median(m->ratios, m->samples);
	result->of_stream = bench_median(m->stream_ratios, m->samples);
	if (m->products.n_products > 0) {
		result->products_ms = 1e3 * bench_median(m->product_seconds, m->samples);
		result->of_products = bench_median(m->product_ratios, m->samples);
	}
}

static int asks_for_cold(const struct bench_settings *settings, const struct bench_case *one)
{
	if (settings->operands == BENCH_OPERANDS_AUTO)
		return one->set == BENCH_GPT2_124M;
	return settings->operands == BENCH_OPERANDS_COLD;
}

static aur_status measure_on(struct measurement *m, const struct bench_case *one, struct bench_result *result)
{
	const size_t at_least = m->cold ? 2 * m->machine->last_level : 0;
	AUR_TRY(reserve(m->backend, &one->shape, result->precision));
	AUR_TRY(bench_operands_create(m->backend, one, result->precision, at_least, &m->sets));
	AUR_TRY(bench_products_create(&m->sets.work, result->precision, m->settings->threads, &m->products));
	AUR_TRY(warm_up(m));
	AUR_TRY(take_samples(m));
	summarise(m, result);
	return AUR_OK;
}

aur_status bench_measure(const struct bench_case *one, const struct bench_settings *settings,
	const struct bench_machine *machine, const struct bench_copy *copy, struct bench_result *result)
{
	*result = (struct bench_result){
		.one = one, .precision = one->any_precision ? settings->precision : AUR_F32, .supported = 0};
	struct measurement *m = calloc(1, sizeof *m);
	if (!m)
		return aur_fail(AUR_MEMORY, "%s: no memory for its samples", one->op);
	m->settings = settings;
	m->machine = machine;
	m->copy = copy;
	m->cold = asks_for_cold(settings, one);
	aur_status status = aur_backend_open("cpu", &m->backend);
	if (status == AUR_OK)
		status = measure_on(m, one, result);
	bench_products_destroy(&m->products);
	bench_operands_destroy(&m->sets);
	aur_backend_close(&m->backend);
	free(m);
	if (status == AUR_SHAPE && result->precision == AUR_BF16) {
		aur_error_clear();
		return AUR_OK;
	}
	return status == AUR_OK ? AUR_OK : aur_add_context(status, "%s %s", one->op, one->label);
}
