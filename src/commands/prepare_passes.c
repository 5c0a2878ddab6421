#include "prepare.h"

#include "train/signals.h"

#include <stdlib.h>
#include <string.h>

int aur_prepare_skips(const struct aur_prepare *prepare)
{
	return strcmp(prepare->request->on_bad, "skip") == 0;
}

aur_status aur_prepare_refuse(const struct aur_prepare *prepare, const struct aur_unit *unit, const struct aur_bad *bad)
{
	return aur_documents_refuse(&prepare->sources, prepare->standard_input, unit, bad);
}

aur_status aur_prepare_run(struct aur_prepare *prepare, const struct aur_prepare_pass *pass)
{
	struct aur_comm *world = prepare->world;
	struct aur_units *units = NULL;
	aur_status status = aur_units_create(&(struct aur_units_request){.sources = &prepare->sources,
											 .rules = pass->rules,
											 .rank = world->rank,
											 .size = world->size,
											 .is_done = pass->is_done,
											 .context = pass->context},
		&units);
	AUR_TRY_CLEANUP(aur_comm_agree(world, status));
	struct aur_pass run = {.world = world,
		.crew = prepare->crew,
		.units = units,
		.line = &prepare->line,
		.title = pass->title,
		.all_bytes = prepare->all_bytes,
		.work = pass->work,
		.context = pass->context};
	status = aur_pass_run(&run);
cleanup:
	aur_units_destroy(&units);
	return status;
}

/* ---- texts that are not UTF-8 ---- */

/* A text may be cut between any two characters to be looked at. */
static const struct aur_vocab anywhere = {.kind = "char", .clean = "none"};

struct check {
	struct aur_prepare *prepare;
	_Atomic int64_t *wrong; /* [sources]: the first byte that is not UTF-8; INT64_MAX: none yet */
};

static aur_status pass_over(void *context, struct aur_text text, int continued)
{
	(void)context;
	(void)text;
	(void)continued;
	return AUR_OK;
}

static aur_status note_wrong(void *context, const struct aur_unit *unit, const struct aur_bad *bad)
{
	const struct check *check = context;
	(void)unit;
	_Atomic int64_t *wrong = &check->wrong[bad->source];
	int64_t before = *wrong;
	while (bad->byte < before && !atomic_compare_exchange_weak(wrong, &before, bad->byte))
		;
	return AUR_OK;
}

static aur_status check_unit(void *context, int member, struct aur_unit *unit)
{
	struct check *check = context;
	const struct aur_documents_visitor visitor = {pass_over, note_wrong, check};
	(void)member;
	if (check->prepare->sources.all[unit->source].kind != AUR_CORPUS_TEXT)
		return AUR_OK;
	AUR_TRY(aur_unit_read(&check->prepare->sources, &anywhere, unit));
	return aur_documents_walk(&check->prepare->sources, unit, check->prepare->request->field, &visitor);
}

/* Byte numbers below 2^53 pass through doubles unharmed. */
static aur_status share_wrong(struct aur_prepare *prepare, const _Atomic int64_t *wrong)
{
	struct aur_comm *world = prepare->world;
	enum { BLOCK = 512 };
	double least[BLOCK];
	for (int64_t at = 0; at < prepare->sources.count; at += BLOCK) {
		const int count = prepare->sources.count - at < BLOCK ? (int)(prepare->sources.count - at) : BLOCK;
		for (int i = 0; i < count; i++)
			least[i] = wrong[at + i] == INT64_MAX ? -1e300 : -(double)wrong[at + i];
		AUR_TRY(world->ops->all_reduce(world, least, count, AUR_COMM_MAX));
		for (int i = 0; i < count; i++)
			prepare->sources.all[at + i].bad_byte = least[i] == -1e300 ? -1 : (int64_t)-least[i];
	}
	return AUR_OK;
}

static aur_status require_good(const struct aur_prepare *prepare)
{
	for (int64_t i = 0; i < prepare->sources.count; i++)
		if (prepare->sources.all[i].bad_byte < 0)
			return AUR_OK;
	return aur_fail(AUR_INPUT, "none of the texts is UTF-8: nothing is left (%s: byte %lld)",
		aur_corpus_file_name(&prepare->sources, 0, prepare->standard_input),
		(long long)prepare->sources.all[0].bad_byte);
}

aur_status aur_prepare_check(struct aur_prepare *prepare)
{
	if (!aur_prepare_skips(prepare))
		return AUR_OK;
	const size_t count = (size_t)prepare->sources.count;
	struct check check = {.prepare = prepare, .wrong = malloc(count * sizeof *check.wrong)};
	aur_status status = check.wrong ? AUR_OK : aur_fail(AUR_MEMORY, "no memory for %zu files", count);
	for (size_t i = 0; check.wrong && i < count; i++)
		atomic_init(&check.wrong[i], INT64_MAX);
	AUR_TRY_CLEANUP(aur_comm_agree(prepare->world, status));
	AUR_TRY_CLEANUP(aur_prepare_run(prepare,
		&(struct aur_prepare_pass){.title = "checking", .rules = &anywhere, .work = check_unit, .context = &check}));
	AUR_TRY_CLEANUP(share_wrong(prepare, check.wrong));
	status = aur_comm_agree(prepare->world, require_good(prepare));
cleanup:
	free(check.wrong);
	return status;
}

/* ---- the vocabulary ---- */

struct training {
	struct aur_prepare *prepare;
	struct aur_vocab_trainer **trainers; /* owned [members] */
	int members;
	size_t *bytes; /* owned [ranks]: 0, but for the one that is sending */
};

/* What one thread does with a unit. */
struct lesson {
	struct aur_prepare *prepare;
	struct aur_vocab_trainer *trainer;
};

