#!/usr/bin/env bash
# One case of a training on several ranks: dist.sh CASE. AURELIUS names the program. Exit 77: skipped, with the reason.
set -uo pipefail

here=$(cd "$(dirname "$0")" && pwd)
aurelius=${AURELIUS:?the program to test}
scratch=$(mktemp -d /tmp/aurelius-dist-XXXXXX) || exit 1
mounted=""
trap '[ -z "$mounted" ] || umount "$mounted"; rm -rf "$scratch"' EXIT
cd "$scratch" || exit 1
# The whole path: by it processes of this case are told from those of others, which have runs of the same names.
config=$scratch/config.yaml

# mpirun refuses root and more ranks than cores unless told otherwise; a container is often both.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
export OMPI_MCA_mpi_yield_when_idle=1
# Open MPI leaks by itself, and the preloaded faults stand before a sanitizer's own library.
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0:verify_asan_link_order=0

fail() {
	echo "FAILED: $*" >&2
	tail -n 5 ./*.log >&2 2>/dev/null
	exit 1
}
skip() {
	echo "SKIP: $*"
	exit 77
}

# 20,000 characters with some structure, the same on every machine.
make_data() {
	awk 'BEGIN { s = 7; for (i = 0; i < 4000; i++) { s = (s * 1103515245 + 12345) % 2147483648; \
		printf "%s%s", substr("the of and to in is that it was for ", 1 + int(s / 65536) % 30, 4), i % 12 ? " " : "\n" } }' >text.txt
	"$aurelius" prepare text.txt --out data.h5 >prepare.log 2>&1 || fail "prepare"
}

write_config() {
	cat >config.yaml <<-EOF
	model: {n_layer: 2, n_head: 2, n_embd: 24, block_size: 16, dropout: 0.1, embedding_dropout: 0.1, head_bias: true, tie_embeddings: false}
	data: {train: data.h5}
	train: {steps: 50, batch_size: 16, micro_batch_size: 2, learning_rate: 5e-3, warmup_steps: 5, log_interval: 1,
	  eval_interval: 25, eval_windows: 20, checkpoint_interval: 25}
	system: {threads: 1}
	EOF
}

# train RANKS RUN [options]: its output in RUN.log (here, wherever the run is), its exit code as result. One rank runs without mpirun.
train() {
	local ranks=$1 run=$2 log=${2##*/}.log
	shift 2
	if [ "$ranks" = 1 ]; then
		timeout 300 "$aurelius" train --config "$config" --run "$run" "$@" >>"$log" 2>&1
	else
		timeout 300 mpirun -np "$ranks" --bind-to none "$aurelius" train --config "$config" --run "$run" "$@" >>"$log" 2>&1
	fi
}

# Losses, norms and rates of every step, and the evaluations: all digits, without the times.
curve() {
	grep -E '"event":"(step|eval)"' "$1/log.jsonl" | sed -e 's/,"tokens_per_s".*//' | sort -u -t: -k3,3n -k2,2
}

same_weights() {
	h5diff "$1" "$2" /params >diff.log 2>&1 || fail "weights of $1 and $2 differ"
	h5diff "$1" "$2" /adam >diff.log 2>&1 || fail "optimizer state of $1 and $2 differs"
}

same_run() {
	[ "$(curve "$1" | wc -l)" -gt "${3:-50}" ] || fail "$1 has too few log lines"
	[ "$(curve "$1")" = "$(curve "$2")" ] || fail "losses or norms of $1 and $2 differ: $(diff <(curve "$1") <(curve "$2") | head -3)"
	same_weights "$1/checkpoints/step-00000050.h5" "$2/checkpoints/step-00000050.h5"
}

ranks_give_equal_bits() {
	train 1 one || fail "one rank"
	train 2 two || fail "two ranks"
	train 4 four || fail "four ranks"
	same_run one two
	same_run one four
}

