/* A line of JSON Lines. */
#include "fuzz.h"
#include "text/jsonl.h"

#include <string.h>

static aur_status parse(const struct fuzz_input *input)
{
	void *document;
	struct aur_text text;
	char why[128] = "";
	const aur_status status =
		aur_jsonl_text((struct aur_text){input->bytes, input->size}, "text", &document, &text, why);
	if (status == AUR_INPUT)
		return memchr(why, '\0', sizeof why) ? aur_fail(AUR_INPUT, "%s", why) : fuzz_fail("the reason does not end");
	if (status != AUR_OK)
		return status;
	const int64_t wrong = aur_utf8_check(text.bytes, text.size);
	aur_jsonl_release(document);
	return wrong < 0 ? AUR_OK : fuzz_fail("a text that is not UTF-8 was taken for good");
}

int main(void)
{
	static const char *const words[] = {
		"\"text\"", "\\u0000", "\\ud83d", "\\ude00", "null", "{", "[", "\xc3\xa9", NULL};
	fuzz_seed_text("{\"text\": \"a \\\"b\\\" \\u00e9 \\ud83d\\ude00\\n\"}");
	fuzz_seed_text("{\"id\": [1, 2.5e3, {\"x\": null}], \"text\": \"caf\xc3\xa9\", \"ok\": true}");
	return fuzz_run(&(struct fuzz_target){.name = "jsonl", .parse = parse, .words = words, .rounds = 200000});
}
