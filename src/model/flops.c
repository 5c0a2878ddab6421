#include "gpt.h"
#include "internal.h"

static double elements_of(const struct aur_model *model, enum aur_gpt_outer outer)
{
	const int64_t item = model->gpt->outer[outer];
	return item < 0 ? 0 : (double)model->parameters.items[item].count;
}

/* A weight costs two FLOPs forward and four backward for every token; looking a row of an embedding up costs none. The
 * products of queries and keys, and of weights and values, cost 12 C T a layer, of which the mask leaves half. */
double aur_gpt_flops_per_token(const struct aur_model *model, int64_t positions)
{
	double weights = (double)model->parameters.elements - elements_of(model, AUR_WPE);
	if (!model->config.tie_embeddings)
		weights -= elements_of(model, AUR_WTE);
	const double width = (double)model->config.n_embd * (double)model->config.n_layer;
	return 6.0 * weights + 6.0 * width * (double)positions;
}