threads_give_equal_bits() {
	train 1 one || fail "one thread"
	train 1 two --system.threads=2 || fail "two threads"
	train 2 three --system.threads=3 || fail "two ranks of three threads"
	same_run one two
	same_run one three
}

# Threads that share operations, lanes that share leaves, and lanes of several threads.
lanes_give_equal_bits() {
	train 1 one || fail "one thread"
	train 1 shared --system.threads=4 --system.lanes=1 || fail "four threads, one lane"
	train 1 two --system.threads=4 --system.lanes=2 || fail "two lanes of two threads"
	train 1 four --system.threads=4 || fail "four lanes"
	train 2 ranks --system.threads=2 || fail "two ranks of two lanes"
	for run in shared two four ranks; do
		same_run one $run
	done
	grep -q '1 lane' shared.log && fail "one lane is worth no word"
	grep -q '4 threads in 4 lanes' four.log || fail "four lanes are not named: $(grep threads four.log)"
}

# What is kept of the forward pass is a matter of memory alone, and a resume may change it.
recomputing_gives_equal_bits() {
	local kept
	train 1 none || fail "none"
	for kept in light block; do
		train 2 $kept --system.recompute=$kept || fail "$kept"
		same_run none $kept
	done
	train 1 resumed --system.recompute=block --stop-at 25 || fail "block to step 25"
	train 1 resumed --system.recompute=light || fail "resume with light"
	grep -q "system.recompute was block, is light" resumed.log || fail "the resume does not name the key"
	same_run none resumed
}

# Four leaves of three micro-batches each: the leaves are accumulated, not only added.
twelve_micro_batches_give_equal_bits() {
	for ranks in 1 2 4; do
		train $ranks run$ranks --train.batch_size=12 --train.micro_batch_size=1 || fail "$ranks ranks"
	done
	same_run run1 run2
	same_run run1 run4
}

# Widths and a vocabulary that no slice border falls upon.
slices_of_an_uneven_model_give_equal_bits() {
	for ranks in 1 2 4; do
		train $ranks run$ranks --model.n_embd=39 --model.n_head=3 --model.n_layer=3 --model.norm_position=post \
			--model.activation=relu --model.init=pytorch --train.decay=all --model.mlp_ratio=3 || fail "$ranks ranks"
	done
	same_run run1 run2
	same_run run1 run4
}

eval_ranks_zero_gives_equal_bits() {
	train 2 all || fail "eval_ranks all"
	train 2 zero --train.eval_ranks=zero || fail "eval_ranks zero"
	same_run all zero
}

a_rerun_gives_equal_bits() {
	train 2 first || fail "first run"
	train 2 second || fail "second run"
	same_run first second
}

saved_on_two_resumed_on_one_and_four() {
	train 4 whole || fail "whole run"
	train 2 one --stop-at 25 || fail "two ranks to step 25"
	cp -r one four && cp one.log four.log
	train 1 one || fail "resume on one rank"
	train 4 four || fail "resume on four ranks"
	grep -q "going on from" one.log || fail "the resume does not say so"
	same_run whole one
	same_run whole four
}

bigram_ranks_give_equal_bits() {
	for ranks in 1 2 4; do
		train $ranks run$ranks --model.kind=bigram --data.order=random || fail "$ranks ranks"
	done
	same_run run1 run2
	same_run run1 run4
}

last_loss() {
	grep '"event":"step"' "$1/log.jsonl" | tail -n 1 | sed -e 's/.*"loss":\([^,]*\).*/\1/'
}

close_losses() {
	awk -v a="$(last_loss "$1")" -v b="$(last_loss "$2")" 'BEGIN { d = a - b; exit !(a > 0 && b > 0 && d < 2e-3 && d > -2e-3) }' ||
		fail "losses $(last_loss "$1") and $(last_loss "$2") are not close"
}

fast_reduction_comes_close() {
	train 1 exact || fail "exact"
	train 2 fast --train.reduction=fast --system.allreduce_bucket_mb=0.01 || fail "fast"
	close_losses exact fast
}

