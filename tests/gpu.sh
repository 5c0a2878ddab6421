#!/usr/bin/env bash
# Everything that only a GPU can show, in one run of under ten minutes on one GPU: the conformance suite, the sanitizers of
# CUDA, agreement with the CPU, a training to its validation loss, and speed beside PyTorch. Raw logs go to a folder. Every
# part has its share of the time and ends with it; where a command may not take so long, the first three parts and the
# last two are two runs of half of it each. CUDA's libraries must be found by the loader (LD_LIBRARY_PATH).
#
#   tests/gpu.sh [--out FOLDER] [--build FOLDER | --bundle FOLDER] [--text FILE] [--python PYTHON] [PART...]
#
#   --out FOLDER     where the logs go (default: gpu-results)
#   --build FOLDER   a build with nvcc; by default one is made in build-gpu for this machine's GPU
#   --bundle FOLDER  an installed tree (cmake -DAURELIUS_BUNDLE=ON, cmake --install), for machines without compilers
#   --text FILE      tiny Shakespeare, for the training (left out without it)
#   --python PYTHON  one with PyTorch for CUDA (left out without it)
#   PART             suite, sanitizers, agreement, training, speed (default: all, in this order)
#
# Exit code 1 when a part failed; what could not run says SKIP and why. summary.txt holds a line for each part.
set -uo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
out=gpu-results build='' bundle='' text='' python=''
parts=()
# Seconds that a part may take; ten minutes in all, without a build.
declare -A share=([suite]=60 [sanitizers]=110 [agreement]=80 [training]=120 [speed]=200)
ends=0

fail() {
	printf 'tests/gpu.sh: %s\n' "$*" >&2
	exit 2
}

while (($#)); do
	case "$1" in
	--out) out=${2:?a folder}; shift ;;
	--build) build=${2:?a folder}; shift ;;
	--bundle) bundle=${2:?a folder}; shift ;;
	--text) text=${2:?a file}; shift ;;
	--python) python=${2:?a program}; shift ;;
	-h | --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"; exit 0 ;;
	suite | sanitizers | agreement | training | speed) parts+=("$1") ;;
	*) fail "no option or part $1 (--help lists them)" ;;
	esac
	shift
