#!/usr/bin/env bash
# One case of agreement between the CPU and a CUDA device: agreement.sh CASE. AURELIUS names the program, whose device is
# the emulator's (aurelius-emulated) or a GPU; AGREEMENT_ON says which, emulated or gpu. Exit 77: skipped.
set -uo pipefail

aurelius=${AURELIUS:?the program}
on=${AGREEMENT_ON:?emulated or gpu}
scratch=$(mktemp -d /tmp/aurelius-agreement-XXXXXX) || exit 1
trap 'rm -rf "$scratch"' EXIT
cd "$scratch" || exit 1

export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
export OMPI_MCA_mpi_yield_when_idle=1 OMP_NUM_THREADS=1
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0
# The suite of operations runs every kernel under three schedules; here many steps count.
export AURELIUS_EMULATOR_SCHEDULES=1

fail() {
	echo "FAILED: $*" >&2
	tail -n 8 ./*.log >&2 2>/dev/null
	exit 1
}

skip() {
	echo "SKIP: $*"
	exit 77
}

if [ "$on" = gpu ] && ! compgen -G '/proc/driver/nvidia/gpus/*' >/dev/null && ! compgen -G '/dev/nvidia[0-9]*' >/dev/null; then
	skip "no NVIDIA GPU"
fi

make_data() {
	local words=(the soul is dyed by colour of its thoughts and what we do now echoes in life be like cliff against which)
	local i word=7
	for ((i = 0; i < 3000; i++)); do
		word=$(((word * 73 + 41 + i % 7) % ${#words[@]}))
		printf '%s%s' "${words[word]}" "$([ $((i % 11)) = 10 ] && echo . || echo ' ')"
	done >text.txt
	"$aurelius" prepare text.txt --out data.h5 >prepare.log 2>&1 || fail "prepare"
}

write_config() {
	cat >config.yaml <<'YAML'
model: {kind: gpt, n_layer: 2, n_head: 2, n_embd: 32, block_size: 16}
data: {train: data.h5}
train:
  steps: 200
  batch_size: 4
  micro_batch_size: 2
  learning_rate: 3e-3
  warmup_steps: 20
  grad_clip: 1.0
  log_interval: 1
  eval_interval: 100
  eval_windows: 8
  checkpoint_interval: 100
system: {threads: 1}
YAML
}

# run RANKS FOLDER OPTION...
run() {
	local ranks=$1 folder=$2 launch=()
	shift 2
	[ "$ranks" = 1 ] || launch=(mpirun -np "$ranks" --bind-to none)
	timeout 280 "${launch[@]}" "$aurelius" train --config config.yaml --run "$folder" "$@" >"$folder.log" 2>&1
}

device() {
	run "$1" "$2" --system.backend=cuda "${@:3}" || fail "$2 on the device: exit code $?"
}

cpu() {
	run "$1" "$2" --system.backend=cpu "${@:3}" || fail "$2 on the CPU: exit code $?"
}

losses() {
	grep '"event":"step"' "$1/log.jsonl" | sed -e 's/.*"step":\([0-9]*\),"loss":\([^,]*\),.*/\1 \2/'
}

curve() {
	grep -E '"event":"(step|eval)"' "$1/log.jsonl" | sed -e 's/,"tokens_per_s".*//'
}

# within LIMIT A B FROM COUNT: every loss of both runs from step FROM on, COUNT of them, agrees to LIMIT.
within() {
	paste -d' ' <(losses "$2") <(losses "$3") | awk -v limit="$1" -v from="$4" -v count="$5" '
		$1 < from { next }
		$1 != $3 { print "step " $1 " beside step " $3; bad = 1; exit }
		{ n++; d = ($2 - $4) / $2; d = d < 0 ? -d : d; if (d > most) { most = d; at = $1 } }
		END {
			printf "%d steps, the most apart at step %d: %.2e\n", n, at, most
			exit bad || n != count || most > limit
		}' || fail "losses of $2 and $3 are not within $1"
}

# same_parts FILE OTHER PART: of two checkpoints. A bare machine with a GPU may lack HDF5's tools: that is told at the end.
uncompared=0
same_parts() {
	if command -v h5diff >/dev/null; then
		h5diff "$@"
		return
	fi
	[ "$on" = gpu ] || skip "h5diff is not installed"
	uncompared=$((uncompared + 1))
}