fast_reduction_takes_three_ranks() {
	train 1 one --train.batch_size=12 --train.micro_batch_size=2 || fail "one rank"
	train 3 three --train.batch_size=12 --train.micro_batch_size=2 --train.reduction=fast || fail "three ranks"
	close_losses one three
}

# ended_within SECONDS START: more seconds only on a machine that others load, as other cases do.
ended_within() {
	local limit_s load
	load=$(($(cut -d. -f1 /proc/loadavg) / $(nproc)))
	limit_s=$(($1 * (load > 1 ? load + 1 : 1)))
	[ $(($(date +%s) - $2)) -le "$limit_s" ] || fail "it took longer than $limit_s s to end"
}

one_message() {
	[ "$(grep -c "^aurelius: " "$1.log")" = 1 ] || fail "not one line of error: $(grep "^aurelius: " "$1.log")"
	grep "^aurelius: " "$1.log" | grep -q -- "$2" || fail "the message lacks '$2': $(grep "^aurelius: " "$1.log")"
}

a_failing_rank_ends_all() {
	local start
	start=$(date +%s)
	LD_PRELOAD=$AURELIUS_FAULTS AURELIUS_FAULT=open:data.h5 AURELIUS_FAULT_RANK=1 \
		train 4 run && fail "it should have failed"
	ended_within 10 "$start"
	one_message run "rank 1: data.h5"
}

a_read_that_fails_on_one_rank_ends_all() {
	train 2 run --stop-at 25 || fail "first half"
	local start
	start=$(date +%s)
	LD_PRELOAD=$AURELIUS_FAULTS AURELIUS_FAULT=open:step-00000025.h5 AURELIUS_FAULT_RANK=1 \
		train 2 run && fail "it should have failed"
	ended_within 10 "$start"
	one_message run "rank 1: .*step-00000025.h5"
	train 2 run || fail "the run cannot go on afterwards"
}

has_step() {
	grep -qs "\"event\":\"step\",\"step\":$2," "$1/log.jsonl"
}

# Until the run logs that step, however slow the machine is: only a run that has ended gives it up.
wait_for_step() {
	while kill -0 "$launched" 2>/dev/null; do
		has_step "$1" "$2" && return
		sleep 0.1
	done
	has_step "$1" "$2" || fail "step $2 was never reached"
}

long_run() {
	train "$1" "$2" --train.steps=100000 --train.checkpoint_interval=10 --train.eval_interval=0 "${@:3}" &
	launched=$!
	wait_for_step "$2" 12
}

pids_of() {
	pgrep -f "^$aurelius train --config $config --run $1"
}