done
((${#parts[@]})) || parts=(suite sanitizers agreement training speed)
mkdir -p "$out" || exit 2
out=$(cd "$out" && pwd)
command -v nvidia-smi >/dev/null || fail "no nvidia-smi: this machine has no NVIDIA driver"
failed=0

note() {
	printf '%s\n' "$*" | tee -a "$out/summary.txt"
}

# timed SECONDS LOG COMMAND...: its output in LOG; 124 when it took longer, or longer than the part still has.
timed() {
	local limit=$1 log=$out/$2 left=$((ends - SECONDS))
	shift 2
	if ((ends > 0 && left < limit)); then limit=$((left > 0 ? left : 1)); fi
	printf '$ %s\n' "$*" >>"$log"
	timeout "$limit" "$@" >>"$log" 2>&1
}

describe_machine() {
	{
		date -u +%Y-%m-%dT%H:%M:%SZ
		nvidia-smi
		nvidia-smi -q -d CLOCK,POWER,PERFORMANCE
		"$aurelius" --version
		"$aurelius" doctor
	} >"$out/machine.txt" 2>&1
}

# How many programs of a part run beside each other; what is timed runs alone.
together=4

find_programs() {
	trace=
	if [ -n "$bundle" ]; then
		PATH=$bundle/bin:$PATH
		trace=$bundle/libexec/aurelius/aurelius-gpu-trace.so
		aurelius=$bundle/bin/aurelius programs=$bundle/libexec/aurelius configs=$bundle/share/aurelius/configs
		bench=$bundle/share/aurelius/benchmarks/pytorch
		return
	fi
	configs=$here/configs bench=$here/benchmarks/pytorch
	if [ -z "$build" ]; then
		build=$here/build-gpu
		local generator=()
		command -v ninja >/dev/null && generator=(-G Ninja)
		timed 600 build.txt cmake "${generator[@]}" -S "$here" -B "$build" -DCMAKE_BUILD_TYPE=Release -DAURELIUS_CUDA=ON \
			-DCMAKE_CUDA_ARCHITECTURES=native && timed 900 build.txt cmake --build "$build" --parallel "$(nproc)" ||
			fail "the build failed: $out/build.txt"
	fi
	aurelius=$build/aurelius programs=$build/tests/ops trace=$build/aurelius-gpu-trace.so
}

# in_parallel FUNCTION ARGUMENT...: the function once with each argument, some beside each other. What it notes for an
# argument comes together; the result is how many failed.
in_parallel() {
	local function=$1 argument failed=0 running=0
	shift
	for argument; do
		if ((running == together)); then
			wait -n || failed=$((failed + 1))
			running=$((running - 1))
		fi
		"$function" "$argument" &
		running=$((running + 1))
	done
	while ((running > 0)); do
		wait -n || failed=$((failed + 1))
		running=$((running - 1))
	done
	return "$failed"
}

# The conformance suite, a program an operation.
run_program() {
	local name code=0
	name=$(basename "$1")
	AURELIUS_TEST_BACKEND=cuda timed 60 "suite-$name.txt" "$1" || code=$?
	if ((code == 77)); then note "suite: $name: SKIP, see suite.txt"; return 0; fi
	((code == 0)) || note "suite: $name ended with $code"
	return "$code"
}

suite() {
	local bad=0 skipped all=("$programs"/gpu_*)
	[ -x "${all[0]}" ] || { note "suite: no programs in $programs"; return 1; }
	in_parallel run_program "${all[@]}" || bad=$?
	cat "$out"/suite-*.txt >"$out/suite.txt" && rm -f "$out"/suite-*.txt
	skipped=$(grep -c '^suite: .*: SKIP' "$out/summary.txt")
	note "suite: $((${#all[@]} - bad - skipped)) programs passed, $bad failed, $skipped skipped"
	((bad == 0 && skipped < ${#all[@]}))
}

# A few operations each under memcheck and racecheck: all of them would take an hour.
check_program() {
	local tool=${1%:*} program=${1#*:} code=0
	[ -x "$programs/gpu_$program" ] || return 0
	AURELIUS_TEST_BACKEND=cuda AURELIUS_EMULATED_TEST=1 timed 100 "sanitizer-$tool-$program.txt" compute-sanitizer \
		--tool "$tool" --error-exitcode 9 "$programs/gpu_$program" || code=$?
	# What cuBLASLt's and cuDNN's own kernels do between their asynchronous copies passes for a race.
	if [ "$tool" = racecheck ] && ((code == 9)) && ! own_races "$out/sanitizer-$tool-$program.txt"; then code=0; fi
	case $code in
	0) ;;
	124) note "sanitizers: $tool $program: not done within its time" ;;
	*) note "sanitizers: $tool $program: ended with $code, see sanitizers.txt"; return 1 ;;
	esac
}

# Whether a log of racecheck has an error, or its tests one, that is not of a library's kernel; so too where it names none.
own_races() {
	awk '/Race reported|FAILED/ { named = 1; own = own || !/at (cudnn|nvjet|void cudnn|void cutlass|void cublas|_ZN5cudnn|_ZN7cutlass)/ }
		END { exit named && !own }' "$1"
}

sanitizers() {
	local bad=0
	command -v compute-sanitizer >/dev/null || { note "sanitizers: SKIP, no compute-sanitizer"; return 0; }
	in_parallel check_program {memcheck,racecheck}:{attention,residual_norm,head_loss,optimizer,embedding,activation} || bad=$?
	cat "$out"/sanitizer-*.txt >"$out/sanitizers.txt" && rm -f "$out"/sanitizer-*.txt
	((bad)) || note "sanitizers: memcheck and racecheck found nothing in what was done within the time"
	((!bad))
}

# The whole program on the CPU and on the GPU.
run_case() {
	if [[ $1 =~ ^(one_rank_and_two|steps_ahead) ]] && ! command -v mpirun >/dev/null; then
		note "agreement: $1: SKIP, no mpirun"
		return 0
	fi
	AURELIUS=$aurelius AGREEMENT_ON=gpu timed 80 "agreement-$1.txt" bash "$here/tests/agreement/agreement.sh" "$1" && return 0
	note "agreement: $1 failed"
	return 1
}

agreement() {
	local bad=0 uncompared
	[ -f "$here/tests/agreement/agreement.sh" ] || { note "agreement: SKIP, not in this tree"; return 0; }
	in_parallel run_case fp32_curves_agree bf16_curves_agree bigram_curves_agree a_rerun_gives_equal_bits \
		a_checkpoint_crosses_over eval_and_generate_agree recorded_micro_batches_give_equal_bits \
		one_rank_and_two_give_equal_bits recomputing_gives_equal_bits steps_ahead_give_equal_bits || bad=$?
	cat "$out"/agreement-*.txt >"$out/agreement.txt" && rm -f "$out"/agreement-*.txt
	uncompared=$(grep -c '^weights were not compared' "$out/agreement.txt")
	((uncompared == 0)) || note "agreement: weights were not compared in $uncompared cases: no h5diff"
	((bad)) || note "agreement: the CPU and the GPU agree"
	((!bad))
}

# nanoGPT's recipe for a GPU to its best validation loss: 1.48 or lower is asked.
training() {
	[ -n "$text" ] || { note "training: SKIP, no --text"; return 0; }
	local run=$out/shakespeare-char best
	rm -rf "$run"
	timed 60 training.txt "$aurelius" prepare "$text" --out "$out/shakespeare.h5" --val-fraction 0.1 || return 1
	timed 110 training.txt "$aurelius" train --config "$configs/shakespeare-char.yaml" --run "$run" \
		--data "$out/shakespeare.h5" --system.backend=cuda --system.precision=bf16 --train.checkpoint_interval=0 \
		--max-minutes 1.7
	best=$(sed -n 's/.*"event":"eval".*"val_loss":\([0-9.]*\).*/\1/p' "$run/log.jsonl" | sort -n | head -n 1)
	cp "$run/log.jsonl" "$out/shakespeare-char.jsonl"
	rm -rf "$run/checkpoints" "$out/shakespeare.h5"
	note "training: shakespeare-char, best validation loss ${best:-none}, asked 1.48"
	awk -v best="${best:-9}" 'BEGIN { exit !(best <= 1.48) }'
}

# Tokens a second of GPT-2 124M, bf16, T = 1024, beside the same model in PyTorch, in turns; then which kernels ran.
run_gpt2() {
	rm -rf "$out/speed-run"
	timed 60 "$1" "$aurelius" train --config "$configs/gpt2-124m.yaml" --run "$out/speed-run" --data synthetic \
		--train.steps=60 --train.warmup_steps=0 --train.log_interval=1 --train.eval_interval=0 --train.eval_windows=1 \
		--train.checkpoint_interval=0 --model.block_size=1024 --train.batch_size=32 --train.micro_batch_size=32 \
		--train.tokens=0 --system.backend=cuda --system.precision=bf16
}

run_pytorch() {
	[ -n "$python" ] || return 0
	timed 120 speed.txt "$python" "$bench/train_bench.py" --config "$configs/gpt2-124m.yaml" --mode compile --device cuda \
		--precision bf16 --batch-size 32 --micro-batch-size 32 --steps 60 --warmup 10
}

# The median of the steps from the eleventh on.
tokens_of() {
	sed -n 's/.*"event":"step".*"tokens_per_s":\([0-9.]*\).*/\1/p' "$1" | tail -n 50 | sort -n | sed -n 25p
}

trace_kernels() {
	[ -f "$trace" ] || { note "speed: the share of GPU time in kernels: SKIP, CUPTI was not there to build $(basename "$trace")"; return 0; }
	CUDA_INJECTION64_PATH=$trace AURELIUS_GPU_TRACE=$out/trace.txt run_gpt2 trace-run.txt || return 1
	grep -qs '^busy' "$out/trace.txt" || { note "speed: nothing was traced: can $trace be loaded, with its libcupti?"; return 1; }
	note "speed: GPU time in kernels: $(sed -n 's/^busy.*, //p' "$out/trace.txt") (97% asked), traced"
}

speed() {
	local turn
	for turn in 1 2 3; do
		run_gpt2 speed.txt || return 1
		cp "$out/speed-run/log.jsonl" "$out/speed-aurelius-$turn.jsonl"
		run_pytorch || return 1
	done
	note "speed: Aurelius, median tokens/s of each turn: $(for turn in 1 2 3; do tokens_of "$out/speed-aurelius-$turn.jsonl"; done |
		tr '\n' ' ')"
	note "speed: PyTorch, compiled, median tokens/s of each turn: $(sed -n 's/.*"tokens_per_s": *\([0-9.]*\).*/\1/p' "$out/speed.txt" |
		tr '\n' ' ')"
	trace_kernels
	local code=$?
	rm -rf "$out/speed-run"
	return "$code"
}

: >"$out/summary.txt"
find_programs
[ -x "$aurelius" ] || fail "no program $aurelius"
rm -f "$out"/{suite,sanitizer,agreement}-*.txt "$out"/{training,speed,trace,trace-run}.txt
describe_machine
for part in "${parts[@]}"; do
	began=$SECONDS ends=$((SECONDS + share[$part]))
	"$part" || { failed=1; note "$part: FAILED"; }
	note "$part took $((SECONDS - began)) s"
done
exit "$failed"