# Runs whose bits must be equal: on a GPU a race may show in one step of many, the emulator gives each step its order.
if [ "$on" = emulated ]; then equal_steps=60; else equal_steps=200; fi
equal=(--train.steps=$equal_steps --train.eval_interval=$((equal_steps / 2))
	--train.checkpoint_interval=$((equal_steps / 2)))

# same_run RUN OTHER [STEPS]: both made with "${equal[@]}", or of as many steps.
same_run() {
	local steps=${3:-$equal_steps} last
	last=checkpoints/step-$(printf %08d "$steps").h5
	[ "$(curve "$1" | wc -l)" -gt "$steps" ] || fail "$1 has too few log lines"
	[ "$(curve "$1")" = "$(curve "$2")" ] || fail "losses or norms of $1 and $2 differ"
	same_parts "$1/$last" "$2/$last" /params || fail "weights of $1 and $2 differ"
	same_parts "$1/$last" "$2/$last" /adam || fail "m or v of $1 and $2 differ"
}

# Rounding differs in its order alone; 200 steps of training carry it on.
# With relu, now and then, a number so near to zero that rounding decides on its side opens a unit that was shut; AdamW
# then moves its weights by a whole learning rate, however small the gradient is. At the rate of the other cases CPU and
# device came 3.0e-3 apart by that, at a third of it they and two instruction sets of the CPU 3.4e-5 at most (ten runs).
fp32_curves_agree() {
	local other=(--model.norm_position=post --model.activation=relu --model.tie_embeddings=false --model.dropout=0.1
		--train.learning_rate=1e-3)
	cpu 1 cpu
	device 1 cuda
	within 1e-3 cpu cuda 1 200
	device 1 other "${other[@]}"
	cpu 1 other_cpu "${other[@]}"
	within 1e-3 other_cpu other 1 200
}

# Both round activations to bf16, but not the same sums: a bf16 that falls on the other side of a rounding is carried on
# through 200 steps. At the rate of the other cases a model as small as this one is chaotic (the CPU's own bf16 is then up
# to 4.4% from its fp32, two orders of the same sums up to 3.7% apart); at a third of it 0.1% was seen.
bf16_curves_agree() {
	local bf16=(--system.precision=bf16 --train.learning_rate=1e-3)
	cpu 1 cpu "${bf16[@]}"
	device 1 cuda "${bf16[@]}"
	within 2e-2 cpu cuda 1 200
}

bigram_curves_agree() {
	cpu 1 cpu --model.kind=bigram
	device 1 cuda --model.kind=bigram
	within 1e-3 cpu cuda 1 200
}

a_rerun_gives_equal_bits() {
	device 1 one "${equal[@]}"
	device 1 two "${equal[@]}"
	same_run one two
	device 1 three "${equal[@]}" --system.precision=bf16 --model.dropout=0.1
	device 1 four "${equal[@]}" --system.precision=bf16 --model.dropout=0.1
	same_run three four
}

# A micro-batch that was recorded once and one whose operations are asked for each time; and where recording fails.
recorded_micro_batches_give_equal_bits() {
	local bf16=(--system.precision=bf16 --model.dropout=0.1 --train.micro_batch_size=1 --train.steps=60)
	device 1 recorded "${bf16[@]}" --train.checkpoint_interval=60
	AURELIUS_GRAPHS=off device 1 asked "${bf16[@]}" --train.checkpoint_interval=60
	[ "$(curve recorded | wc -l)" -gt 50 ] || fail "too few log lines"
	[ "$(curve recorded)" = "$(curve asked)" ] || fail "losses or norms differ"
	same_parts recorded/checkpoints/step-00000060.h5 asked/checkpoints/step-00000060.h5 /params || fail "weights differ"
	grep -q 'CUDA graphs are not used' recorded.log && fail "nothing was recorded"
	[ "$on" = emulated ] || return 0
	AURELIUS_EMULATOR_TRACE=1 device 1 traced "${bf16[@]}" --stop-at 3
	[ "$(grep -c 'emulator: graph of' traced.log)" -gt 3 ] || fail "no graph was run"
	AURELIUS_EMULATOR_REFUSE=capture:1 device 1 refused "${bf16[@]}" --train.checkpoint_interval=60
	[ "$(grep -c 'CUDA graphs are not used: operation failed' refused.log)" = 1 ] || fail "it does not say so once"
	[ "$(curve refused)" = "$(curve asked)" ] || fail "losses or norms differ where recording fails"
}

