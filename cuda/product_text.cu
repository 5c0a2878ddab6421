#include "product.cuh"

extern "C" {
#include "core/log.h"
#include "cuda/choices.h"
}

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A line of 6 counts, 10 small numbers, the form and 8 words. */
enum { LINE_BYTES = 6 * 21 + 11 * 12 + 8 * 17 + 2, HEADER_BYTES = 512, NUMBERS = 17, WORDS = 8 };

static const char who[] = "algorithms of products";

static aur_status write_header(const struct aur_cuda *cuda, char header[HEADER_BYTES])
{
	struct cudaDeviceProp properties;
	AUR_TRY(aur_cuda_check(cudaGetDeviceProperties(&properties, cuda->device), who));
	snprintf(header, HEADER_BYTES, "aurelius-products 1 cublaslt %zu gpu %s\n", cublasLtGetVersion(), properties.name);
	return AUR_OK;
}

/* The members of a key in the order of the line, to be written and read by the same list. */
static void list_counts(struct aur_product_key *key, int64_t *list[6])
{
	int64_t *const all[] = {&key->m, &key->n, &key->k, &key->lda, &key->ldb, &key->ldc};
	memcpy(list, all, sizeof all);
}

static void list_flags(struct aur_product_key *key, int32_t *list[10])
{
	int32_t *const all[] = {&key->transpose_a, &key->transpose_b, &key->type, &key->c_type, &key->accumulate,
		&key->bias, &key->tf32, &key->align_a, &key->align_b, &key->align_c};
	memcpy(list, all, sizeof all);
}

static char *write_line(char *to, const struct aur_product_plan *plan)
{
	struct aur_product_key key = plan->key;
	int64_t *counts[6];
	int32_t *flags[10];
	uint64_t words[WORDS];
	list_counts(&key, counts);
	list_flags(&key, flags);
	memcpy(words, plan->algorithm.data, sizeof words);
	for (int i = 0; i < 6; i++)
		to += sprintf(to, "%" PRId64 " ", *counts[i]);
	for (int i = 0; i < 10; i++)
		to += sprintf(to, "%" PRId32 " ", *flags[i]);
	to += sprintf(to, "%d", static_cast<int>(plan->form));
	for (int i = 0; i < WORDS; i++)
		to += sprintf(to, " %" PRIx64, words[i]);
	return to + sprintf(to, "\n");
}

aur_status aur_cuda_choices_write(struct aur_backend *backend, char **text)
{
	const struct aur_cuda *cuda = aur_cuda_of(backend);
	const struct aur_cuda_products *products = cuda->products;
	char *memory = static_cast<char *>(malloc(HEADER_BYTES + static_cast<size_t>(products->count) * LINE_BYTES + 1));
	if (!memory)
		return aur_fail(AUR_MEMORY, "%s: no memory for their text", who);
	const aur_status status = write_header(cuda, memory);
	if (status != AUR_OK) {
		free(memory);
		return status;
	}
	char *end = memory + strlen(memory);
	for (int i = 0; i < AUR_PRODUCT_PLANS; i++)
		if (products->plans[i].used)
			end = write_line(end, &products->plans[i]);
	*text = memory;
	return AUR_OK;
}

/* 1 when the line holds all numbers of a plan and nothing else. */
static int parse_line(const char *line, const char *end, struct aur_product_plan *plan)
{
	int64_t *counts[6];
	int32_t *flags[10];
	memset(plan, 0, sizeof *plan);
	list_counts(&plan->key, counts);
	list_flags(&plan->key, flags);
	char *next = const_cast<char *>(line);
	for (int i = 0; i < NUMBERS + WORDS; i++) {
		const char *begin = next;
		if (i < NUMBERS) {
			const int64_t number = strtoll(begin, &next, 10);
			if (i < 6)
				*counts[i] = number;
			else if (i < 16)
				*flags[i - 6] = static_cast<int32_t>(number);
			else
				plan->form = static_cast<enum aur_product_form>(number);
		} else {
			plan->algorithm.data[i - NUMBERS] = strtoull(begin, &next, 16);
		}
		if (next == begin || next > end)
			return 0;
	}
	return next == end;
}

/* Of earlier versions, which had others between the two. */
static int is_former(enum aur_product_form form)
{
	return form > AUR_PRODUCT_LIBRARY && form < AUR_PRODUCT_OWN;
}

