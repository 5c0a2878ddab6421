#ifndef AUR_TESTS_FAULT_SAMPLE_H
#define AUR_TESTS_FAULT_SAMPLE_H

#include "core/vocab.h"
#include "io/checkpoint.h"
#include "io/tokens.h"

#include <stdlib.h>
#include <string.h>

/* A small checkpoint and a small dataset whose whole content follows from a step number, so that what is read back can
 * be compared with what should be there. */

enum { SAMPLE_TENSORS = 3, SAMPLE_TRAIN = 3000, SAMPLE_VAL = 700, SAMPLE_VOCAB = 26 };

static const struct aur_tensor_record sample_tensors[SAMPLE_TENSORS] = {
	{"wte.weight", 2, {26, 16}}, {"h.0.attn.c_attn.weight", 2, {48, 16}}, {"ln_f.weight", 1, {16}}};

static inline int64_t sample_elements(int tensor)
{
	const struct aur_tensor_record *record = &sample_tensors[tensor];
	return record->shape[0] * (record->dims > 1 ? record->shape[1] : 1);
}

static inline float sample_value(int64_t step, int part, int tensor, int64_t i)
{
	return (float)(step * 1000 + part * 100 + tensor * 10) + (float)i / 4096.0f;
}

static inline struct aur_vocab sample_vocab(void)
{
	static char bytes[SAMPLE_VOCAB + 1] = "abcdefghijklmnopqrstuvwxyz";
	static int64_t offsets[SAMPLE_VOCAB + 1];
	for (int i = 0; i <= SAMPLE_VOCAB; i++)
		offsets[i] = i;
	return (struct aur_vocab){
		.kind = "char", .clean = "none", .unknown = -1, .size = SAMPLE_VOCAB, .bytes = bytes, .offsets = offsets};
}

static inline aur_status sample_save_tensors(struct aur_checkpoint_writer *writer, int64_t step)
{
	float values[1024];
	for (int part = 0; part < AUR_CHECKPOINT_PARTS; part++)
		for (int tensor = 0; tensor < SAMPLE_TENSORS; tensor++) {
			for (int64_t i = 0; i < sample_elements(tensor); i++)
				values[i] = sample_value(step, part, tensor, i);
			AUR_TRY(aur_checkpoint_write(writer, (enum aur_checkpoint_part)part, &sample_tensors[tensor], values));
		}
	return AUR_OK;
}

static inline aur_status sample_save(const char *path, int64_t step)
{
	static char config[] = "model:\n  kind: gpt\n";
	const struct aur_vocab vocab = sample_vocab();
	const struct aur_checkpoint_meta meta = {.kind = "checkpoint",
		.step = step,
		.samples = 10 * step,
		.program = "test",
		.created = "2026-01-02T03:04:05Z",
		.config = config};
	int64_t steps[] = {1, 2};
	double losses[] = {3.0, 2.0};
	const struct aur_history history = {.n_steps = 2, .step = steps, .loss = losses};
	struct aur_checkpoint_writer *writer;
	AUR_TRY(aur_checkpoint_begin(path, &meta, &vocab, &history, &writer));
	const aur_status status = sample_save_tensors(writer, step);
	if (status == AUR_OK)
		return aur_checkpoint_finish(&writer);
	aur_checkpoint_abandon(&writer);
	return status;
}

static inline int32_t sample_token(int64_t i)
{
	return (int32_t)(i * i % SAMPLE_VOCAB);
}

static inline aur_status sample_prepare(const char *path, int compress)
{
	static int32_t ids[SAMPLE_TRAIN + SAMPLE_VAL];
	const struct aur_vocab vocab = sample_vocab();
	const int64_t documents[] = {0, 1000, 3200};
	for (int64_t i = 0; i < SAMPLE_TRAIN + SAMPLE_VAL; i++)
		ids[i] = sample_token(i);
	const struct aur_tokens_create create = {.path = path,
		.vocab = &vocab,
		.sources = "a.txt",
		.compress = compress,
		.ids = ids,
		.train_tokens = SAMPLE_TRAIN,
		.val_tokens = SAMPLE_VAL,
		.documents = documents,
		.n_documents = 3};
	return aur_tokens_write(&create);
}

