#!/usr/bin/env bash
# One case of communication between ranks: comm.sh CASE. AURELIUS_RANKS names the program that a rank runs (ranks.c),
# AURELIUS the whole program with a stand-in for a GPU (program.c), AURELIUS_EMULATED with the emulated CUDA backend. Exit
# 77: skipped.
set -uo pipefail

ranks=${AURELIUS_RANKS:?the program that a rank runs}
aurelius=${AURELIUS:?the whole program}
scratch=$(mktemp -d /tmp/aurelius-comm-XXXXXX) || exit 1
trap 'rm -rf "$scratch"' EXIT
cd "$scratch" || exit 1

# mpirun refuses root and more ranks than cores unless told otherwise; a container is often both.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
export OMPI_MCA_mpi_yield_when_idle=1 OMP_NUM_THREADS=1
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0

fail() {
	echo "FAILED: $*" >&2
	tail -n 20 out.log >&2 2>/dev/null
	exit 1
}

skip() {
	echo "SKIP: $*"
	exit 77
}

# start RANKS CASE WAY: its output in out.log, its exit code as result.
start() {
	timeout 60 mpirun -np "$1" --bind-to none "$ranks" "$2" "$3" >out.log 2>&1
}

passes() {
	start "$@" || fail "$*: exit code $?"
}

# refuses RANKS CASE WAY CODE PATTERN...: ends with that code, within ten seconds, and says each of these.
refuses() {
	local n=$1 case=$2 way=$3 code=$4 got=0 began=$SECONDS pattern
	shift 4
	start "$n" "$case" "$way" || got=$?
	[ "$got" = "$code" ] || fail "$case $way: exit code $got, not $code"
	[ $((SECONDS - began)) -le 10 ] || fail "$case $way: took $((SECONDS - began)) s"
	for pattern in "$@"; do
		grep -qE -- "$pattern" out.log || fail "$case $way: nothing says: $pattern"
	done
}

nccl_gives_what_mpi_gives() {
	for n in 2 3 4; do passes $n same-as-mpi nccl; done
}

staging_gives_what_mpi_gives() {
	for n in 2 3 4; do passes $n same-as-mpi staged; done
}

host_values_go_over_mpi() {
	passes 3 host-values nccl
	passes 3 host-values staged
}

start_does_not_wait() {
	passes 2 start-does-not-wait nccl
}

memory_is_held_until_the_end() {
	passes 2 memory-is-held nccl
}

# NCCL itself would hang or mix up memory.
calls_that_differ_are_named() {
	refuses 2 another-slice nccl 4 'exchange 1, call [12]: rank . called ncclBroadcast of 1?[0-9]* int8' 'invalid usage'
	refuses 2 another-call nccl 4 'rank . called ncclReduce of 500 float32, operation 0, root 0, rank . called ncclBroadcast'
	refuses 2 another-message nccl 4 'ncclRecv of .*, rank . called ncclSend of'
}

# What a length does not show: types of equal size, roots and operations.
arguments_that_differ_are_named() {
	local exchange='exchange 1, call 1: rank 1 called'
	refuses 2 differ type 4 "$exchange ncclReduce of 100 int32, operation 0, root 0, rank 0 called ncclReduce of 100 float32,"
	refuses 2 differ root 4 "$exchange ncclReduce of 100 float32, operation 0, root 1, rank 0 called .*, root 0"
	refuses 2 differ operation 4 "$exchange ncclReduce of 100 float32, operation 2, root 0, rank 0 called .* operation 0"
	refuses 2 differ scattered 4 "$exchange ncclReduceScatter of 50 float32, operation 2, root 0, rank 0 .* operation 0"
	refuses 2 differ broadcast 4 "$exchange ncclBroadcast of 100 float32, operation 0, root 1, rank 0 called .*, root 0"
	refuses 2 differ gathered 4 "$exchange ncclAllGather of 50 int32, .*, rank 0 called ncclAllGather of 50 float32"
	refuses 2 differ message 4 "$exchange ncclRecv of 100 int32, .*, rank 0 called ncclSend of 100 float32"
	passes 2 differ nothing
}

a_failure_in_the_background_ends_all() {
	AURELIUS_EMULATED_NCCL_FAULT=1:3:error refuses 4 exchange-for-ever nccl 4 \
		'rank 1: NCCL: the gathering of slices: unhandled system error: exchange 3: a failure asked for'
}

