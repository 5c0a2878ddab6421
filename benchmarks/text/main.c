/* How fast a tokenizer encodes a text. Reads numbers of threads from standard input, one a line, and for each encodes
 * the text once, from nothing kept of earlier passes, and prints: seconds, tokens. encode.py calls it between others.
 *
 * Threads do what those of `aurelius prepare` do: each takes the next unit of the text, cut where its tokens do not
 * show it, and encodes it with what is its own.
 */
#include "core/clock.h"
#include "core/crew.h"
#include "io/file.h"
#include "text/pieces.h"
#include "tokenizer_file.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROOM = 64 << 10, UNIT_BYTES = 256 << 10, MOST_THREADS = 256 };

struct pass {
	const struct aur_tokenizer *tokenizer;
	const struct aur_text *units;
	int64_t n_units;
	_Atomic int64_t taken, tokens;
};

static aur_status encode_unit(
	struct aur_pieces *pieces, struct aur_text unit, int continued, uint16_t *room, int64_t *tokens)
{
	int64_t count = ROOM;
	aur_pieces_begin(pieces, unit, continued);
	while (count == ROOM) {
		AUR_TRY(aur_pieces_next(pieces, sizeof *room, ROOM, room, &count));
		*tokens += count;
	}
	return AUR_OK;
}

static aur_status encode_units(void *context, int member)
{
	struct pass *pass = context;
	struct aur_pieces *pieces = NULL;
	uint16_t *room = malloc(ROOM * sizeof *room);
	int64_t tokens = 0, i;
	(void)member;
	aur_status status = room ? aur_pieces_create(pass->tokenizer, &pieces) : aur_fail(AUR_MEMORY, "no memory");
	while (status == AUR_OK && (i = atomic_fetch_add(&pass->taken, 1)) < pass->n_units)
		status = encode_unit(pieces, pass->units[i], i > 0, room, &tokens);
	aur_pieces_destroy(&pieces);
	free(room);
	pass->tokens += tokens;
	return status;
}

static aur_status cut(const struct aur_tokenizer *tokenizer, struct aur_text text, struct aur_text **units, int64_t *n)
{
	size_t begin = 0;
	*units = malloc((text.size / UNIT_BYTES + 1) * sizeof **units);
	if (!*units)
		return aur_fail(AUR_MEMORY, "no memory for the units of a text");
	for (*n = 0; begin < text.size; ++*n) {
		const size_t from = begin + UNIT_BYTES;
		const size_t place = from < text.size ? aur_text_place(aur_tokenizer_vocab(tokenizer), text, from) : 0;
		const size_t end = place > 0 ? place : text.size;
		(*units)[*n] = (struct aur_text){text.bytes + begin, end - begin};
		begin = end;
	}
	return AUR_OK;
}

/* The clock runs from the first unit to the end of the last: the tokenizer, which remembers pieces, is a new one. */
static aur_status measure_one(const char *vocabulary, struct aur_text text, int threads)
{
	struct aur_tokenizer *tokenizer = NULL;
	struct aur_crew *crew = NULL;
	struct aur_text *units = NULL;
	struct pass pass = {0};
	aur_status status;
	AUR_TRY_CLEANUP(aur_tokenizer_of_file(vocabulary, &tokenizer));
	AUR_TRY_CLEANUP(cut(tokenizer, text, &units, &pass.n_units));
	AUR_TRY_CLEANUP(aur_crew_create(threads, 1, &crew));
	pass.tokenizer = tokenizer;
	pass.units = units;
	const double begin = aur_clock_s();
	status = aur_crew_run(crew, encode_units, &pass);
	if (status == AUR_OK)
		printf("%.9f %" PRId64 "\n", aur_clock_s() - begin, (int64_t)pass.tokens);
	fflush(stdout);
cleanup:
	aur_crew_destroy(&crew);
	free(units);
	aur_tokenizer_destroy(&tokenizer);
	return status;
}

static aur_status measure(const char *vocabulary, struct aur_text text)
{
	char line[32];
	while (fgets(line, sizeof line, stdin)) {
		const int threads = atoi(line);
		if (threads < 1 || threads > MOST_THREADS)
			return aur_fail(AUR_USAGE, "threads: from 1 to %d", MOST_THREADS);
		AUR_TRY(measure_one(vocabulary, text, threads));
	}
	return AUR_OK;
}

int main(int argc, char **argv)
{
	char *bytes = NULL;
	size_t size = 0;
	if (argc != 3) {
		fprintf(stderr, "usage: aurelius-bench-text VOCABULARY TEXT < numbers of threads\n");
		return 2;
	}
	aur_status status = aur_file_read(argv[2], INT64_MAX, &bytes, &size);
	if (status == AUR_OK)
		status = measure(argv[1], (struct aur_text){bytes, size});
	if (status != AUR_OK)
		fprintf(stderr, "%s\n", aur_error_message());
	free(bytes);
	return aur_status_exit_code(status);
}