static inline int sample_same_tensors(struct aur_checkpoint *checkpoint, int64_t step, aur_status *status)
{
	float values[1024];
	for (int part = 0; part < AUR_CHECKPOINT_PARTS; part++)
		for (int tensor = 0; tensor < SAMPLE_TENSORS; tensor++) {
			const int64_t elements = sample_elements(tensor);
			*status = aur_checkpoint_read(
				checkpoint, (enum aur_checkpoint_part)part, &sample_tensors[tensor], 0, elements, values);
			if (*status != AUR_OK)
				return 0;
			for (int64_t i = 0; i < elements; i++)
				if (values[i] != sample_value(step, part, tensor, i))
					return 0;
		}
	return 1;
}

static inline int sample_same_meta(const struct aur_checkpoint *checkpoint, int64_t step)
{
	const struct aur_checkpoint_meta *meta = aur_checkpoint_meta_of(checkpoint);
	const struct aur_history *history = aur_checkpoint_history(checkpoint);
	const struct aur_vocab vocab = sample_vocab();
	return meta->step == step && meta->samples == 10 * step && strcmp(meta->program, "test") == 0 &&
		   strcmp(meta->config, "model:\n  kind: gpt\n") == 0 && history->n_steps == 2 && history->loss[1] == 2.0 &&
		   aur_checkpoint_tensors(checkpoint) == SAMPLE_TENSORS &&
		   aur_vocab_hash(aur_checkpoint_vocab(checkpoint)) == aur_vocab_hash(&vocab);
}

/* 1: the checkpoint of `step`, all of it. 0: refused, with *status. -1: something else came back without complaint. */
static inline int sample_check(const char *path, int64_t step, aur_status *status)
{
	struct aur_checkpoint *checkpoint;
	*status = aur_checkpoint_verify(path);
	if (*status == AUR_OK)
		*status = aur_checkpoint_open(path, &checkpoint);
	if (*status != AUR_OK)
		return 0;
	const int same = sample_same_meta(checkpoint, step) && sample_same_tensors(checkpoint, step, status);
	aur_checkpoint_close(&checkpoint);
	return same ? 1 : *status == AUR_OK ? -1 : 0;
}

static inline int sample_same_tokens(struct aur_tokens *tokens, aur_status *status)
{
	static int32_t ids[SAMPLE_TRAIN + SAMPLE_VAL];
	*status = aur_tokens_read(tokens, AUR_TRAIN, 0, SAMPLE_TRAIN, ids);
	if (*status == AUR_OK)
		*status = aur_tokens_read(tokens, AUR_VAL, 0, SAMPLE_VAL, ids + SAMPLE_TRAIN);
	for (int64_t i = 0; *status == AUR_OK && i < SAMPLE_TRAIN + SAMPLE_VAL; i++)
		if (ids[i] != sample_token(i))
			return 0;
	return *status == AUR_OK;
}

/* As sample_check, for the dataset. */
static inline int sample_check_tokens(const char *path, aur_status *status)
{
	struct aur_tokens *tokens;
	const struct aur_vocab vocab = sample_vocab();
	*status = aur_tokens_open(path, &tokens);
	if (*status != AUR_OK)
		return 0;
	int same = aur_tokens_info(tokens)->train_tokens == SAMPLE_TRAIN &&
			   aur_tokens_info(tokens)->val_tokens == SAMPLE_VAL &&
			   strcmp(aur_tokens_info(tokens)->sources, "a.txt") == 0 &&
			   aur_vocab_hash(aur_tokens_vocab(tokens)) == aur_vocab_hash(&vocab);
	same = same && sample_same_tokens(tokens, status);
	if (*status == AUR_OK)
		*status = aur_tokens_verify(tokens);
	aur_tokens_close(&tokens);
	return *status != AUR_OK ? 0 : same ? 1 : -1;
}

#endif
