/* GPT-2's two files: the input is the one of the tokens, and behind a zero byte that of the merges. */
#include "fuzz.h"
#include "text/bpe.h"
#include "text/tokenizer.h"

#include <string.h>

static aur_status parse(const struct fuzz_input *input)
{
	struct aur_vocab vocab = {0};
	struct aur_tokenizer *tokenizer = NULL;
	const char *zero = memchr(input->bytes, '\0', input->size);
	const size_t tokens = zero ? (size_t)(zero - input->bytes) : input->size, behind = tokens + (zero != NULL);
	aur_status status = aur_bpe_read_files(input->bytes, tokens, input->bytes + behind, input->size - behind, &vocab);
	if (status == AUR_OK)
		status = aur_tokenizer_create(&vocab, &tokenizer);
	aur_tokenizer_destroy(&tokenizer);
	aur_vocab_clear(&vocab);
	return status;
}

int main(void)
{
	static const char *const words[] = {
		"#version", "\r\n", " ", "a b\n", "\"<|endoftext|>\":3", "-1", "99999999999", NULL};
	static const char seed[] = "{\"a\":0,\"b\":1,\"ab\":2,\"<|endoftext|>\":3,\"\xc4\xa0\":4,\"\xc4\xa0"
							   "a\":5}\0"
							   "#version: 0.2\na b\n\xc4\xa0 a\n";
	fuzz_seed(seed, sizeof seed - 1);
	return fuzz_run(&(struct fuzz_target){.name = "merges", .parse = parse, .words = words, .rounds = 40000});
}