# Leaves of one rank with two micro-batches, and of two ranks that share the device.
one_rank_and_two_give_equal_bits() {
	device 1 one "${equal[@]}"
	device 2 two "${equal[@]}" --system.share_gpu=true
	grep -q staged two.log || fail "two ranks on one GPU do not say that gradients are staged"
	same_run one two
	local bf16=(--system.precision=bf16 --model.dropout=0.1 --train.steps=24 --train.eval_interval=12
		--train.checkpoint_interval=12)
	device 1 three "${bf16[@]}"
	device 2 four "${bf16[@]}" --system.share_gpu=true
	same_run three four 24
}

# launches_of RUN: how many kernels the emulator was asked for.
launches_of() {
	grep -c 'emulator: launch' "$1.log"
}

# What is kept of the forward pass is a matter of memory alone. Three layers: two of them are computed again into one place.
recomputing_gives_equal_bits() {
	local precision kept same=(--model.n_layer=3 --model.dropout=0.1 --train.steps=6 --train.warmup_steps=2
		--train.eval_interval=6 --train.checkpoint_interval=6)
	for precision in fp32 bf16; do
		for kept in none light block; do
			AURELIUS_EMULATOR_TRACE=1 device 1 $precision-$kept "${same[@]}" --system.precision=$precision \
				--system.recompute=$kept
			same_run $precision-none $precision-$kept 6
			[ "$on" = gpu ] || [ $kept = none ] ||
				[ "$(launches_of $precision-$kept)" -gt "$(launches_of $precision-none)" ] || fail "$kept computes nothing again"
		done
	done
}

# resumed FIRST SECOND: 100 steps on one, the rest on the other, beside a run on the CPU alone.
resumed() {
	"$1" 1 mixed --stop-at 100
	"$2" 1 mixed
	within 1e-3 cpu mixed 1 200
}

a_checkpoint_crosses_over() {
	cpu 1 cpu
	resumed device cpu
	mv mixed first
	resumed cpu device
}

loss_of() {
	"$aurelius" eval "$1" --split val --json 2>eval.log | sed -n 's/.*"loss": *\([0-9.]*\).*/\1/p' | head -n 1
}

# eval and generate take the device where there is one; an unseen one leaves the CPU.
eval_and_generate_agree() {
	local seen hidden
	cpu 1 cpu
	seen=$(loss_of cpu)
	hidden=$(AURELIUS_EMULATOR_DEVICES=0 CUDA_VISIBLE_DEVICES= loss_of cpu)
	awk -v a="$seen" -v b="$hidden" 'BEGIN { d = (a - b) / b; exit !(a > 0 && b > 0 && d < 1e-4 && d > -1e-4) }' ||
		fail "eval: $seen on the device, $hidden on the CPU"
	"$aurelius" generate cpu --prompt "the soul" --tokens 40 --top-k 1 >device.txt 2>generate.log || fail "generate"
	AURELIUS_EMULATOR_DEVICES=0 CUDA_VISIBLE_DEVICES= "$aurelius" generate cpu --prompt "the soul" --tokens 40 --top-k 1 \
		>cpu.txt 2>generate.log || fail "generate on the CPU"
	cmp device.txt cpu.txt || fail "the likeliest tokens differ: $(cat device.txt) and $(cat cpu.txt)"
}

# ends CODE PATTERN COMMAND...: with that code, and says so.
ends() {
	local code=$1 pattern=$2 got=0
	shift 2
	timeout 280 "$@" >out.log 2>&1 || got=$?
	[ "$got" = "$code" ] || fail "exit code $got, not $code: $*"
	grep -qE -- "$pattern" out.log || fail "nothing says: $pattern"
}

# refuses CODE PATTERN COMMAND...: the same within ten seconds.
refuses() {
	local began=$SECONDS
	ends "$@"
	[ $((SECONDS - began)) -le 10 ] || fail "took $((SECONDS - began)) s: ${*:3}"
}