a_killed_rank_ends_all() {
	AURELIUS_EMULATED_NCCL_FAULT=1:3:kill refuses 4 exchange-for-ever nccl 137 'signal 9'
}

a_call_that_hangs_ends_all() {
	AURELIUS_NCCL_TIMEOUT_S=2 AURELIUS_EMULATED_NCCL_FAULT=1:3:hang refuses 2 exchange-for-ever nccl 4 \
		'rank 1: NCCL: the gathering of slices: not done after 2 s'
}

a_wrong_limit_is_refused() {
	AURELIUS_NCCL_TIMEOUT_S=soon refuses 2 exchange-for-ever nccl 2 'AURELIUS_NCCL_TIMEOUT_S=soon'
}

chosen() {
	passes 2 choose "$1"
	grep -q "chosen: $2" out.log || fail "$1: not $2"
}

the_communicator_fits_the_devices() {
	chosen each nccl
	grep -q 'gradients travel between 2 GPUs by NCCL' out.log || fail "the log does not say so"
	# Where memory belongs to several sockets, ranks do not share it.
	chosen host "$(grep -qs '[-,]' /sys/devices/system/node/online && echo mpi || echo shared)"
	AURELIUS_EXCHANGE=mpi chosen host mpi
	chosen no-library staged
	grep -q 'staged through pinned host memory and MPI: NCCL is not compiled in' out.log || fail "no-library: not said"
	chosen sharing-allowed staged
	grep -q 'MPI: ranks share a GPU' out.log || fail "sharing-allowed: not said"
}

devices_that_do_not_fit_are_refused() {
	refuses 4 choose sharing 4 'ranks 0 and 1 have the same GPU .0000:00:00.0.: 4 ranks run on that node and see 2 GPUs'
	refuses 2 choose models 4 'rank 1 has the GPU A100 and rank 0 H200'
	refuses 2 choose backends 4 'rank 1 computes on other and rank 0 on cpu'
}

libraries_that_differ_are_refused() {
	timeout 60 mpirun --bind-to none -np 1 "$ranks" choose each : -np 1 -x AURELIUS_EMULATED_NCCL_VERSION=22003 "$ranks" \
		choose each >out.log 2>&1 && fail "two versions work together"
	grep -q 'rank 1 has NCCL 2.20.3 and rank 0 has 2.28.9' out.log || fail "the versions are not named"
}

# refused_once PATTERN COMMAND...: ends with 4 within ten seconds, in one line of the program, which says so.
refused_once() {
	local pattern=$1 got=0 began=$SECONDS
	shift
	timeout 60 "$@" >out.log 2>&1 || got=$?
	[ "$got" = 4 ] || fail "exit code $got, not 4: $*"
	[ $((SECONDS - began)) -le 10 ] || fail "took $((SECONDS - began)) s: $*"
	[ "$(grep -ciE '^aurelius: |error' out.log)" = 1 ] || fail "it is not said in one line: $*"
	grep -qE -- "^aurelius: .*$pattern" out.log || fail "nothing says: $pattern"
}

a_library_that_does_not_fit_ends_the_training() {
	local program options=(train --config config.yaml --run run --system.backend=cuda)
	export AURELIUS_EMULATOR_DEVICES=2
	prepare
	for program in "$aurelius" ${AURELIUS_EMULATED:+"$AURELIUS_EMULATED"}; do
		refused_once 'rank 1 has NCCL 2[.]20[.]3 and rank 0 has 2[.]28[.]9: all ranks need the same library' \
			mpirun --bind-to none -np 1 "$program" "${options[@]}" : -np 1 -x AURELIUS_EMULATED_NCCL_VERSION=22003 "$program" \
			"${options[@]}"
		refused_once 'NCCL 2[.]18[.]5 is too old: 2[.]19 or newer is needed' \
			mpirun --bind-to none -np 2 -x AURELIUS_EMULATED_NCCL_VERSION=21805 "$program" "${options[@]}"
	done
	[ -z "$(ls run/checkpoints 2>/dev/null)" ] || fail "a refused run left checkpoints"
}

