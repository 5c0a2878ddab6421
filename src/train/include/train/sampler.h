#ifndef AUR_TRAIN_SAMPLER_H
#define AUR_TRAIN_SAMPLER_H

#include "model/model.h"
#include "text/tokenizer.h"

#include <stdint.h>

/* Text from a model. */

struct aur_sampling {
	double temperature; /* 0: always the most likely token */
	int64_t top_k;      /* only the k most likely; 0: all */
	double top_p;       /* only the smallest set of that probability; 0 or 1: all */
	uint64_t seed;
	int64_t text; /* number of the text: texts of one seed differ */
};

/* Draws one token from logits [vocab_size]: from softmax(logits / temperature) over what top-k leaves (ties with the
 * k-th stay), then over the shortest beginning of the rest, in falling order, whose renormalised probability reaches
 * top_p. The number drawn is a function of (seed, text, position) alone. `scratch` holds vocab_size candidates. Returns
 * -1 when the logits are not finite; -infinity alone is fine: such a token is never drawn.
 * Top-k: Fan et al. 2018, arXiv:1805.04833; top-p: Holtzman et al. 2020, arXiv:1904.09751. */
struct aur_sample_scratch;
aur_status aur_sample_scratch_create(int64_t vocab_size, struct aur_sample_scratch **scratch);
void aur_sample_scratch_destroy(struct aur_sample_scratch **scratch);
int32_t aur_sample_token(const float *logits, int64_t vocab_size, const struct aur_sampling *sampling, int64_t position,
	struct aur_sample_scratch *scratch);

/* One text, token by token. */
struct aur_generate {
	struct aur_decoder *decoder;
	const struct aur_model *model;
	const int32_t *prompt;         /* at least one token */
	int64_t prompt_tokens, tokens; /* tokens: how many to add */
	struct aur_sampling sampling;
	/* Gets each new token; a status other than AUR_OK ends the text and is returned. */
	aur_status (*emit)(void *context, int32_t token);
	void *context;
};

/* Appends `tokens` tokens to the prompt, of which the last block_size are read. Position 0 is the prompt's first token.
 * Past the context the window slides: the newest block_size / 2 tokens are kept and read again, so that the cost of a
 * token stays bounded. AUR_INPUT when the model's output is not finite. */
aur_status aur_generate_text(const struct aur_generate *generate);

#endif