# leaves CODE PATTERN COMMAND...: ends with it within ten seconds of saying so.
leaves() {
	local code=$1 pattern=$2 got=0 child began
	shift 2
	timeout 280 "$@" >out.log 2>&1 &
	child=$!
	until grep -qsE -- "$pattern" out.log || ! kill -0 $child 2>/dev/null; do
		sleep 0.1
	done
	began=$SECONDS
	wait $child || got=$?
	[ $((SECONDS - began)) -le 10 ] || fail "took $((SECONDS - began)) s to end: $*"
	[ "$got" = "$code" ] || fail "exit code $got, not $code: $*"
	grep -qE -- "$pattern" out.log || fail "nothing says: $pattern"
}

only_emulated() {
	[ "$on" = emulated ] || skip "a fault that only the emulator makes"
}

without_a_device_the_reason_is_said() {
	only_emulated
	local train=("$aurelius" train --config config.yaml --run run --system.backend=cuda)
	AURELIUS_EMULATOR_DEVICES=0 refuses 4 'no NVIDIA GPU is visible' "${train[@]}"
	AURELIUS_EMULATOR_DRIVER=too-old refuses 4 'driver is for CUDA' "${train[@]}"
	AURELIUS_EMULATOR_MEMORY_MB=1 refuses 4 'memory' "${train[@]}"
	[ ! -e run/checkpoints ] || [ -z "$(ls run/checkpoints)" ] || fail "a refused run left checkpoints"
	# With auto the CPU takes its place.
	AURELIUS_EMULATOR_DEVICES=0 timeout 60 "$aurelius" train --config config.yaml --run auto --train.steps=20 >auto.log 2>&1 ||
		fail "auto without a device"
}

# refuses_once PATTERN COMMAND...: refuses with 4, in one line of the program, which is all that speaks of an error.
refuses_once() {
	refuses 4 "$@"
	[ "$(grep -ciE '^aurelius: |error' out.log)" = 1 ] || fail "it is not said in one line: ${*:2}: $(cat out.log)"
	grep -qE "^aurelius: .*($1)" out.log || fail "the program's line is another: ${*:2}: $(cat out.log)"
}

# A machine that can no longer train keeps what it has trained.
an_unusable_device_keeps_the_checkpoint() {
	only_emulated
	local fault text sum kept=run/checkpoints/step-00000020.h5
	local train=("$aurelius" train --config config.yaml --run run --system.backend=cuda)
	device 1 run --stop-at 20
	sum=$(cksum "$kept") || fail "no checkpoint"
	while read -r fault text; do
		refuses_once "$text" env AURELIUS_EMULATOR_"$fault" "${train[@]}" </dev/null
		refuses_once "$text" env AURELIUS_EMULATOR_"$fault" mpirun -np 2 --bind-to none "${train[@]}" </dev/null
		# The fault is that of one rank's machine alone.
		refuses_once "$text" env AURELIUS_EMULATOR_DEVICES=2 mpirun --bind-to none -np 1 "${train[@]}" : \
			-np 1 env AURELIUS_EMULATOR_"$fault" "${train[@]}" </dev/null
	done <<-'END'
		DRIVER=none this machine has no NVIDIA driver
		DRIVER=too-old the NVIDIA driver is for CUDA 11.4 and this program needs CUDA 1[0-9]
		CAPABILITY=75 compute capability 7.5, too old for this program, which needs 8.0
		DEVICES=0 no NVIDIA GPU is visible
	END
	[ "$(cksum "$kept")" = "$sum" ] || fail "the checkpoint is another"
	"$aurelius" inspect "$kept" >inspect.log 2>&1 || fail "inspect"
	awk -v loss="$(loss_of run)" 'BEGIN { exit !(loss > 0) }' || fail "eval gives no loss"
	device 1 run --stop-at 21
	grep -q 'step 21/200' run.log || fail "the run did not go on from its checkpoint"
}

# says PATTERN COMMAND...: ends with 0 and says so.
says() {
	local pattern=$1
	shift
	timeout 60 "$@" >out.log 2>&1 || fail "$*: exit code $?"
	grep -qE -- "$pattern" out.log || fail "$*: nothing says: $pattern"
}