static aur_status learn(void *context, struct aur_text text, int continued)
{
	const struct lesson *lesson = context;
	return aur_vocab_trainer_add(lesson->trainer, text, continued);
}

static aur_status learn_bad(void *context, const struct aur_unit *unit, const struct aur_bad *bad)
{
	const struct lesson *lesson = context;
	return aur_prepare_skips(lesson->prepare) ? AUR_OK : aur_prepare_refuse(lesson->prepare, unit, bad);
}

static aur_status train_unit(void *context, int member, struct aur_unit *unit)
{
	const struct training *training = context;
	struct aur_prepare *prepare = training->prepare;
	struct lesson lesson = {prepare, training->trainers[member]};
	const struct aur_documents_visitor visitor = {learn, learn_bad, &lesson};
	AUR_TRY(aur_unit_read(&prepare->sources, aur_vocab_trainer_vocab(lesson.trainer), unit));
	return aur_documents_walk(&prepare->sources, unit, prepare->request->field, &visitor);
}

static aur_status create_trainers(struct training *training, const struct aur_tokenizer_options *options)
{
	training->members = aur_crew_members(training->prepare->crew);
	training->trainers = calloc((size_t)training->members, sizeof(struct aur_vocab_trainer *));
	training->bytes = calloc((size_t)training->prepare->world->size, sizeof *training->bytes);
	if (!training->trainers || !training->bytes)
		return aur_fail(AUR_MEMORY, "no memory for a vocabulary");
	for (int i = 0; i < training->members; i++)
		AUR_TRY(aur_vocab_trainer_create(options, &training->trainers[i]));
	return AUR_OK;
}

static aur_status merge_threads(struct training *training)
{
	for (int i = 1; i < training->members; i++) {
		AUR_TRY(aur_vocab_trainer_merge(training->trainers[0], training->trainers[i]));
		aur_vocab_trainer_destroy(&training->trainers[i]);
	}
	return AUR_OK;
}

struct room {
	char *bytes; /* owned */
	size_t size;
};

static aur_status reserve(struct room *room, size_t bytes)
{
	if (bytes <= room->size)
		return AUR_OK;
	free(room->bytes);
	room->bytes = malloc(bytes);
	room->size = room->bytes ? bytes : 0;
	return room->bytes ? AUR_OK : aur_fail(AUR_MEMORY, "no memory for %zu bytes of a vocabulary in the making", bytes);
}

/* One part of what `rank` has seen, for rank 0; *any is 0 when there was no more. `room` is rank 0's. */
static aur_status pass_part(struct training *training, int rank, int64_t *at, struct room *room, int *any)
{
	struct aur_comm *world = training->prepare->world;
	struct aur_vocab_trainer *trainer = training->trainers[0];
	struct aur_text part = {0};
	aur_status status = world->rank == rank ? aur_vocab_trainer_pack(trainer, at, &part) : AUR_OK;
	AUR_TRY(aur_comm_agree(world, status));
	AUR_TRY(world->ops->broadcast(world, &part.size, sizeof part.size, rank));
	*any = part.size > 0;
	if (!*any)
		return AUR_OK;
	status = world->rank == 0 ? reserve(room, part.size) : AUR_OK;
	AUR_TRY(aur_comm_agree(world, status));
	training->bytes[rank] = part.size;
	AUR_TRY(world->ops->gather(world, part.bytes, training->bytes, room->bytes, 0));
	training->bytes[rank] = 0;
	status = world->rank == 0 ? aur_vocab_trainer_unpack(trainer, (struct aur_text){room->bytes, part.size}) : AUR_OK;
	return aur_comm_agree(world, status);
}

/* Rank 0 takes in what the others have seen, a part at a time: each holds the distinct pieces of its own share, and no
 * longer when rank 0 makes the vocabulary. */
static aur_status merge_ranks(struct training *training)
{
	struct aur_comm *world = training->prepare->world;
	struct room room = {0};
	aur_status status = AUR_OK;
	for (int rank = 1; rank < world->size && status == AUR_OK; rank++) {
		int64_t at = 0;
		for (int any = 1; any && status == AUR_OK;)
			status = pass_part(training, rank, &at, &room, &any);
		if (world->rank == rank)
			aur_vocab_trainer_destroy(&training->trainers[0]);
	}
	free(room.bytes);
	return status;
}

static int wants_to_stop(void)
{
	return aur_signals_pending(NULL);
}

aur_status aur_prepare_train(
	struct aur_prepare *prepare, const struct aur_tokenizer_options *wanted, struct aur_tokenizer **tokenizer)
{
	struct training training = {.prepare = prepare};
	struct aur_tokenizer_options options = *wanted;
	options.wants_to_stop = wants_to_stop;
	aur_status status;
	AUR_TRY_CLEANUP(aur_comm_agree(prepare->world, create_trainers(&training, &options)));
	AUR_TRY_CLEANUP(aur_prepare_run(prepare, &(struct aur_prepare_pass){.title = "vocabulary",
												 .rules = aur_vocab_trainer_vocab(training.trainers[0]),
												 .work = train_unit,
												 .context = &training}));
	AUR_TRY_CLEANUP(aur_comm_agree(prepare->world, merge_threads(&training)));
	AUR_TRY_CLEANUP(merge_ranks(&training));
	if (prepare->world->rank == 0)
		status = aur_vocab_trainer_finish(training.trainers[0], tokenizer);
	status = aur_comm_agree(prepare->world, status);
cleanup:
	for (int i = 0; training.trainers && i < training.members; i++)
		aur_vocab_trainer_destroy(&training.trainers[i]);
	free(training.trainers);
	free(training.bytes);
	return status;
}