a_killed_rank_ends_all() {
	long_run 2 run
	local start
	start=$(date +%s)
	kill -KILL "$(pids_of run | tail -n 1)"
	wait $launched && fail "it should have failed"
	ended_within 10 "$start"
	[ -z "$(pids_of run)" ] || fail "a rank is still there"
	local checkpoint
	for checkpoint in run/checkpoints/*.h5; do
		"$aurelius" inspect "$checkpoint" >inspect.log 2>&1 || fail "$checkpoint is half written"
	done
	# The kill may have met a save: what that leaves has another name, and the next start removes it.
	echo half >run/checkpoints/step-00009999.h5.partial
	train 2 run --train.steps=100000 --train.eval_interval=0 --stop-at 60 || fail "the run cannot go on afterwards"
	ls run/checkpoints/*.partial 2>/dev/null && fail "half a checkpoint is left after the next start"
}

ranks_with_other_configurations_are_refused() {
	local start
	start=$(date +%s)
	sed 's/learning_rate: 5e-3/learning_rate: 4e-3/' config.yaml >other.yaml
	timeout 300 mpirun -np 1 "$aurelius" train --config config.yaml --run run : \
		-np 1 "$aurelius" train --config other.yaml --run run >run.log 2>&1 && fail "it should have failed"
	ended_within 10 "$start"
	one_message run "rank 1: .*configuration"
}

ranks_with_other_code_paths_are_refused() {
	timeout 300 mpirun -np 1 "$aurelius" train --config config.yaml --run run : \
		-np 1 -x AURELIUS_CPU_VARIANT=baseline "$aurelius" train --config config.yaml --run run >run.log 2>&1 &&
		fail "it should have failed"
	one_message run "baseline"
}

# A file system of a few hundred kilobytes holds the dataset and one checkpoint, and then is full.
small_disk() {
	mkdir small
	mount -t tmpfs -o size="$1" none small 2>/dev/null || skip "a tmpfs cannot be mounted here (needs root)"
	mounted=$scratch/small
}

a_full_disk_ends_all_and_keeps_old_checkpoints() {
	small_disk 700k
	local start
	start=$(date +%s)
	train 2 small/run --train.checkpoint_interval=5 --train.eval_interval=0 --train.keep_checkpoints=10
	[ $? = 4 ] || fail "exit code is not 4"
	ended_within 30 "$start"
	one_message run "No space left"
	ls small/run/checkpoints/*.partial 2>/dev/null && fail "half a checkpoint is left"
	"$aurelius" inspect small/run/checkpoints/step-00000005.h5 >inspect.log 2>&1 || fail "the first checkpoint is not whole"
}

a_full_disk_can_be_survived() {
	small_disk 700k
	train 2 small/run --train.checkpoint_interval=5 --train.eval_interval=0 --train.keep_checkpoints=10 \
		--train.on_save_error=continue
	[ $? = 4 ] || fail "the last checkpoint is missing and the exit code is not 4"
	[ "$(grep -vc '^{.*}$' small/run/log.jsonl)" = 0 ] || fail "the log holds half a line"
	one_message run "No space left"
	grep -q "was not saved" run.log || fail "nothing said of the failed save"
	grep -q "step 50/50" run.log || fail "the run did not reach its end"
}

# The signal comes at whatever step the run has reached by then; the comparison goes 20 steps beyond it.
a_signal_saves_and_a_resume_gives_equal_bits() {
	local saved last
	long_run 2 run --train.checkpoint_interval=1000000
	kill -TERM "$(pids_of run | tail -n 1)"
	wait $launched
	[ $? = 75 ] || fail "exit code is not 75"
	grep -q "SIGTERM\|stopped at step" run.log || fail "it does not say that it was stopped"
	saved=$(basename "$(ls run/checkpoints/step-*.h5)" .h5)
	last=$((10#${saved#step-} + 20))
	set -- --train.steps=100000 --train.eval_interval=0 --train.checkpoint_interval=1000000 --stop-at $last
	train 4 run "$@" || fail "resume"
	train 1 whole "$@" || fail "whole run"
	[ "$(curve whole)" = "$(curve run)" ] || fail "losses differ: $(diff <(curve whole) <(curve run) | head -4)"
	same_weights whole/checkpoints/step-$(printf %08d $last).h5 run/checkpoints/step-$(printf %08d $last).h5
}

usr1_to_mpirun_saves() {
	long_run 2 run --train.checkpoint_interval=100000
	pkill -USR1 -f "^mpirun -np 2 --bind-to none $aurelius train --config $config --run run"
	wait $launched
	[ $? = 75 ] || fail "exit code is not 75"
	ls run/checkpoints/step-*.h5 >/dev/null || fail "no checkpoint"
}

a_second_signal_leaves_at_once() {
	long_run 1 run --train.checkpoint_interval=100000
	local pid
	pid=$(pids_of run | tail -n 1)
	kill -STOP "$pid"
	kill -INT "$pid"
	kill -TERM "$pid"
	kill -CONT "$pid"
	wait $launched
	[ $? = 75 ] || fail "exit code is not 75"
}

max_minutes_saves() {
	train 2 run --train.steps=1000000 --train.eval_interval=0 --max-minutes 0.03
	[ $? = 75 ] || fail "exit code is not 75"
	grep -q '"event":"end".*"max-minutes"' run/log.jsonl || fail "the log does not say why it ended"
	ls run/checkpoints/step-*.h5 >/dev/null || fail "no checkpoint"
}

# Killed without warning, three times, resumed each time on another number of ranks.
a_killed_run_goes_on_with_equal_bits() {
	train 1 whole --train.steps=200 --train.eval_interval=0 --train.checkpoint_interval=10 || fail "whole run"
	local ranks step=12
	for ranks in 2 4 1; do
		train $ranks run --train.steps=200 --train.eval_interval=0 --train.checkpoint_interval=10 &
		launched=$!
		wait_for_step run $step
		pkill -KILL -f "^$aurelius train --config $config --run run"
		wait $launched
		step=$((step + 40))
	done
	train 2 run --train.steps=200 --train.eval_interval=0 --train.checkpoint_interval=10 || fail "last part"
	[ "$(curve whole)" = "$(curve run)" ] || fail "losses differ: $(diff <(curve whole) <(curve run) | head -4)"
	same_weights whole/checkpoints/step-00000200.h5 run/checkpoints/step-00000200.h5
}

a_damaged_newest_checkpoint_is_passed_over() {
	train 2 whole || fail "whole run"
	train 2 run --stop-at 30 --train.checkpoint_interval=10 || fail "first part"
	truncate -s 3000 run/checkpoints/step-00000030.h5
	train 2 run --train.checkpoint_interval=10 || fail "resume"
	grep -q "passed over.*step-00000030.h5" run.log || fail "the log does not name the damaged checkpoint"
	grep -q "going on from .*step-00000020.h5" run.log || fail "it did not go on from step 20"
	same_weights whole/checkpoints/step-00000050.h5 run/checkpoints/step-00000050.h5
}

three_ranks_are_refused_with_the_numbers_that_work() {
	train 3 run
	[ $? = 2 ] || fail "exit code is not 2"
	one_message run "use 1, 2, 4, 8 ranks"
	one_message run "train.reduction: fast"
}

a_rank_confined_to_one_core_widens() {
	[ "$(nproc)" -ge 2 ] || skip "this machine has one core"
	timeout 300 taskset -c 0 "$aurelius" train --config config.yaml --run run --system.threads=2 >run.log 2>&1 || fail "train"
	grep -q "bound this rank to 1 of" run.log || fail "it does not say that it was confined"
}

commands_of_one_rank_say_so_once() {
	local call
	for call in "eval" "eval run" "evil" "prepare"; do
		# shellcheck disable=SC2086
		timeout 300 mpirun -q -np 2 --bind-to none "$aurelius" $call >run.log 2>&1
		[ $? = 2 ] || fail "$call: exit code is not 2"
		[ "$(wc -l <run.log)" = 1 ] || fail "$call: not one line"
		one_message run "aurelius: "
	done
}

# Named, with both values; the run's own configuration stays as it was.
a_changed_model_is_refused_by_name() {
	train 2 run --stop-at 5 || fail "first part"
	cp run/config.yaml before.yaml
	train 2 run --model.n_embd=48
	[ $? = 2 ] || fail "exit code is not 2"
	one_message run "model.n_embd from 24 to 48"
	cmp -s run/config.yaml before.yaml || fail "the refused configuration was written"
	train 2 run --train.learning_rate=1e-3 --stop-at 6 || fail "a changed learning rate"
	grep -q "train.learning_rate was 0.005, is 0.001" run.log || fail "the changed learning rate is not reported"
}

a_start_from_weights_of_another_model_is_refused() {
	train 1 run --stop-at 2 || fail "first run"
	local change
	for change in n_layer=1 n_layer=3 n_head=4 activation=relu; do
		rm -f new.log
		train 2 new --from run --model.$change
		[ $? = 3 ] || fail "$change: exit code is not 3"
		one_message new "model.${change%=*} from"
	done
	rm -f new.log
	train 2 new --from run --stop-at 3 || fail "the same model"
	train 2 new --from run --stop-at 6 || fail "the same command again"
	grep -q "going on from new/checkpoints/step-00000003.h5" new.log || fail "it does not go on"
}

# Killed between a checkpoint and best.h5: the resume makes up for it.
best_is_there_after_a_resume() {
	train 1 run --stop-at 25 || fail "first part"
	rm run/checkpoints/best.h5
	train 2 run || fail "resume"
	h5diff run/checkpoints/best.h5 run/checkpoints/step-00000050.h5 /params >diff.log 2>&1 ||
		h5diff run/checkpoints/best.h5 run/checkpoints/step-00000025.h5 /params >diff.log 2>&1 || fail "best.h5 is not the best"
}

a_resume_from_another_run_takes_its_place() {
	train 2 whole || fail "whole run"
	train 1 run --train.seed=5 || fail "a run of another seed"
	train 2 run --resume whole/checkpoints/step-00000025.h5 --stop-at 30 || fail "resume"
	[ -f run/checkpoints/step-00000050.h5.set-aside ] || fail "the newer checkpoint is not set aside"
	h5diff run/checkpoints/step-00000025.h5 whole/checkpoints/step-00000025.h5 /params >diff.log 2>&1 ||
		fail "step 25 is still the old one"
	train 1 run || fail "the rest"
	same_weights run/checkpoints/step-00000050.h5 whole/checkpoints/step-00000050.h5
}

an_end_that_is_reached_is_said() {
	train 2 run --stop-at 10 || fail "first part"
	cp run/config.yaml before.yaml
	train 2 run --stop-at 5 --train.learning_rate=1e-3 || fail "stop-at behind"
	grep -q "at step 10 already, --stop-at 5" run.log || fail "nothing said of --stop-at"
	cmp -s run/config.yaml before.yaml || fail "config.yaml was written without a step"
	train 2 run || fail "the rest"
	train 1 run || fail "complete"
	grep -q "complete at step 50" run.log || fail "nothing said of the complete run"
	timeout 300 "$aurelius" train --run run --train.steps=60 >>run.log 2>&1 || fail "more steps"
	grep '"step":60,"loss"' run/log.jsonl | grep -q '"learning_rate":[0-9.e-]*[1-9]' || fail "no step 60"
	grep '"step":51,"loss"' run/log.jsonl | grep -q '"learning_rate":0,' && fail "the longer run learns nothing"
	grep -q "train.decay_steps" run.log && fail "decay_steps was fixed by the first part"
	true
}

ranks_with_another_stop_at_are_refused() {
	timeout 300 mpirun -np 1 "$aurelius" train --config config.yaml --run run --stop-at 5 : \
		-np 1 "$aurelius" train --config config.yaml --run run --stop-at 6 >run.log 2>&1 && fail "it should have failed"
	one_message run "rank 1: --stop-at is 6 here and 5 on rank 0"
}

# A learning rate that overflows: all ranks skip alike, and after ten skips in a row the run ends by itself.
nan_gradients_are_skipped_and_bounded() {
	train 2 run --train.learning_rate=1e30 --train.grad_clip=0 --train.warmup_steps=0 --train.schedule=constant \
		--train.eval_interval=0 --train.steps=500
	[ $? = 5 ] || fail "exit code is not 5"
	grep -q "skipped" run.log || fail "no step is said to be skipped"
	one_message run "diverged"
}

# ---- bf16 ----

precision_of() {
	grep '"event":"start"' "$1/log.jsonl" | tail -n 1 | sed -e 's/.*"precision":"\([^"]*\)".*/\1/'
}