# doctor tells what there is, and works where there is nothing.
doctor_and_plan_tell_of_devices() {
	only_emulated
	local plan=("$aurelius" plan --config config.yaml --ranks 2 --data data.h5 --system.backend=cuda)
	AURELIUS_EMULATOR_DEVICES=2 says 'emulator 0000:01:00.0: compute capability 9.0, [0-9.]+ GB of memory' "$aurelius" doctor
	grep -qE 'will be used.*cuda: emulated|cuda: emulated, fp32, tf32 or bf16' out.log || fail "the backend is not named"
	grep -qE 'fp32 product' out.log && grep -qE 'tf32 product' out.log && grep -qE 'memory copy' out.log || fail "no ceilings"
	grep -qE 'NCCL +2[.]' out.log || fail "NCCL's version is not told"
	grep -q 'cuDNN: this program was built without it (attention is computed by own kernels' out.log || fail "cuDNN is not missed"
	grep -qE 'direct access +between all' out.log || fail "nothing is said of access between the devices"
	AURELIUS_EMULATOR_DEVICES=3 AURELIUS_EMULATOR_APART=1 says 'direct access between the GPUs 0 and 1: ' "$aurelius" doctor
	AURELIUS_EMULATOR_CAPABILITY=75 says 'compute capability 7.5, 8.0 or newer is needed' "$aurelius" doctor
	AURELIUS_EMULATOR_DRIVER=none says 'GPU: cuda: this machine has no NVIDIA driver' "$aurelius" doctor
	AURELIUS_EMULATOR_DRIVER=too-old says 'GPU: cuda: the NVIDIA driver is for CUDA 11.4' "$aurelius" doctor
	AURELIUS_EMULATOR_DEVICES=2 says 'gpu +emulator' "${plan[@]}"
	grep -qE 'ranks on this machine +2' out.log || fail "a rank a GPU is not planned"
	grep -qE 'tokens/s|tokens per s' out.log || fail "no time is predicted"
	grep -q 'host memory of a rank' out.log || fail "the host's memory is not planned"
}

# A device that is too small: every part is named, and the micro-batch that is said to fit does, and no larger one.
memory_that_does_not_fit_is_explained() {
	only_emulated
	local large=(--train.batch_size=64 --train.steps=1 --train.warmup_steps=0 --train.eval_interval=0 --model.n_layer=12
		--model.n_embd=64)
	local train=("$aurelius" train --config config.yaml --system.backend=cuda "${large[@]}") fits
	# More than cuBLASLt's workspaces, and those of the measurement of the ceiling, take.
	export AURELIUS_EMULATOR_MEMORY_MB=80
	ends 4 'memory: a rank needs [0-9.]* MB and can have [0-9.]* MB of emulator: weights .* MB, gradient buffers .* MB' \
		"${train[@]}" --run small --train.micro_batch_size=64
	grep -qE 'mlp [0-9.]* MB, backward [0-9.]* MB, scratch [0-9.]* MB; of train.micro_batch_size, which is 64, [0-9]+ is the largest' out.log ||
		fail "parts or the micro-batch are not named"
	fits=$(sed -n 's/.*which is 64, \([0-9]*\) is the largest that fits.*/\1/p' out.log)
	[ "$(grep -c 'memory: ' out.log)" = 1 ] || fail "it is said more than once"
	ends 4 "which is $((2 * fits)), $fits is the largest" "${train[@]}" --run small --train.micro_batch_size=$((2 * fits))
	timeout 280 "${train[@]}" --run small --train.micro_batch_size="$fits" >out.log 2>&1 || fail "$fits does not fit"
	ends 4 'none fits .system.recompute: block keeps less.; a smaller model' "${train[@]}" --run small --model.n_embd=384
}

# A GPU that fails in the middle, of a step that is looked at or among others, ends all ranks; the last checkpoint is whole.
an_error_in_mid_run_keeps_the_checkpoint() {
	only_emulated
	local ranks fault text='illegal memory access|IllegalAddress'
	local train=("$aurelius" train --config config.yaml --system.backend=cuda)
	for ranks in 1 2; do
		device 1 run$ranks --stop-at 100
		refuses 4 "$text" env AURELIUS_EMULATOR_FAIL=kernel:900 AURELIUS_EMULATOR_DEVICES=$ranks \
			mpirun -np $ranks --bind-to none "${train[@]}" --run run$ranks
		leaves 4 "$text" env AURELIUS_EMULATOR_FAIL=kernel:901 AURELIUS_EMULATOR_DEVICES=$ranks \
			mpirun -np $ranks --bind-to none "${train[@]}" --run run$ranks --train.log_interval=50
		[ "$ranks" = 1 ] || one_of_two_fails "$text" "${train[@]}" --run run2 --train.log_interval=50
		device 1 run$ranks --stop-at 120
		grep -q 'step 101/200' run$ranks.log || fail "the run did not go on from its checkpoint"
	done
}

