/* How fast a tokenizer encodes a text. Reads numbers of threads from standard input, one a line, and for each encodes
 * the text once, from nothing kept of earlier passes, and prints: seconds, tokens. encode.py calls it between others.
 */
#include "core/clock.h"
#include "io/file.h"
#include "text/encoder.h"
#include "tokenizer_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROOM = 1 << 16 };

static aur_status encode(const struct aur_tokenizer *tokenizer, struct aur_text text, int threads, int64_t *tokens)
{
	static uint16_t room[ROOM];
	struct aur_encoder *encoder = NULL;
	int64_t count;
	AUR_TRY(aur_encoder_create(tokenizer, &text, 1, &encoder));
	aur_encoder_use_threads(encoder, threads);
	*tokens = 0;
	aur_status status;
	do {
		status = aur_encoder_next(encoder, sizeof *room, ROOM, room, &count);
		*tokens += status == AUR_OK ? count : 0;
	} while (status == AUR_OK && count == ROOM);
	aur_encoder_destroy(&encoder);
	return status;
}

static aur_status measure(const struct aur_tokenizer *tokenizer, struct aur_text text)
{
	char line[32];
	while (fgets(line, sizeof line, stdin)) {
		int64_t tokens;
		const double begin = aur_clock_s();
		AUR_TRY(encode(tokenizer, text, atoi(line), &tokens));
		printf("%.9f %" PRId64 "\n", aur_clock_s() - begin, tokens);
		fflush(stdout);
	}
	return AUR_OK;
}

int main(int argc, char **argv)
{
	struct aur_tokenizer *tokenizer = NULL;
	char *bytes = NULL;
	size_t size = 0;
	if (argc != 3) {
		fprintf(stderr, "usage: aurelius-bench-text VOCABULARY TEXT < numbers of threads\n");
		return 2;
	}
	aur_status status = aur_tokenizer_of_file(argv[1], &tokenizer);
	if (status == AUR_OK)
		status = aur_file_read(argv[2], INT64_MAX, &bytes, &size);
	if (status == AUR_OK)
		status = measure(tokenizer, (struct aur_text){bytes, size});
	if (status != AUR_OK)
		fprintf(stderr, "%s\n", aur_error_message());
	free(bytes);
	aur_tokenizer_destroy(&tokenizer);
	return aur_status_exit_code(status);
}