static int has_form(const struct aur_product_plan *plan)
{
	const int32_t bias = plan->key.bias;
	if (plan->form == AUR_PRODUCT_LIBRARY)
		return !bias || bias >= AUR_PRODUCT_BIAS_ALIGNMENT;
	return plan->form == AUR_PRODUCT_OWN || is_former(plan->form);
}

static int is_sane(const struct aur_product_plan *plan)
{
	const struct aur_product_key *key = &plan->key;
	const int types =
		(key->type == AUR_F32 || key->type == AUR_BF16) && (key->c_type == AUR_F32 || key->c_type == AUR_BF16);
	return types && key->m > 0 && key->n > 0 && key->k > 0 && has_form(plan);
}

/* There is no bias yet, but the library reads the alignment of its pointer: memory at hand lends one of the same. */
static aur_status lend_bias(struct aur_cuda *cuda, const struct aur_product_plan *plan)
{
	const int32_t bias = plan->key.bias;
	return aur_product_point_at_bias(
		who, plan, bias ? static_cast<const char *>(cuda->cublas_workspace) + bias % 256 : NULL);
}

/* *works is 0 when the library refuses the algorithm. */
static aur_status complete(struct aur_cuda *cuda, struct aur_product_plan *plan, int *works)
{
	*works = plan->form == AUR_PRODUCT_OWN;
	if (*works)
		return AUR_OK;
	AUR_TRY(aur_product_describe(who, plan));
	AUR_TRY(lend_bias(cuda, plan));
	return aur_product_check(cuda, who, plan, &plan->algorithm, works);
}

static aur_status take_plan(struct aur_cuda *cuda, struct aur_product_plan *plan)
{
	int works = 0;
	const aur_status status = complete(cuda, plan, &works);
	struct aur_product_plan *place = aur_product_place(cuda->products, &plan->key);
	if (status == AUR_OK && !works)
		aur_warn("%s: this GPU refuses what was chosen for %" PRId64 " x %" PRId64 " x %" PRId64
				 "; it is chosen anew, and results may differ in their last bits",
			who, plan->key.m, plan->key.n, plan->key.k);
	if (status != AUR_OK || !works || place == &cuda->products->spare) {
		aur_product_forget(plan);
		return status;
	}
	cuda->products->count += !place->used;
	aur_product_forget(place);
	*place = *plan;
	place->used = 1;
	return AUR_OK;
}

/* Line `number` of the text. A form that is no more is not computed in, so what has one was chosen in vain, as on
 * another version of the library. */
static aur_status read_line(const char *line, const char *end, int number, struct aur_product_plan *plan)
{
	if (!parse_line(line, end, plan) || !is_sane(plan))
		return aur_fail(AUR_INPUT, "%s: line %d is damaged", who, number);
	if (is_former(plan->form))
		return aur_fail(
			AUR_INPUT, "%s: they were chosen for forms that this version has no longer (line %d)", who, number);
	return AUR_OK;
}

/* Takes over the plans of the lines from `line` on, or only reads them. */
static aur_status read_lines(struct aur_cuda *cuda, const char *line, int take)
{
	for (int number = 2; *line; number++) {
		const char *end = line + strcspn(line, "\n");
		struct aur_product_plan plan;
		AUR_TRY(read_line(line, end, number, &plan));
		if (take)
			AUR_TRY(take_plan(cuda, &plan));
		line = *end ? end + 1 : end;
	}
	return AUR_OK;
}

aur_status aur_cuda_choices_read(struct aur_backend *backend, const char *text)
{
	struct aur_cuda *cuda = aur_cuda_of(backend);
	char header[HEADER_BYTES];
	AUR_TRY(write_header(cuda, header));
	if (strncmp(text, header, strlen(header)) != 0)
		return aur_fail(AUR_INPUT, "%s: they were chosen for `%.*s`, this is `%.*s`", who,
			static_cast<int>(strcspn(text, "\n")), text, static_cast<int>(strlen(header) - 1), header);
	AUR_TRY(read_lines(cuda, text + strlen(header), 0));
	return read_lines(cuda, text + strlen(header), 1);
}

void aur_cuda_choices_measure(struct aur_backend *backend, int measure)
{
	aur_cuda_of(backend)->products->measure = measure != 0;
}

static constexpr struct aur_backend_choices table_of_choices()
{
	struct aur_backend_choices table = {};
	table.write = aur_cuda_choices_write;
	table.read = aur_cuda_choices_read;
	table.measure = aur_cuda_choices_measure;
	return table;
}

constexpr struct aur_backend_choices aur_cuda_choices = table_of_choices();