# The other rank waits for an exchange, queues a step or comes to agree: kernels of a micro-batch, of the update, a copy.
one_of_two_fails() {
	local text=$1 fault
	shift
	for fault in kernel:930 kernel:955 copy:150; do
		leaves 4 "$text" env AURELIUS_EMULATOR_DEVICES=2 mpirun --bind-to none -np 1 "$@" : \
			-np 1 env AURELIUS_EMULATOR_FAIL=$fault "$@"
	done
}

# Losses, norms and learning rates of the steps in $2..., as the log of run $1 has them.
lines_of() {
	local run=$1 step
	shift
	for step in "$@"; do
		curve "$run" | grep "\"event\":\"step\",\"step\":$step," || echo "no line of step $step"
	done
}

# same_lines RUN OTHER STEP...: both have a line of each step, the same one.
same_lines() {
	local run=$1 other=$2
	shift 2
	local seen
	seen=$(lines_of "$run" "$@")
	[[ $seen != *'no line'* ]] || fail "$run lacks a step of: $*"
	[ "$seen" = "$(lines_of "$other" "$@")" ] || fail "steps of $run and $other differ: $*"
}

steps_logged() {
	curve "$1" | sed -n 's/.*"event":"step","step":\([0-9]*\),.*/\1/p' | tr '\n' ' '
}

# A step that nobody looks at is queued behind the one before it and its result taken later: nothing else may differ.
# Fast runs on a GPU time the algorithms of products, each anew: two of them may have other bits.
steps_ahead_give_equal_bits() {
	local ranks kind kinds=(exact) other=(--train.log_interval=7 --train.eval_interval=0)
	[ "$on" = gpu ] || kinds+=(fast)
	for ranks in 1 2; do
		for kind in "${kinds[@]}"; do
			local name=$kind$ranks
			local same=(--system.share_gpu=true --train.reduction=$kind --train.steps=40 --train.checkpoint_interval=40)
			device $ranks "$name" "${same[@]}" --train.eval_interval=0
			device $ranks "${name}_ahead" "${same[@]}" "${other[@]}"
			[ "$(steps_logged "${name}_ahead")" = "1 7 14 21 28 35 40 " ] || fail "steps logged: $(steps_logged "${name}_ahead")"
			same_lines "$name" "${name}_ahead" 1 7 14 21 28 35 40
			same_end "$name" "${name}_ahead" 40
		done
	done
	# A checkpoint in between, the second half in a process of its own.
	device 1 halves --train.steps=40 --train.checkpoint_interval=40 "${other[@]}" --stop-at 17
	device 1 halves --train.steps=40 --train.checkpoint_interval=40 "${other[@]}"
	same_lines exact1 halves 7 14 17 18 21 28 35 40
	same_end exact1 halves 40
}

# devices RANKS NAME OPTION...: without sharing, so that the host does not move the data.
devices() {
	local ranks=$1 name=$2
	shift 2
	AURELIUS_EMULATOR_DEVICES=$ranks device "$ranks" "$name" "$@"
	grep -q staged "$name.log" && fail "$name is staged"
	return 0
}

# same_end RUN OTHER STEPS: the checkpoints of both after as many steps.
same_end() {
	local part file
	file=checkpoints/step-$(printf %08d "$3").h5
	for part in /params /adam; do
		same_parts "$1/$file" "$2/$file" $part || fail "$part of $1 and $2 differ"
	done
}

