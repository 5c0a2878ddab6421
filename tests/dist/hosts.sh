#!/usr/bin/env bash
# Trainings across several hosts, which this test makes itself: see network.sh. AURELIUS names the program. Exit 77:
# skipped, with the reason. Needs root; on Debian: apt-get install openssh-server iproute2
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
launch=$(dirname "$(dirname "$here")")/launch
# shellcheck source=tests/dist/network.sh
. "$here/network.sh"

fail() {
	echo "FAILED: $*" >&2
	tail -n 5 ./*.log >&2
	exit 1
}
skip() {
	echo "SKIP: $*"
	exit 77
}

# Made and removed outside the namespaces, so that it goes whatever happens in there.
main() {
	: "${AURELIUS:?the program to test}"
	scratch=$(mktemp -d /tmp/aurelius-hosts-XXXXXX) || exit 1
	trap 'rm -rf "$scratch"' EXIT
	cd "$scratch" || exit 1
	local tool why
	for tool in mpirun h5diff; do
		command -v $tool >/dev/null || skip "$tool is not installed"
	done
	if why=$(network_lacks); then
		skip "$why"
	fi
	enter_network bash "$here/hosts.sh" inside
}

prepare_training() {
	awk 'BEGIN { s = 7; for (i = 0; i < 4000; i++) { s = (s * 1103515245 + 12345) % 2147483648; \
		printf "%s%s", substr("the of and to in is that it was for ", 1 + int(s / 65536) % 30, 4), i % 12 ? " " : "\n" } }' >text.txt
	"$AURELIUS" prepare text.txt --out data.h5 >prepare.log 2>&1 || fail "prepare"
	cat >config.yaml <<-CONF
		model: {n_layer: 2, n_head: 2, n_embd: 24, block_size: 16, dropout: 0.1}
		data: {train: data.h5}
		train: {steps: 50, batch_size: 16, micro_batch_size: 2, learning_rate: 5e-3, warmup_steps: 5, log_interval: 1,
		  eval_interval: 25, eval_windows: 20, checkpoint_interval: 25}
		system: {threads: 1}
	CONF
	printf 'h%d slots=1\n' 1 2 >two-hosts
	printf 'h%d slots=1\n' 1 2 3 4 >four-hosts
}

# All digits of losses, norms and rates, without the times; what a resume repeats is there once.
curve() {
	grep -E '"event":"(step|eval)"' "$1/log.jsonl" | sed -e 's/,"tokens_per_s".*//' | sort -u -t: -k3,3n -k2,2
}

# same_bits RUN RUN STEP
same_bits() {
	local group
	cmp -s <(curve "$1") <(curve "$2") || fail "the losses of $1 and $2 differ: $(diff <(curve "$1") <(curve "$2") | head -n 4)"
	for group in /params /adam; do
		h5diff "$1/checkpoints/step-$3.h5" "$2/checkpoints/step-$3.h5" $group >diff.log 2>&1 ||
			fail "$group of $1 and $2 differs"
	done
}

# train HOST HOSTFILE RUN [options]: mpirun on that host; its output in RUN.log, its exit code as result.
train() {
	local where=$1 file=$2 run=$3
	shift 3
	on_host "$where" timeout -k 1 250 mpirun --hostfile "$file" "$AURELIUS" train --config config.yaml --run "$run" "$@" \
		>>"$run.log" 2>&1
}

ranks_on_hosts_give_equal_bits() {
	[ "$(on_host 1 mpirun --hostfile four-hosts hostname | sort | tr '\n' ' ')" = "h1 h2 h3 h4 " ] || fail "not one rank a host"
	timeout -k 1 250 "$AURELIUS" train --config config.yaml --run one >one.log 2>&1 || fail "one rank"
	train 1 two-hosts two || fail "two hosts"
	grep -q "^2 ranks of 1 thread" two.log || fail "it is not one job of two ranks"
	train 1 four-hosts four || fail "four hosts"
	grep -q "^4 ranks of 1 thread" four.log || fail "it is not one job of four ranks"
	same_bits one two 00000050
	same_bits one four 00000050
}

# From a machine that takes no part itself, as a cluster's login node.
run_sh_takes_a_hostfile() {
	timeout -k 1 250 "$launch/run.sh" --hostfile four-hosts -- --config config.yaml --run wrapped >wrapped.log 2>&1 || fail "run.sh"
	grep -q "^4 ranks of 1 thread" wrapped.log || fail "run.sh: it is not one job of four ranks"
	same_bits one wrapped 00000050
}

# With docker0 every host has the same address once more, and Open MPI waits for ever at the wrong one unless it is told.
the_network_can_be_chosen() {
	local i
	for i in 1 2; do
		ip -n "h$i" link add name docker0 type bridge && ip -n "h$i" address add 172.17.0.1/16 dev docker0 &&
			ip -n "h$i" link set docker0 up || fail "docker0"
	done
	OMPI_MCA_btl_tcp_if_include=$network.0/24 OMPI_MCA_oob_tcp_if_include=$network.0/24 train 1 two-hosts chosen ||
		fail "a chosen network"
	for i in 1 2; do ip -n "h$i" link delete docker0; done
	same_bits one chosen 00000050
}

long=(--train.steps=4000 --train.eval_interval=1000 --train.checkpoint_interval=100)