prepare() {
	awk 'BEGIN { s = 7; for (i = 0; i < 4000; i++) { s = (s * 1103515245 + 12345) % 2147483648; \
		printf "%s%s", substr("the of and to in is that it was for ", 1 + int(s / 65536) % 30, 4), i % 12 ? " " : "\n" } }' >text.txt
	"$aurelius" prepare text.txt --out data.h5 >out.log 2>&1 || fail "prepare"
	cat >config.yaml <<-EOF
	model: {n_layer: 2, n_head: 3, n_embd: 39, block_size: 16, dropout: 0.1}
	data: {train: data.h5}
	train: {steps: 20, batch_size: 16, micro_batch_size: 2, log_interval: 1, eval_interval: 10, eval_windows: 20, checkpoint_interval: 10}
	system: {threads: 1}
	EOF
}

# train RANKS RUN [options]: its output in out.log.
train() {
	local n=$1 run=$2
	shift 2
	timeout 120 mpirun -np "$n" --bind-to none "$aurelius" train --config config.yaml --run "$run" "$@" >out.log 2>&1
}

# Losses, norms and rates of every step, and the evaluations: all digits, without the times.
curve() {
	grep -E '"event":"(step|eval)"' "$1/log.jsonl" | sed -e 's/,"tokens_per_s".*//'
}

# same_run ONE OTHER STEPS
same_run() {
	local last
	last=$(printf 'checkpoints/step-%08d.h5' "$3")
	[ "$(curve "$1" | wc -l)" -gt "$3" ] || fail "$1 has too few log lines"
	[ "$(curve "$1")" = "$(curve "$2")" ] || fail "losses or norms of $1 and $2 differ"
	h5diff "$1/$last" "$2/$last" /params || fail "weights of $1 and $2 differ"
	h5diff "$1/$last" "$2/$last" /adam || fail "m or v of $1 and $2 differ"
}

a_training_has_the_same_bits() {
	prepare
	train 1 one --system.backend=cpu || fail "one rank"
	for n in 2 4; do
		train $n mpi$n --system.backend=cpu || fail "$n ranks over MPI"
		train $n nccl$n --system.backend=auto || fail "$n ranks over NCCL"
		grep -q "gradients travel between $n GPUs by NCCL" out.log || fail "NCCL is not named"
		STAND_IN_SHARED=1 train $n staged$n --system.backend=auto --system.share_gpu=true \
			--system.allreduce_bucket_mb=0.01 || fail "$n ranks, staged"
		grep -q 'staged through pinned host memory' out.log || fail "staging is not named"
		same_run one mpi$n 20
		same_run one nccl$n 20
		same_run one staged$n 20
	done
}

# The CUDA backend itself, emulated, with its own streams: what each rank of two and four has is its own GPU.
emulated_has_the_same_bits() {
	local few=(--train.steps=4 --train.eval_interval=4 --train.checkpoint_interval=4 --train.batch_size=8 "$@")
	[ -x "${AURELIUS_EMULATED:-}" ] || skip "the emulated program is not built"
	aurelius=$AURELIUS_EMULATED
	prepare
	train 1 one "${few[@]}" || fail "one rank"
	for n in 2 4; do
		AURELIUS_EMULATOR_DEVICES=$n train $n nccl$n "${few[@]}" || fail "$n ranks over NCCL"
		grep -q "gradients travel between $n GPUs by NCCL" out.log || fail "NCCL is not named"
		same_run one nccl$n 4
	done
	AURELIUS_EMULATOR_DEVICES=1 train 2 staged "${few[@]}" --system.share_gpu=true || fail "staged"
	same_run one staged 4
	AURELIUS_EMULATOR_DEVICES=4 train 4 fast "${few[@]}" --train.reduction=fast || fail "fast"
	awk -v a="$(last_loss one)" -v b="$(last_loss fast)" 'BEGIN { d = a - b; exit !(a > 0 && b > 0 && d < 2e-3 && d > -2e-3) }' ||
		fail "fast: the loss is not close"
}

an_emulated_gpt_has_the_same_bits() {
	emulated_has_the_same_bits --model.n_head=2 --model.n_embd=16
}

an_emulated_bigram_has_the_same_bits() {
	emulated_has_the_same_bits --model.kind=bigram
}

bf16=(--system.precision=bf16 --model.dropout=0.1)

# Each launch once: the orders of threads are the suite of operations' matter.
an_emulated_gpt_in_bf16_has_the_same_bits() {
	AURELIUS_EMULATOR_SCHEDULES=1 emulated_has_the_same_bits --model.n_head=2 --model.n_embd=16 "${bf16[@]}"
}

few=(--train.steps=4 --train.eval_interval=4 --train.checkpoint_interval=4 --train.batch_size=8 --model.n_head=2
	--model.n_embd=16)

