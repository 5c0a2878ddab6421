/* tokenizer.json, and what is made of it: a tokenizer that has to give every text back, and the file again. */
#include "fuzz.h"
#include "text/bpe.h"
#include "text/tokenizer.h"

#include <stdlib.h>
#include <string.h>

static const char sample[] = "abc ab\xff <x> a1  x\n\n caca \xc4\xa0";

/* Bytes without a token are dropped: then less comes back. */
static aur_status check_round_trip(const struct aur_tokenizer *tokenizer)
{
	struct aur_ids ids = {0};
	char *text = NULL;
	aur_status status = aur_tokenizer_encode(tokenizer, sample, sizeof sample - 1, &ids);
	if (status == AUR_OK)
		status = aur_tokenizer_decode(tokenizer, ids.ids, ids.count, &text);
	if (status == AUR_OK && ids.unknown == 0 && memcmp(text, sample, sizeof sample) != 0)
		status = fuzz_fail("a text does not come back");
	free(text);
	aur_ids_clear(&ids);
	return status;
}

static aur_status use(const struct aur_vocab *vocab)
{
	struct aur_tokenizer *tokenizer = NULL;
	char *json = NULL;
	AUR_TRY(aur_tokenizer_create(vocab, &tokenizer));
	aur_status status = check_round_trip(tokenizer);
	if (status == AUR_OK)
		status = aur_bpe_write_json(vocab, &json);
	free(json);
	aur_tokenizer_destroy(&tokenizer);
	return status;
}

static aur_status parse(const struct fuzz_input *input)
{
	struct aur_vocab vocab = {0};
	aur_status status = aur_bpe_read_json(input->bytes, input->size, &vocab);
	if (status == AUR_OK)
		status = use(&vocab);
	aur_vocab_clear(&vocab);
	return status;
}

int main(void)
{
	static const char *const words[] = {"\"ignore_merges\":true", "\"special\":true", "\"\xc4\xa0\"", "null", "\\u0000",
		"{", "[", "\"Removed\"", "\\\\s+(?!\\\\S)", "(a+)+b", "18446744073709551615", NULL};
	fuzz_seed_text(
		"{\"added_tokens\":[{\"id\":8,\"content\":\"<x>\",\"special\":false},{\"id\":9,\"content\":\"<|endoftext|>\","
		"\"special\":true}],\"normalizer\":null,\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false},"
		"\"decoder\":{\"type\":\"ByteLevel\"},\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"c\":2,"
		"\"\xc4\xa0\":3,"
		"\"ab\":4,\"abc\":5,\"\xc4\xa0"
		"a\":6,\"ca\":7},\"merges\":[\"a b\",\"ab c\",\"\xc4\xa0 a\",\"c a\"]}}");
	fuzz_seed_text(
		"{\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\",\"pattern\":{\"Regex\":"
		"\"\\\\s+|[^a-c]{1,3}(?=x)\"},\"behavior\":\"Isolated\",\"invert\":false},{\"type\":\"ByteLevel\","
		"\"add_prefix_space\":false,\"use_regex\":false}]},\"model\":{\"ignore_merges\":true,\"vocab\":{\"a\":0,\"b\":"
		"1,"
		"\"ab\":2},\"merges\":[[\"a\",\"b\"]]}}");
	return fuzz_run(&(struct fuzz_target){.name = "subwords", .parse = parse, .words = words, .rounds = 40000});
}
