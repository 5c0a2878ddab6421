#include "prepare_tokenizer.h"

#include "tokenizer_file.h"

#include <stdio.h>
#include <string.h>

/* A name of a file has a point or a slash in it; that of a kind has none. */
static int is_file(const char *kind)
{
	return strpbrk(kind, "./") != NULL;
}

static int is_gpt2(const struct aur_tokenizer_choice *choice)
{
	return strcmp(choice->options.kind, "gpt2") == 0;
}

static int is_bpe(const struct aur_tokenizer_choice *choice)
{
	return strcmp(choice->options.kind, "bpe") == 0;
}

void aur_tokenizer_choice_complete(struct aur_tokenizer_choice *choice)
{
	if (is_bpe(choice) && !choice->options.specials)
		choice->options.specials = "<|endoftext|>";
}

int aur_tokenizer_choice_trains(const struct aur_tokenizer_choice *choice)
{
	return !is_gpt2(choice) && !is_file(choice->options.kind);
}

/* Cleaning and the like are part of a tokenizer: one that is taken over has its own. */
static aur_status check_ready_made(const struct aur_tokenizer_options *options)
{
	if (strcmp(options->clean, "none") != 0)
		return aur_fail(AUR_USAGE, "--clean %s is for tokenizers that are made from the texts, not for %s",
			options->clean, options->kind);
	if (options->lowercase || options->min_count != 0)
		return aur_fail(AUR_USAGE, "--%s is for tokenizers that are made from the texts, not for %s",
			options->lowercase ? "lowercase" : "min-count", options->kind);
	if (options->vocab_size != 0 || options->specials || options->pattern)
		return aur_fail(AUR_USAGE, "--%s is for --tokenizer bpe",
			options->vocab_size != 0 ? "vocab-size"
			: options->specials      ? "special"
									 : "pattern");
	return AUR_OK;
}

aur_status aur_tokenizer_choice_check(const struct aur_tokenizer_choice *choice)
{
	const char *kind = choice->options.kind;
	if (is_gpt2(choice) && !choice->vocab)
		return aur_fail(AUR_USAGE,
			"--tokenizer gpt2 needs --vocab DIR, a folder with GPT-2's vocab.json and merges.txt "
			"(https://huggingface.co/openai-community/gpt2/tree/main) or encoder.json and vocab.bpe");
	if (choice->vocab && !is_gpt2(choice))
		return aur_fail(AUR_USAGE, "--vocab is for --tokenizer gpt2");
	if (!aur_tokenizer_choice_trains(choice))
		return check_ready_made(&choice->options);
	if (strcmp(kind, "char") != 0 && strcmp(kind, "word") != 0 && !is_bpe(choice))
		return aur_fail(AUR_USAGE,
			"tokenizer '%s' is not known: char, word, bpe, gpt2 or a file (tokenizer.json, or an .h5 "
			"whose tokenizer is taken over)",
			kind);
	if (is_bpe(choice) && choice->options.vocab_size == 0)
		return aur_fail(AUR_USAGE, "--tokenizer bpe needs --vocab-size N: how many tokens, such as 8000 for a book");
	return aur_tokenizer_options_check(&choice->options);
}

aur_status aur_tokenizer_choose(const struct aur_tokenizer_choice *choice, struct aur_tokenizer **tokenizer)
{
	if (is_gpt2(choice))
		return aur_tokenizer_of_folder(choice->vocab, tokenizer);
	return aur_tokenizer_of_file(choice->options.kind, tokenizer);
}
