/* The reader of training logs, log.jsonl. */
#include "fuzz.h"
#include "io/metrics.h"

static aur_status check_curve(const struct aur_metrics_curve *curve)
{
	for (int64_t i = 1; i < curve->n_steps; i++)
		if (curve->step[i] <= curve->step[i - 1])
			return fuzz_fail("step %lld does not ascend", (long long)i);
	for (int64_t i = 1; i < curve->n_evals; i++)
		if (curve->eval_step[i] <= curve->eval_step[i - 1])
			return fuzz_fail("evaluation %lld does not ascend", (long long)i);
	return AUR_OK;
}

static aur_status parse(const struct fuzz_input *input)
{
	struct aur_metrics_curve curve;
	AUR_TRY(aur_metrics_read(input->path, &curve));
	const aur_status status = check_curve(&curve);
	aur_metrics_curve_clear(&curve);
	return status;
}

static const char *const words[] = {"{\"event\":\"start\",\"step\":1}\n", "{\"event\":\"end\",\"reason\":\"done\"}\n",
	"\"step\":", "\"event\":", "\"loss\":", "null", "true", "\n", "[", "{}", "\\u0000", "\\ud800", "\"", NULL};

int main(void)
{
	fuzz_seed_text(
		"{\"event\":\"start\",\"step\":0,\"ranks\":1}\n"
		"{\"event\":\"step\",\"step\":1,\"loss\":4.33,\"grad_norm\":4.5,\"tokens\":1024,\"ms\":{\"step\":66.0}}\n"
		"{\"event\":\"step\",\"step\":2,\"loss\":4.1,\"grad_norm\":null,\"tokens\":2048,\"ms\":{\"step\":51.8}}\n"
		"{\"event\":\"eval\",\"step\":2,\"train_loss\":4.0,\"val_loss\":4.2}\n"
		"{\"event\":\"checkpoint\",\"step\":2,\"path\":\"checkpoints/step-00000002.h5\",\"seconds\":0.05}\n"
		"{\"event\":\"end\",\"step\":2,\"reason\":\"done\"}\n");
	fuzz_seed_text("{\"event\":\"start\",\"step\":0}\n{\"event\":\"step\",\"step\":5,\"loss\":3.5}\n{\"event\":\"st\n"
				   "{\"event\":\"start\",\"step\":2}\n{\"event\":\"step\",\"step\":3,\"loss\":3e-1}\n{\"event");
	return fuzz_run(
		&(struct fuzz_target){.name = "metrics", .parse = parse, .file = "log.jsonl", .words = words, .rounds = 40000});
}
