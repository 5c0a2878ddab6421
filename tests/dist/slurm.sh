#!/usr/bin/env bash
# Trainings started by srun, on a Slurm of one node that this test starts by itself on the loopback address: its own
# munge key and socket, its own ports, everything in a scratch folder. AURELIUS names the program. Exit 77: skipped,
# with the reason. On Debian: apt-get install slurmctld slurmd slurm-client slurm-wlm-basic-plugins munge libpmix2
set -uo pipefail

aurelius=${AURELIUS:?the program to test}
# Slurm's and munge's sockets and PMIx's files have names of limited length: a short folder.
scratch=$(mktemp -d /tmp/aurelius-slurm-XXXXXX)
cd "$scratch" || exit 1
export SLURM_CONF=$scratch/slurm.conf ASAN_OPTIONS=detect_leaks=0
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
export OMPI_MCA_mpi_yield_when_idle=1
# A test inside a Slurm job must not take that job for its own.
for name in $(compgen -e | grep -E '^(SLURM_|PMI_|PMIX_|OMPI_COMM_)' | grep -vx SLURM_CONF); do
	unset "$name"
done

# Steps still running are cancelled first; each daemon is then ended by the process id it wrote itself.
stop_daemons() {
	[ -f slurmctld.pid ] && timeout 5 scancel --user="$(id -un)" --signal=KILL 2>/dev/null
	local file pid
	for file in slurmd.pid slurmctld.pid munge/pid; do
		pid=$(cat "$file" 2>/dev/null) && [ -n "$pid" ] || continue
		kill "$pid" 2>/dev/null
		timeout 10 tail --pid="$pid" -s 0.1 -f /dev/null || kill -KILL "$pid"
	done
}
trap 'stop_daemons; cd /; rm -rf "$scratch"' EXIT

