/* The figures that the original project reports of its text, from the text itself. */
#include "text/encoder.h"
#include "text/report.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { SKIP_CODE = 77, LIMIT = 1 << 20 };

static char text[LIMIT];
static size_t text_bytes;

static int read_text(void)
{
	char path[4096];
	const char *folder = getenv("AURELIUS_DATA");
	snprintf(path, sizeof path, "%s/meditations.txt", folder ? folder : "../shared/data");
	FILE *stream = fopen(path, "rb");
	if (!stream) {
		printf("SKIP: %s is not there (AURELIUS_DATA names the folder)\n", path);
		return 0;
	}
	text_bytes = fread(text, 1, sizeof text, stream);
	fclose(stream);
	return 1;
}

static struct aur_text_report report_of(const char *kind)
{
	struct aur_tokenizer *tokenizer = NULL;
	struct aur_encoder *encoder = NULL;
	static uint16_t tokens[LIMIT];
	static int64_t counts[LIMIT];
	int64_t count;
	struct aur_text_report report;
	const struct aur_tokenizer_options options = {.kind = kind, .clean = "original"};
	const struct aur_text one = {text, text_bytes};
	assert_int_equal(aur_tokenizer_train(&options, text, text_bytes, &tokenizer), AUR_OK);
	assert_int_equal(aur_encoder_create(tokenizer, &one, 1, &encoder), AUR_OK);
	assert_int_equal(aur_encoder_next(encoder, 2, LIMIT, tokens, &count), AUR_OK);
	aur_encoder_tally(encoder, counts);
	assert_int_equal(aur_text_report_make(tokenizer, &one, 1, counts, &report), AUR_OK);
	assert_int_equal(report.tokens, count);
	aur_encoder_destroy(&encoder);
	aur_tokenizer_destroy(&tokenizer);
	return report;
}

static void characters_of_the_original_project(void **state)
{
	(void)state;
	const struct aur_text_report report = report_of("char");
	assert_int_equal(report.vocab_size, 30);
	assert_int_equal(report.tokens, 373972);
}

static void words_of_the_original_project(void **state)
{
	(void)state;
	const struct aur_text_report report = report_of("word");
	assert_int_equal(report.vocab_size, 9959);
	assert_int_equal(report.tokens, 59823);
	assert_int_equal(report.words.short_words, 448);
	assert_int_equal(report.words.digit_words, 250);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(characters_of_the_original_project),
		cmocka_unit_test(words_of_the_original_project),
	};
	if (!read_text())
		return SKIP_CODE;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