needs_bf16() {
	train 1 probe --system.precision=bf16 --stop-at 1 || fail "one step in bf16"
	[ "$(precision_of probe)" = bf16 ] || skip "this processor has no instructions for products of bf16"
}

bf16_ranks_give_equal_bits() {
	needs_bf16
	local ranks
	for ranks in 1 2 4; do
		train $ranks run$ranks --system.precision=bf16 || fail "$ranks ranks"
	done
	same_run run1 run2
	same_run run1 run4
	train 1 threads --system.precision=bf16 --system.threads=2 || fail "two threads"
	same_run run1 threads
	for ranks in 1 4; do
		train $ranks post$ranks --system.precision=bf16 --model.norm_position=post --model.activation=relu \
			--model.n_embd=39 --model.n_head=3 || fail "post-norm on $ranks ranks"
	done
	same_run post1 post4
}

recomputing_in_bf16_gives_equal_bits() {
	needs_bf16
	local position kept
	for position in pre post; do
		for kept in none light block; do
			train 1 $position-$kept --system.precision=bf16 --model.norm_position=$position --system.recompute=$kept ||
				fail "$position, $kept"
			same_run $position-none $position-$kept
		done
	done
}

bf16_saved_on_two_resumed_on_one_and_four() {
	needs_bf16
	train 4 whole --system.precision=bf16 || fail "whole run"
	train 2 one --system.precision=bf16 --stop-at 25 || fail "two ranks to step 25"
	cp -r one four && cp one.log four.log
	train 1 one --system.precision=bf16 || fail "resume on one rank"
	train 4 four --system.precision=bf16 || fail "resume on four ranks"
	grep -q "not with the same bits" one.log && fail "the resume speaks of other bits"
	same_run whole one
	same_run whole four
}