fail() {
	echo "FAILED: $*" >&2
	tail -n 5 ./*.log >&2
	exit 1
}
skip() {
	echo "SKIP: $*"
	exit 77
}

PATH=$PATH:/usr/sbin:/sbin
for tool in munged slurmctld slurmd srun scancel squeue h5diff mpirun; do
	command -v $tool >/dev/null || skip "$tool is not installed"
done

start_munge() {
	mkdir -m 700 munge
	head -c 128 /dev/urandom >munge/key && chmod 600 munge/key
	munged --force --key-file="$scratch/munge/key" --socket="$scratch/munge/socket" --pid-file="$scratch/munge/pid" \
		--log-file="$scratch/munge/log" --seed-file="$scratch/munge/seed" >munged.log 2>&1 ||
		skip "munged cannot start here: $(tail -n 1 munged.log)"
}

# Two processors whatever the machine has: a node may claim more than it finds.
write_slurm_conf() {
	local name port=$((20000 + $$ % 10000 * 2))
	name=$(hostname -s)
	mkdir state spool
	cat >slurm.conf <<-CONF
		ClusterName=aurelius
		SlurmctldHost=$name(127.0.0.1)
		SlurmctldPort=$port
		SlurmdPort=$((port + 1))
		SlurmUser=$(id -un)
		SlurmdUser=$(id -un)
		AuthType=auth/munge
		AuthInfo=socket=$scratch/munge/socket
		CredType=cred/munge
		StateSaveLocation=$scratch/state
		SlurmdSpoolDir=$scratch/spool
		SlurmctldPidFile=$scratch/slurmctld.pid
		SlurmdPidFile=$scratch/slurmd.pid
		SlurmctldLogFile=$scratch/slurmctld.log
		SlurmdLogFile=$scratch/slurmd.log
		MpiDefault=none
		ProctrackType=proctrack/linuxproc
		TaskPlugin=task/affinity
		JobAcctGatherType=jobacct_gather/none
		SelectType=select/cons_tres
		SelectTypeParameters=CR_CPU
		SlurmdParameters=config_overrides
		ReturnToService=2
		NodeName=$name NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
		PartitionName=all Nodes=ALL Default=YES MaxTime=5 State=UP
	CONF
}

start_slurm() {
	slurmctld >start.log 2>&1 && slurmd >>start.log 2>&1 || skip "Slurm's daemons cannot start here: $(tail -n 1 start.log)"
	for _ in $(seq 100); do
		sinfo -h -o %T 2>/dev/null | grep -qx idle && return
		sleep 0.1
	done
	skip "the Slurm node does not come up here: $(sinfo -h -o %T 2>&1 | tail -n 1) $(tail -n 1 slurmd.log)"
}

prepare_training() {
	awk 'BEGIN { s = 7; for (i = 0; i < 4000; i++) { s = (s * 1103515245 + 12345) % 2147483648; \
		printf "%s%s", substr("the of and to in is that it was for ", 1 + int(s / 65536) % 30, 4), i % 12 ? " " : "\n" } }' >text.txt
	"$aurelius" prepare text.txt --out data.h5 >prepare.log 2>&1 || fail "prepare"
	cat >config.yaml <<-CONF
		model: {n_layer: 2, n_head: 2, n_embd: 24, block_size: 16, dropout: 0.1}
		data: {train: data.h5}
		train: {steps: 50, batch_size: 16, micro_batch_size: 2, learning_rate: 5e-3, warmup_steps: 5, log_interval: 1,
		  eval_interval: 25, eval_windows: 20, checkpoint_interval: 25}
	CONF
}

# by_srun RUN "options of srun" [options]: its output in RUN.log, its exit code as result.
by_srun() {
	local run=$1 options=$2
	shift 2
	# shellcheck disable=SC2086
	timeout 60 srun $options "$aurelius" train --config config.yaml --run "$run" "$@" >"$run.log" 2>&1
}

same_weights() {
	local group
	for group in /params /adam; do
		h5diff "$1/checkpoints/step-00000050.h5" "$2/checkpoints/step-00000050.h5" $group >diff.log 2>&1 ||
			fail "$group of $1 and $2 differs"
	done
}

one_job_of_two_ranks_with_equal_bits() {
	by_srun pmix "-n 2 --mpi=pmix" || fail "srun --mpi=pmix"
	grep -q "^2 ranks of 1 thread" pmix.log || fail "it is not one job of two ranks"
	timeout 60 "$aurelius" train --config config.yaml --run one >one.log 2>&1 || fail "one rank"
	timeout 60 mpirun -np 2 --bind-to none "$aurelius" train --config config.yaml --run mpi >mpi.log 2>&1 || fail "mpirun"
	same_weights pmix one
	same_weights pmix mpi
}

several_processes_without_pmix_are_refused() {
	by_srun none "-n 2"
	[ $? = 2 ] || fail "exit code without --mpi=pmix is not 2"
	grep -q "^aurelius: .*use srun --mpi=pmix" none.log || fail "the message does not name srun --mpi=pmix"
	[ ! -e none ] || fail "a refused start left a run folder"
}

# Bound to one processor of a node of two: the job owns one, or both.
threads_are_those_of_the_job() {
	by_srun narrow "-n 1 --mpi=pmix" --stop-at 2 || fail "one task of one processor"
	grep -q "^1 rank of 1 thread" narrow.log || fail "a job of one processor uses more"
	grep -q "bound this rank" narrow.log && fail "it widened beyond its job"
	by_srun wide "-n 1 -c 2 --mpi=pmix" --stop-at 2 || fail "one task of two processors"
	[ "$(nproc)" -lt 2 ] || grep -q "^1 rank of 2 threads" wide.log || fail "a job of two processors uses fewer"
	by_srun many "-n 1 --mpi=pmix" --stop-at 2 --system.threads=2 || fail "more threads than the job has processors"
	grep -q "2 threads share 1 cores.*srun --cpus-per-task" many.log || fail "nothing said of too many threads"
}

# The shell of `srun --pty bash` where Slurm's default is pmix or pmi2.
commands_follow_each_other_in_one_task() {
	local mpi
	for mpi in pmix pmi2; do
		timeout 60 srun -n 1 --mpi=$mpi bash -c "'$aurelius' train --config config.yaml --run $mpi-1 --stop-at 2 &&
			'$aurelius' train --config config.yaml --run $mpi-2 --stop-at 2" >shell.log 2>&1 || fail "two commands in one task, $mpi"
	done
}

job_of() {
	squeue -h -n "$1" -o %i
}

# signalled RUN COMMAND...: the command ends a long training in a way that saves.
signalled() {
	local run=$1 launched
	timeout 60 srun -n 2 --mpi=pmix -J "$run" "$aurelius" train --config config.yaml --run "$run" --train.steps=1000000 \
		--train.eval_interval=0 --train.checkpoint_interval=1000000 >"$run.log" 2>&1 &
	launched=$!
	for _ in $(seq 300); do
		grep -q "^step 12/" "$run.log" && break
		sleep 0.1
	done
	"${@:2}" "$(job_of "$run")" || fail "${*:2}"
	wait $launched
	[ $? = 75 ] || fail "$run: exit code is not 75"
	grep -q "stopped at step" "$run.log" || fail "$run: it does not say that it stopped"
	ls "$run"/checkpoints/step-*.h5 >/dev/null 2>&1 || fail "$run: no checkpoint"
}

start_munge
write_slurm_conf
start_slurm
srun --mpi=list 2>&1 | grep -qw pmix || skip "this Slurm has no PMIx plugin"
prepare_training
one_job_of_two_ranks_with_equal_bits
several_processes_without_pmix_are_refused
threads_are_those_of_the_job
commands_follow_each_other_in_one_task
signalled usr1 scancel --signal=USR1
signalled term scancel --signal=TERM
signalled cancelled scancel
echo "srun: all as expected"