a_bf16_checkpoint_of_two_ranks_resumes_on_one_and_four() {
	local n
	[ -x "${AURELIUS_EMULATED:-}" ] || skip "the emulated program is not built"
	aurelius=$AURELIUS_EMULATED
	export AURELIUS_EMULATOR_SCHEDULES=1
	prepare
	train 1 whole "${few[@]}" "${bf16[@]}" || fail "the whole run"
	AURELIUS_EMULATOR_DEVICES=2 train 2 on1 "${few[@]}" "${bf16[@]}" --stop-at 2 || fail "the first half, on two ranks"
	cp -r on1 on4
	for n in 1 4; do
		AURELIUS_EMULATOR_DEVICES=$n train $n on$n "${few[@]}" "${bf16[@]}" || fail "the second half, on $n ranks"
		grep -q 'not with the same bits' out.log && fail "$n ranks: the resume speaks of other bits"
		same_run whole on$n 4
	done
}

# Two runs whose library suggests other algorithms: the second is what is to come out.
with_other_algorithms() {
	[ -x "${AURELIUS_EMULATED:-}" ] || skip "the emulated program is not built"
	aurelius=$AURELIUS_EMULATED
	prepare
	train 1 first "${few[@]}" || fail "the first algorithm"
	AURELIUS_EMULATOR_ALGORITHM=2 train 1 last "${few[@]}" || fail "the last algorithm"
	[ "$(curve first)" != "$(curve last)" ] || fail "both algorithms give equal bits, which shows nothing"
}

all_ranks_take_the_algorithms_of_rank_0() {
	with_other_algorithms
	local options=(train --config config.yaml --run two "${few[@]}")
	AURELIUS_EMULATOR_DEVICES=2 timeout 120 mpirun --bind-to none -np 1 -x AURELIUS_EMULATOR_ALGORITHM=2 \
		"$aurelius" "${options[@]}" : -np 1 "$aurelius" "${options[@]}" >out.log 2>&1 || fail "two ranks"
	same_run last two 4
	[ "$(grep -c 'attention: own kernels: ' out.log)" = 1 ] || fail "what computes attention is not said once"
}

a_resume_takes_the_algorithms_of_its_checkpoint() {
	local half=checkpoints/step-00000002.h5
	with_other_algorithms
	AURELIUS_EMULATOR_ALGORITHM=2 train 1 halves "${few[@]}" --stop-at 2 || fail "the first half"
	h5dump -w 0 -d /meta/choices halves/$half | grep -q 'aurelius-products 1 cublaslt [0-9]* gpu emulator' || fail "not kept"
	cp -r halves elsewhere
	train 1 halves "${few[@]}" || fail "the second half"
	grep -q 'by the algorithms that the checkpoint names' out.log || fail "it does not say so"
	same_run last halves 4
	AURELIUS_EMULATOR_NAME=another train 1 elsewhere "${few[@]}" || fail "on another GPU"
	grep -q 'names are not used: .*chosen for .*emulator.*not with the same bits' out.log || fail "another GPU is not named"
	train 1 fast "${few[@]}" --train.reduction=fast || fail "fast"
	h5dump -w 0 -d /meta/choices fast/checkpoints/step-00000004.h5 >h5.log 2>&1 && fail "a fast run keeps algorithms"
	true
}

# Of the emulated library's algorithms the second is the fastest, whichever is suggested first; evaluation's shapes are not
# timed.
a_fast_training_takes_the_fastest_algorithms() {
	with_other_algorithms
	train 1 plain "${few[@]}" --train.reduction=fast || fail "the first algorithm suggested"
	AURELIUS_EMULATOR_ALGORITHM=2 train 1 timed "${few[@]}" --train.reduction=fast || fail "the last algorithm suggested"
	[ "$(curve plain | grep -c '"event":"step"')" = 4 ] || fail "not four steps"
	[ "$(curve plain | grep '"event":"step"')" = "$(curve timed | grep '"event":"step"')" ] || fail "the suggestion is taken"
	h5diff plain/checkpoints/step-00000004.h5 timed/checkpoints/step-00000004.h5 /params || fail "weights differ"
	# Rank 1 is suggested another; it takes what rank 0 has timed.
	local options=(train --config config.yaml "${few[@]}" --train.reduction=fast)
	AURELIUS_EMULATOR_DEVICES=2 timeout 120 mpirun --bind-to none -np 2 "$aurelius" "${options[@]}" --run two >out.log 2>&1 ||
		fail "two ranks"
	AURELIUS_EMULATOR_DEVICES=2 timeout 120 mpirun --bind-to none -np 1 "$aurelius" "${options[@]}" --run other : \
		-np 1 -x AURELIUS_EMULATOR_ALGORITHM=2 "$aurelius" "${options[@]}" --run other >out.log 2>&1 || fail "two ranks that differ"
	[ "$(curve two | grep '"event":"step"')" = "$(curve other | grep '"event":"step"')" ] || fail "rank 1 takes its own"
}