# The same where exchanges are queued as well, and whatever the number of ranks; micro-batches of 2 and of 1: the one
# before the exchange, and none or one.
steps_ahead_on_several_devices_give_equal_bits() {
	only_emulated
	local kind at ranks micro name same ahead=(--train.log_interval=7)
	for kind in exact fast; do
		for at in 2:1 2:2 4:1; do
			ranks=${at%:*} micro=${at#*:} name=$kind${at/:/_}
			same=(--train.reduction=$kind --train.steps=24 --train.micro_batch_size=$micro --train.eval_interval=0
				--train.checkpoint_interval=24)
			devices "$ranks" "$name" "${same[@]}"
			devices "$ranks" "${name}_ahead" "${same[@]}" "${ahead[@]}"
			same_lines "$name" "${name}_ahead" 1 7 14 21 24
			same_end "$name" "${name}_ahead" 24
		done
	done
	same=(--train.steps=24 --train.micro_batch_size=1 --train.eval_interval=0 --train.checkpoint_interval=24)
	device 1 exact1 "${same[@]}" "${ahead[@]}"
	for ranks in 2 4; do
		same_lines exact1 exact${ranks}_1_ahead 1 7 14 21 24
		same_end exact1 exact${ranks}_1_ahead 24
	done
}

# In bf16 the weights of a micro-batch are rounded ones, and dropout counts windows, whichever rank has them.
steps_ahead_on_several_devices_in_bf16_give_equal_bits() {
	only_emulated
	local run ranks same=(--system.precision=bf16 --model.dropout=0.1 --train.micro_batch_size=1 --train.steps=16
		--train.warmup_steps=4 --train.eval_interval=0 --train.checkpoint_interval=16)
	device 1 exact1 "${same[@]}"
	devices 2 fast2 "${same[@]}" --train.reduction=fast
	for run in exact2 exact4 fast2; do
		ranks=${run: -1}
		devices "$ranks" ${run}_ahead "${same[@]}" --train.reduction=${run%"$ranks"} --train.log_interval=7
		[ $run = fast2 ] || ln -s exact1 $run
		same_lines $run ${run}_ahead 1 7 14 16
		same_end $run ${run}_ahead 16
	done
}

# begin RANKS FOLDER OPTION...: a run that is not waited for, `begun` its process, until it has a checkpoint of step 10.
begin() {
	local ranks=$1 folder=$2 waited=0
	shift 2
	AURELIUS_EMULATOR_DEVICES=$ranks mpirun -np "$ranks" --bind-to none "$aurelius" train --config config.yaml \
		--run "$folder" --system.backend=cuda "$@" >"$folder.log" 2>&1 &
	begun=$!
	until [ -e "$folder/checkpoints/step-00000010.h5" ]; do
		[ $((waited++)) -lt 2400 ] && kill -0 $begun 2>/dev/null || fail "$folder has no checkpoint of step 10"
		sleep 0.05
	done
}

# A run that ends in the middle of steps nobody looks at, killed or told to stop, goes on with the bits of one that does not.
steps_ahead_end_at_any_time() {
	only_emulated
	local ranks got same=(--train.steps=48 --train.log_interval=1000 --train.eval_interval=0 --train.checkpoint_interval=10)
	device 1 whole "${same[@]}"
	for ranks in 1 2; do
		begin $ranks killed$ranks "${same[@]}"
		pkill -KILL -P $begun 2>/dev/null
		wait $begun 2>/dev/null && fail "the run was not killed"
		[ ! -e killed$ranks/checkpoints/step-00000048.h5 ] || fail "the run was over"
		devices $ranks killed$ranks "${same[@]}"
		same_end whole killed$ranks 48
		begin $ranks told$ranks "${same[@]}"
		kill -USR1 $begun
		got=0
		wait $begun || got=$?
		grep -q 'stopped at step .* (SIGUSR1) after a checkpoint' told$ranks.log || fail "told$ranks ended with $got"
		[ ! -e told$ranks/checkpoints/step-00000048.h5 ] || fail "the run was over"
		devices $ranks told$ranks "${same[@]}"
		same_end whole told$ranks 48
	done
}

# A step that is left out is told under its own number, and the run ends at the tenth in a row, whoever looks.
skipped_steps_are_told_by_number() {
	only_emulated
	local same=(--train.steps=30 --train.eval_interval=0 --train.checkpoint_interval=30) run ranks
	for run in seen ahead; do
		[ $run = seen ] || same+=(--train.log_interval=10)
		AURELIUS_EMULATOR_SPOIL=clip:4,5,12,20,29 device 1 $run "${same[@]}"
		[ "$(grep -c 'skipped: the gradient is not finite' $run.log)" = 5 ] || fail "$run does not tell of 5 skipped steps"
	done
	[ "$(steps_logged ahead)" = "1 4 5 10 12 20 29 30 " ] || fail "steps logged: $(steps_logged ahead)"
	same_lines seen ahead 1 4 5 10 12 20 29 30
	same_end seen ahead 30
	"$aurelius" inspect ahead/checkpoints/step-00000030.h5 --json >inspect.json 2>inspect.log || fail "inspect"
	grep -q '"updates": *25\b' inspect.json || fail "25 updates are not counted: $(grep '"updates"' inspect.json)"
	for ranks in 1 2; do
		AURELIUS_EMULATOR_SPOIL=clip:4,6,7,8,9,10,11,12,13,14,15,16 AURELIUS_EMULATOR_DEVICES=$ranks ends 5 \
			'step 15: training diverged: the gradient was not finite in 10 steps in a row' mpirun -np $ranks --bind-to none \
			"$aurelius" train --config config.yaml --run diverged$ranks --system.backend=cuda "${same[@]}"
		[ "$(steps_logged diverged$ranks)" = "1 4 6 7 8 9 10 11 12 13 14 " ] || fail "steps logged: $(steps_logged diverged$ranks)"
		grep -q '"event":"end","step":15,"reason":"diverged"' diverged$ranks/log.jsonl || fail "the end is not that of step 15"
		[ "$(grep -c 'training diverged' out.log)" = 1 ] || fail "it is not said once"
	done
}

# waits RANKS STEPS OPTION...: how often the host waits in that many steps, and how often with nothing queued behind.
waits() {
	local ranks=$1 steps=$2 name="waits$1_$2"
	shift 2
	rm -rf "$name"
	AURELIUS_EMULATOR_DEVICES=$ranks AURELIUS_EMULATOR_TRACE=waits device "$ranks" "$name" --train.steps="$steps" \
		--model.n_layer=1 --train.warmup_steps=0 --train.eval_interval=0 --train.checkpoint_interval=1000 "$@"
	grep -q staged "$name.log" && fail "$name is staged"
	echo "$(grep -c 'emulator: the host waits in' "$name.log") $(grep -c 'the host waits in .*, 0 behind it' "$name.log")"
}

# waits_a_step RANKS OPTION...: the same of one step of one rank, from runs of 4 and 8 steps, which begin and end alike.
waits_a_step() {
	local ranks=$1 all_4 idle_4 all_8 idle_8
	shift
	read -r all_4 idle_4 < <(waits "$ranks" 4 "$@")
	read -r all_8 idle_8 < <(waits "$ranks" 8 "$@")
	awk "BEGIN { print ($all_8 - $all_4) / 4 / $ranks, ($idle_8 - $idle_4) / 4 / $ranks }"
}

# waits_are "ALL IDLE" RANKS OPTION...
waits_are() {
	local expected=$1 seen
	shift
	seen=$(waits_a_step "$@") || fail "no waits are told"
	[ "$seen" = "$expected" ] || fail "a step waits '$seen' times in all and with nothing behind it, not '$expected': $*"
}

# A step that nobody looks at is waited for once, by the step behind it, which the device has to do by then; with several
# ranks it is looked at twice, for this rank's own part and for the exchange. However many micro-batches there are.
the_host_waits_only_where_it_logs() {
	only_emulated
	local micro
	for micro in 1 4; do
		waits_are "1 0" 1 --train.log_interval=1000 --train.micro_batch_size=$micro
	done
	# More micro-batches than uploads have room for at a time would wait for room; sixteen do not.
	waits_are "1 0" 1 --train.log_interval=1000 --train.micro_batch_size=1 --train.batch_size=16 --system.precision=bf16
	AURELIUS_GRAPHS=off waits_are "1 0" 1 --train.log_interval=1000
	waits_are "2 0" 2 --train.log_interval=1000
	for micro in 1 2; do
		waits_are "2 0" 2 --train.log_interval=1000 --train.reduction=fast --train.micro_batch_size=$micro
	done
	# The count can tell: a step that is logged leaves the device with nothing to do.
	[ "$(waits_a_step 1 --train.log_interval=1 | awk '{ print ($2 >= 1) }')" = 1 ] || fail "waits are not counted"
}

make_data
write_config
declare -F "$1" >/dev/null || fail "no case $1"
"$1"
echo "passed: $1"
[ "$uncompared" = 0 ] || echo "weights were not compared: no h5diff ($uncompared times)"