# Two hundred steps; without dropout, so that the curve shows the precision and little else.
bf16_learns_as_fp32_does() {
	needs_bf16
	set -- --train.steps=200 --train.eval_interval=50 --train.checkpoint_interval=200 --model.dropout=0 \
		--model.embedding_dropout=0
	train 1 wide "$@" || fail "fp32"
	train 1 narrow --system.precision=bf16 "$@" || fail "bf16"
	local far
	far=$(paste <(curve wide) <(curve narrow) | awk -F '"loss":|"val_loss":' '
		{ a = $2 + 0; b = $3 + 0; d = a > b ? a - b : b - a; if (d > 0.02 * a) far++; if (d > 0) other++; n++ }
		END { print (n < 200 || !other) ? "no comparison" : far + 0 }')
	[ "$far" = 0 ] || fail "losses further than 2% from fp32's: $far"
}

# fp32 would give another loss of the same weights, by some 1e-5.
bf16_eval_gives_the_loss_of_the_log() {
	needs_bf16
	train 1 run --system.precision=bf16 --train.eval_windows=0 || fail "train"
	local logged found
	logged=$(grep '"event":"eval","step":50' run/log.jsonl | sed -e 's/.*"val_loss":\([^,}]*\).*/\1/')
	found=$("$aurelius" eval run --split val --json 2>eval.log | tr -d ' \n' | sed -e 's/.*"val":{[^}]*"loss":\([^,}]*\).*/\1/')
	awk -v a="$logged" -v b="$found" 'BEGIN { d = a - b; exit !(a > 0 && d < 1e-7 && d > -1e-7) }' ||
		fail "eval says $found, the log $logged"
}

# What the processor cannot do is said once, and the run is that of fp32, bit for bit.
bf16_without_instructions_is_fp32() {
	export AURELIUS_CPU_VARIANT=baseline
	train 1 asked --system.precision=bf16 || fail "asked for bf16"
	train 1 plain || fail "fp32"
	[ "$(precision_of asked)" = fp32 ] || fail "the log says $(precision_of asked)"
	[ "$(grep -c "no instructions for products of bf16" asked.log)" = 1 ] || fail "it is not said once"
	same_run asked plain
	train 1 table --model.kind=bigram --system.precision=bf16 || fail "bigram"
	[ "$(grep -c "a bigram has no matrix products; fp32 is used" table.log)" = 1 ] || fail "not said once of a bigram"
}

a_resume_in_another_precision_says_so() {
	needs_bf16
	train 2 run --stop-at 25 || fail "fp32"
	train 2 run --system.precision=bf16 || fail "bf16"
	grep -q "changed since the checkpoint: system.precision was fp32, is bf16" run.log || fail "the key is not named"
	grep -q "not with the same bits" run.log || fail "nothing said of other bits"
}

nothing_is_allocated_between_steps_2_and_20_in_bf16() {
	needs_bf16
	sed -i 's/threads: 1/threads: 1, precision: bf16/' config.yaml
	nothing_is_allocated_between_steps_2_and_20
}

# Tokens without a file are computed by every rank for itself; a resume goes on at the same sample.
synthetic_tokens_give_equal_bits() {
	rm data.h5
	sed -i 's/train: data.h5/train: "synthetic:65"/' config.yaml
	train 1 one || fail "one rank"
	train 2 two || fail "two ranks"
	train 4 four --stop-at 20 || fail "four ranks to step 20"
	train 2 four || fail "resume on two ranks"
	same_run one two
	same_run one four
	"$aurelius" eval one --json >eval.log 2>&1 || fail "eval"
	grep -q '"val"' eval.log || fail "eval gives no validation loss"
	"$aurelius" generate one --tokens 5 >generate.log 2>&1
	[ $? = 3 ] || fail "generate does not end with 3"
	grep -q synthetic generate.log || fail "generate does not say why"
	grep -q '"of_ceiling":0.' one/log.jsonl || fail "the log has no share of the ceiling"
}

megabytes_of() {
	sed -n "s/.*$1 \([0-9.]*\) MB.*/\1/p" "$2" | head -n 1
}

# The plan that is printed against the most that was seen, rank 0's: with the program's own memory and a model that is
# several times as large.
memory_stays_within_the_plan() {
	nm -D "$aurelius" 2>/dev/null | grep __asan_init >/dev/null && skip "AddressSanitizer takes memory of its own"
	for ranks in 1 2; do
		train $ranks run$ranks --model.n_embd=512 --model.n_layer=4 --train.steps=2 --train.warmup_steps=0 --train.eval_interval=0 \
			--train.checkpoint_interval=0 || fail "$ranks ranks"
		local planned seen
		planned=$(megabytes_of "memory in all" run$ranks.log)
		seen=$(megabytes_of "memory was" run$ranks.log)
		echo "$ranks ranks: planned $planned MB, seen $seen MB"
		awk -v p="$planned" -v s="$seen" 'BEGIN { exit !(s > 200 && p > 0.95 * s && p < 1.05 * s) }' ||
			fail "$ranks ranks: planned $planned MB, seen $seen MB"
	done
}

# A run that stops after 20 steps must have allocated exactly as often as one that stops after 2.
allocations_until() {
	LD_PRELOAD=$AURELIUS_ALLOCATIONS AURELIUS_COUNT=$scratch/count.txt "$aurelius" train --config config.yaml \
		--run "run$1" --train.log_interval=1000 --train.checkpoint_interval=0 --train.eval_interval=0 --system.threads=2 \
		--stop-at "$1" >"run$1.log" 2>&1 || fail "train to step $1"
	cat count.txt
}

nothing_is_allocated_between_steps_2_and_20() {
	# Not grep -q: it leaves nm with a broken pipe, which pipefail would take for "not found".
	nm -D "$aurelius" 2>/dev/null | grep __asan_init >/dev/null && skip "AddressSanitizer replaces the allocator"
	local two twenty
	two=$(allocations_until 2)
	twenty=$(allocations_until 20)
	[ "${two:-0}" -gt 100 ] || fail "the counter counts nothing: ${two:-no count}"
	[ "$two" = "$twenty" ] || fail "$two allocations in a run of 2 steps, $twenty in one of 20"
}

. "$here/shards.sh"
. "$here/shared_memory.sh"
make_data
write_config
declare -F "$1" >/dev/null || fail "no case $1"
"$1"
echo "passed: $1"