# wait_for_steps RUN PROCESS: until the run is well past its first checkpoint, however slow the machine is.
wait_for_steps() {
	while kill -0 "$2" 2>/dev/null; do
		grep -qs '"step":400,' "$1/log.jsonl" && return
		sleep 0.05
	done
	fail "$1: it has ended before step 400"
}

# ends_badly PROCESS SECONDS WHAT
ends_badly() {
	timeout "$2" tail --pid="$1" -s 0.1 -f /dev/null || fail "$3: the job still runs after $2 s"
	wait "$1" && fail "$3: the job ended with 0"
}

# rank 1's processes, its mpirun daemon and its sshd are gone at once. It comes back while run.sh pauses.
a_crashed_host_ends_the_job_and_run_sh_goes_on() {
	timeout -k 1 250 "$AURELIUS" train --config config.yaml --run steady "${long[@]}" >steady.log 2>&1 || fail "one rank, long"
	train 1 two-hosts crashed "${long[@]}" &
	local job=$!
	wait_for_steps crashed $job
	end_host 2
	ends_badly $job 30 "a crashed host"
	start_host 2 || fail "h2 does not come back"
	on_host 1 timeout -k 1 250 "$launch/run.sh" --hostfile two-hosts --pause 4 -- --config config.yaml --run crashed "${long[@]}" \
		>>crashed.log 2>&1 &
	job=$!
	for _ in {1..600}; do
		grep -qs '"step":2000,' crashed/log.jsonl && break
		sleep 0.05
	done
	end_host 2
	start_host 2 || fail "h2 does not come back"
	wait $job || fail "run.sh does not survive a crashed host"
	grep -q "^run.sh: start 2 from step [1-9]" crashed.log || fail "run.sh did not start again"
	same_bits steady crashed 00004000
}

# No packet says that the host is gone. mpirun asks by itself, in 8 minutes by default, with run.sh in one; in this test
# sooner. The host does not come back: the run goes on without it.
a_pulled_cable_ends_the_job_and_fewer_hosts_go_on() {
	on_host 1 env OMPI_MCA_oob_tcp_keepalive_time=3 OMPI_MCA_oob_tcp_keepalive_intvl=1 OMPI_MCA_oob_tcp_keepalive_probes=3 \
		timeout -k 1 250 "$launch/run.sh" --once --hostfile two-hosts -- --config config.yaml --run cut "${long[@]}" >>cut.log 2>&1 &
	local job=$!
	wait_for_steps cut $job
	cut_host 2
	ends_badly $job 40 "a pulled cable"
	echo "h3 slots=1" >other-host
	on_host 1 timeout -k 1 250 "$launch/run.sh" --hostfile other-host -- --config config.yaml --run cut "${long[@]}" >>cut.log 2>&1 ||
		fail "no restart after a pulled cable"
	mend_host 2
	same_bits steady cut 00004000
}

a_signal_to_run_sh_saves_on_all_hosts() {
	on_host 1 timeout -k 1 250 "$launch/run.sh" --hostfile two-hosts -- --config config.yaml --run signalled "${long[@]}" \
		--train.steps=1000000 >>signalled.log 2>&1 &
	local job=$! script
	wait_for_steps signalled $job
	script=$(pgrep -f "^/?[a-z/]*bash $launch/run.sh .*--run signalled" | head -n 1)
	kill -TERM "$script"
	wait $job
	[ $? = 75 ] || fail "exit code after SIGTERM to run.sh is not 75"
	grep -q "stopped at step" signalled.log || fail "it does not say that it stopped"
	ls signalled/checkpoints/step-*.h5 >/dev/null 2>&1 || fail "no checkpoint after a signal"
}

scaling_is_measured_across_hosts() {
	command -v gnuplot >/dev/null || { echo "without gnuplot scaling.sh is left out" && return; }
	on_host 1 timeout -k 1 250 "$launch/scaling.sh" --config config.yaml --data data.h5 --ranks "1 2 4" --steps 5 --threads 1 \
		--hostfile four-hosts --out measured >scaling.log 2>&1 || fail "scaling.sh"
	[ "$(cut -d, -f1-3 measured/scaling.csv | tr '\n' ' ')" = "ranks,threads,batch 1,1,16 2,1,16 4,1,16 2,1,32 4,1,64 " ] ||
		fail "the rows of scaling.csv: $(cat measured/scaling.csv)"
}

inside() {
	host_process=()
	export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_mpi_yield_when_idle=1
	export OMPI_MCA_hwloc_base_binding_policy=none ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0
	open_network "$PWD/ssh" 4 || skip "no network of hosts here"
	local i
	for i in 1 2 3 4; do
		start_host $i || skip "sshd does not work in a network namespace here: $(tail -n 1 "ssh/h$i.log")"
	done
	prepare_training
	ranks_on_hosts_give_equal_bits
	run_sh_takes_a_hostfile
	the_network_can_be_chosen
	a_crashed_host_ends_the_job_and_run_sh_goes_on
	a_pulled_cable_ends_the_job_and_fewer_hosts_go_on
	a_signal_to_run_sh_saves_on_all_hosts
	scaling_is_measured_across_hosts
	echo "hosts: all as expected"
}

if [ "${1:-}" = inside ]; then
	inside
else
	main
fi