last_loss() {
	grep '"event":"step"' "$1/log.jsonl" | tail -n 1 | sed -e 's/.*"loss":\([^,]*\).*/\1/'
}

a_fast_training_comes_close() {
	prepare
	train 1 one --system.backend=cpu || fail "one rank"
	train 4 nccl --system.backend=auto --train.reduction=fast --system.allreduce_bucket_mb=0.01 || fail "NCCL"
	STAND_IN_SHARED=1 train 4 staged --system.backend=auto --system.share_gpu=true --train.reduction=fast || fail "staged"
	for run in nccl staged; do
		awk -v a="$(last_loss one)" -v b="$(last_loss $run)" \
			'BEGIN { d = a - b; exit !(a > 0 && b > 0 && d < 2e-3 && d > -2e-3) }' || fail "$run: the loss is not close"
	done
}

# The exchange of a bucket begins while the backward pass goes on; what it gives is what one bucket at its end gives.
the_fast_reduction_overlaps() {
	[ -x "${AURELIUS_EMULATED:-}" ] || skip "the emulated program is not built"
	aurelius=$AURELIUS_EMULATED
	prepare
	local n options=(train --config config.yaml "${few[@]}" --train.reduction=fast --train.steps=1 --train.eval_interval=1
		--train.checkpoint_interval=1) weights=checkpoints/step-00000001.h5
	for n in 2 4; do
		AURELIUS_EMULATOR_DEVICES=$n AURELIUS_EMULATOR_TRACE=1 timeout 120 mpirun -np $n --tag-output --bind-to none "$aurelius" \
			"${options[@]}" --run buckets$n --system.allreduce_bucket_mb=0.004 >out.log 2>&1 || fail "$n ranks, buckets"
		# Kind 3 is a reduction; keys_gradient is a kernel of the backward pass, the last of them that of the first layer.
		grep '^\[1,0\]' out.log | awk '/exchange of kind 3,/ { if (!sums++) first = NR } /launch.*keys_gradient/ { last = NR }
			END { exit !(sums > 6 && first < last) }' || fail "$n ranks: no exchange begins before the backward pass ends"
		AURELIUS_EMULATOR_DEVICES=$n timeout 120 mpirun -np $n --bind-to none "$aurelius" "${options[@]}" --run one$n \
			--system.allreduce_bucket_mb=64 >out.log 2>&1 || fail "$n ranks, one bucket"
		# Of two numbers there is one sum; of four MPI, on which the twin stands, adds in an order that follows the size.
		if [ $n = 2 ]; then
			[ "$(curve buckets$n)" = "$(curve one$n)" ] || fail "$n ranks: losses or norms differ"
			h5diff buckets$n/$weights one$n/$weights /params || fail "$n ranks: weights differ"
		else
			h5diff -q -d 1e-5 buckets$n/$weights one$n/$weights /params || fail "$n ranks: weights are not close"
		fi
	done
}

a_failure_in_training_ends_all() {
	local began=$SECONDS
	prepare
	AURELIUS_EMULATED_NCCL_FAULT=1:30:error train 4 run --system.backend=auto && fail "it went on"
	grep -q 'rank 1: NCCL: .*unhandled system error' out.log || fail "rank 1 does not say what failed"
	[ $((SECONDS - began)) -le 15 ] || fail "it took $((SECONDS - began)) s"
}

ranks_without_a_gpu_of_their_own_are_refused() {
	prepare
	STAND_IN_SHARED=1 train 2 run --system.backend=auto && fail "it was not refused"
	grep -q 'ranks 0 and 1 have the same GPU .*: 2 ranks run on that node and see 1 GPU ' out.log || fail "it is not said"
	[ "$(grep -c 'the same GPU' out.log)" = 1 ] || fail "it is said more than once"
}

declare -F "${1:?a case}" >/dev/null || fail "no such case: $1"
"$1"
