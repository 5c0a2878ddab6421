#!/usr/bin/env bash
# Trainings started by Slurm, on daemons that this test starts by itself: its own munge key and socket, its own ports,
# everything in a scratch folder. AURELIUS names the program. Exit 77: skipped, with the reason. On Debian:
# apt-get install slurmctld slurmd slurm-client slurm-wlm-basic-plugins munge libpmix2
#
#   slurm.sh          one node on the loopback address
#   slurm.sh nodes    four nodes, each a host of network.sh; needs root, openssh-server and iproute2 besides
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
home=$(dirname "$(dirname "$here")")
aurelius=${AURELIUS:?the program to test}
# shellcheck source=tests/dist/network.sh
. "$here/network.sh"
if [ "${1:-}" = inside ]; then
	scratch=$PWD
else
	# Slurm's and munge's sockets and PMIx's files have names of limited length: a short folder.
	scratch=$(mktemp -d /tmp/aurelius-slurm-XXXXXX) || exit 1
fi
cd "$scratch" || exit 1
export SLURM_CONF=$scratch/slurm.conf ASAN_OPTIONS=detect_leaks=0
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
export OMPI_MCA_mpi_yield_when_idle=1
# A test inside a Slurm job must not take that job for its own.
for name in $(compgen -e | grep -E '^(SLURM_|PMI_|PMIX_|OMPI_COMM_)' | grep -vx SLURM_CONF); do
	unset "$name"
done

# end_daemon FILE: the daemon whose process id is in the file it wrote.
end_daemon() {
	local pid
	pid=$(cat "$1" 2>/dev/null) && [ -n "$pid" ] || return
	kill "$pid" 2>/dev/null
	timeout 10 tail --pid="$pid" -s 0.1 -f /dev/null || kill -KILL "$pid"
}

# Jobs still running are cancelled first: without slurmd their processes would stay for ever.
stop_daemons() {
	local file
	if [ -f slurmctld.pid ]; then
		timeout 5 scancel --user="$(id -un)" --signal=KILL --full 2>/dev/null
		timeout 5 scancel --user="$(id -un)" 2>/dev/null
		for _ in $(seq 50); do
			timeout 5 squeue -h 2>/dev/null | grep -q . || break
			sleep 0.2
		done
	fi
	for file in slurmd.*.pid slurmctld.pid munge/pid; do
		end_daemon "$file"
	done
}

# With nodes as hosts of network.sh everything ends with them, and process ids in there mean something else out here.
case "${1:-}" in
"") trap 'stop_daemons; cd /; rm -rf "$scratch"' EXIT ;;
nodes) trap 'cd /; rm -rf "$scratch"' EXIT ;;
esac

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
for tool in munged slurmctld slurmd srun sbatch salloc scancel scontrol squeue h5diff mpirun; do
	command -v $tool >/dev/null || skip "$tool is not installed"
done

start_munge() {
	mkdir -m 700 munge
	head -c 128 /dev/urandom >munge/key && chmod 600 munge/key
	munged --force --key-file="$scratch/munge/key" --socket="$scratch/munge/socket" --pid-file="$scratch/munge/pid" \
		--log-file="$scratch/munge/log" --seed-file="$scratch/munge/seed" >munged.log 2>&1 ||
		skip "munged cannot start here: $(tail -n 1 munged.log)"
}

# write_slurm_conf CONTROLLER ADDRESS NODES TMP: NODES are lines that define them; a node may claim more processors than it
# finds. In TMP the PMIx of each node makes folders that must not be there before: a folder of each node's own.
write_slurm_conf() {
	local port=$((20000 + $$ % 10000 * 2))
	mkdir state
	cat >slurm.conf <<-CONF
		ClusterName=aurelius
		SlurmctldHost=$1($2)
		SlurmctldPort=$port
		SlurmdPort=$((port + 1))
		SlurmUser=$(id -un)
		SlurmdUser=$(id -un)
		AuthType=auth/munge
		AuthInfo=socket=$scratch/munge/socket
		CredType=cred/munge
		StateSaveLocation=$scratch/state
		SlurmdSpoolDir=$scratch/spool.%n
		SlurmctldPidFile=$scratch/slurmctld.pid
		SlurmdPidFile=$scratch/slurmd.%n.pid
		SlurmctldLogFile=$scratch/slurmctld.log
		SlurmdLogFile=$scratch/slurmd.%n.log
		TmpFS=$4
		MpiDefault=none
		ProctrackType=proctrack/linuxproc
		TaskPlugin=task/affinity
		JobAcctGatherType=jobacct_gather/none
		SelectType=select/cons_tres
		SelectTypeParameters=CR_CPU
		SlurmdParameters=config_overrides
		ReturnToService=2
		$3
		PartitionName=all Nodes=ALL Default=YES MaxTime=5 State=UP
	CONF
}

start_controller() {
	slurmctld >start.log 2>&1 || skip "Slurm's controller cannot start here: $(tail -n 1 start.log)"
}

wait_for_nodes() {
	for _ in $(seq 100); do
		[ "$(sinfo -h -N -o %T 2>/dev/null | grep -cx idle)" = "$1" ] && return
		sleep 0.1
	done
	skip "the Slurm nodes do not come up here: $(sinfo -h -o %T 2>&1 | tail -n 1) $(tail -q -n 1 slurmd.*.log)"
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
	timeout 150 srun $options "$aurelius" train --config config.yaml --run "$run" "$@" >"$run.log" 2>&1
}

# same_weights RUN RUN [STEP]
same_weights() {
	local group step=${3:-00000050}
	for group in /params /adam; do
		h5diff "$1/checkpoints/step-$step.h5" "$2/checkpoints/step-$step.h5" $group >diff.log 2>&1 ||
			fail "$group of $1 and $2 differs"
	done
}

one_job_of_two_ranks_with_equal_bits() {
	by_srun pmix "-n 2 --mpi=pmix" || fail "srun --mpi=pmix"
	grep -q "^2 ranks of 1 thread" pmix.log || fail "it is not one job of two ranks"
	one_rank one
	timeout 150 mpirun -np 2 --bind-to none "$aurelius" train --config config.yaml --run mpi >mpi.log 2>&1 || fail "mpirun"
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
		timeout 150 srun -n 1 --mpi=$mpi bash -c "'$aurelius' train --config config.yaml --run $mpi-1 --stop-at 2 &&
			'$aurelius' train --config config.yaml --run $mpi-2 --stop-at 2" >shell.log 2>&1 || fail "two commands in one task, $mpi"
	done
}

job_of() {
	squeue -h -n "$1" -o %i
}

# is_told_of NAME: its number into $job.
is_told_of() {
	job=$(job_of "$1")
	[ -n "$job" ]
}

# signalled RUN COMMAND...: the command ends a long training in a way that saves.
signalled() {
	local run=$1 launched job
	timeout 150 srun -n 2 --mpi=pmix -J "$run" "$aurelius" train --config config.yaml --run "$run" --train.steps=1000000 \
		--train.eval_interval=0 --train.checkpoint_interval=1000000 >"$run.log" 2>&1 &
	launched=$!
	for _ in $(seq 300); do
		grep -q "^step 12/" "$run.log" && break
		sleep 0.1
	done
	until_true 20 is_told_of "$run" || fail "squeue does not tell of $run: $(squeue 2>&1)"
	"${@:2}" "$job" || fail "${*:2}"
	wait $launched
	[ $? = 75 ] || fail "$run: exit code is not 75"
	grep -q "stopped at step" "$run.log" || fail "$run: it does not say that it stopped"
	ls "$run"/checkpoints/step-*.h5 >/dev/null 2>&1 || fail "$run: no checkpoint"
}

# until_true SECONDS COMMAND...: the command succeeds within that time.
until_true() {
	local end=$((SECONDS + $1))
	shift
	until "$@" >/dev/null 2>&1; do
		((SECONDS < end)) || return 1
		sleep 0.2
	done
}

# batch NAME [options of sbatch] -- FILE [options of train]: submits a file of launch/slurm, its log in NAME.log.
batch() {
	local name=$1 options=()
	shift
	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	AURELIUS_HOME=$home sbatch --parsable --job-name="$name" --output="$name.log" --time=5 --cpus-per-task=1 "${options[@]}" \
		"$home/launch/slurm/$2" --config config.yaml --run "$name" "${@:3}" 2>>sbatch.log || fail "sbatch $2"
}

is_pending() {
	[ "$(squeue -h -j "$1" -o %T 2>/dev/null)" = PENDING ]
}

is_over() {
	! squeue -h -j "$1" -o %T 2>/dev/null | grep -q .
}

has_ended() {
	is_over "$1" && return
	scontrol update JobId="$1" StartTime=now 2>/dev/null
	return 1
}

# One thread: two of them lose most of their time where other processes run.
one_rank() {
	timeout 250 "$aurelius" train --config config.yaml --system.threads=1 --run "$@" >"$1.log" 2>&1 || fail "one rank"
}

the_batch_file_for_one_node_trains() {
	local job
	job=$(batch single -- one-node.sbatch)
	until_true 60 is_over "$job" || fail "one-node.sbatch does not end"
	grep -q "^2 ranks of 1 thread" single.log || fail "one-node.sbatch: it is not one job of two ranks"
	same_weights single one
}

# part_ends JOB RUN PARTS: some steps into that part it saves on a signal and is queued again.
part_ends() {
	until_true 150 begins "$@" || fail "$2: part $3 does not begin"
	sleep 1
	scancel --signal=USR1 "$1" || fail "scancel"
	until_true 60 is_pending "$1" || fail "$2 is not queued again"
	# A start in the very second in which slurmd ended the part before is refused: "already killed, do not launch".
	sleep 5
	[ "$(grep -c "goes on in a further part" "$2.log")" = "$3" ] || fail "$2 has not ended $3 parts by itself"
}

# Slurm sets a queued job's earliest start two minutes ahead some time after it shows the job as pending: asked once, it
# may forget.
begins() {
	has_parts "$2" "$3" && return
	scontrol update JobId="$1" StartTime=now 2>/dev/null
	return 1
}

# As many parts have taken a step as have begun with the line on ranks and threads.
has_parts() {
	[ "$(awk '/^2 ranks of 1 thread/ { begun = 1 } begun && /^step [1-9][0-9]*\// { n++; begun = 0 } END { print n + 0 }' "$1.log")" = "$2" ]
}

# Slurm lets a requeued job wait two minutes, but takes another time to start. Its steps are counted from 0 again: what
# a killed slurmstepd of the part before left under that number keeps the first srun from starting anything (and that
# srun returns 0). The job has no end until the configuration names one: no machine is too slow for this test.
a_requeued_training_goes_on_to_its_end() {
	local job left step long=(--train.schedule=constant --train.eval_interval=0 --train.checkpoint_interval=0)
	sed 's/steps: 50/steps: 1000000/; s/batch_size: 16, micro_batch_size: 2/batch_size: 256, micro_batch_size: 32/' config.yaml >endless.yaml
	mv config.yaml kept.yaml && cp endless.yaml config.yaml
	job=$(batch parted -- requeue.sbatch "${long[@]}")
	part_ends "$job" parted 1
	part_ends "$job" parted 2
	left="spool.$(hostname -s)/stepd.slurm.pmix.$job.0"
	[ ! -e "$left" ] || fail "requeue.sbatch did not wait for its step to end: $left is there"
	: >"$left"
	step=$(find parted/checkpoints -name 'step-*.h5' | sort | tail -n 1 | sed 's/.*step-0*//; s/\.h5//')
	step=$((step + 50))
	sed "s/steps: 1000000/steps: $step/" endless.yaml >config.yaml
	until_true 150 has_ended "$job" || fail "requeue.sbatch does not end"
	grep -q "srun ended with 0, but the run is not finished" parted.log || fail "an srun that started nothing was believed"
	[ "$(grep -c "^going on from" parted.log)" = 2 ] || fail "requeue.sbatch: not two further parts"
	one_rank undisturbed "${long[@]}"
	same_weights parted undisturbed "$(printf %08d "$step")"
	mv kept.yaml config.yaml
}

# scaling "options of salloc" "COUNTS" "rows of the table"
scaling() {
	command -v gnuplot >/dev/null || { echo "without gnuplot scaling.sh is left out" && return; }
	# shellcheck disable=SC2086
	timeout 250 salloc $1 "$home/launch/scaling.sh" --config config.yaml --data data.h5 --ranks "$2" --steps 5 --threads 1 \
		--out measured >scaling.log 2>&1 || fail "scaling.sh under Slurm"
	[ "$(cut -d, -f1-3 measured/scaling.csv | tr '\n' ' ')" = "ranks,threads,batch $3 " ] ||
		fail "the rows of scaling.csv: $(cat measured/scaling.csv)"
}

one_node() {
	local name
	name=$(hostname -s)
	mkdir tmp
	write_slurm_conf "$name" 127.0.0.1 "NodeName=$name NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN" "$scratch/tmp"
	start_controller
	slurmd >>start.log 2>&1 || skip "Slurm's daemon cannot start here: $(tail -n 1 start.log)"
	wait_for_nodes 1
	srun --mpi=list 2>&1 | grep -qw pmix || skip "this Slurm has no PMIx plugin"
	prepare_training
	one_job_of_two_ranks_with_equal_bits
	several_processes_without_pmix_are_refused
	threads_are_those_of_the_job
	commands_follow_each_other_in_one_task
	signalled usr1 scancel --signal=USR1
	signalled term scancel --signal=TERM
	signalled cancelled scancel
	the_batch_file_for_one_node_trains
	a_requeued_training_goes_on_to_its_end
	scaling "-n 2" "1 2" "1,1,16 2,1,16 2,1,32"
}

the_batch_file_for_many_nodes_trains() {
	local job
	job=$(batch many -- many-nodes.sbatch)
	until_true 100 is_over "$job" || fail "many-nodes.sbatch does not end"
	grep -q "^8 ranks of 1 thread" many.log || fail "many-nodes.sbatch: it is not one job of eight ranks"
	one_rank one
	same_weights many one
}

# It takes the nodes from the job and starts its daemons there by srun.
mpirun_works_inside_a_job() {
	timeout 150 salloc -N 4 -n 4 mpirun --bind-to none "$aurelius" train --config config.yaml --run inner >inner.log 2>&1 ||
		fail "mpirun inside a job"
	grep -q "^4 ranks of 1 thread" inner.log || fail "mpirun inside a job: not one job of four ranks"
	same_weights inner one
}

four_nodes() {
	local i lines=""
	host_process=()
	open_network "$PWD/ssh" 4 || skip "no network of hosts here"
	start_munge
	for i in 1 2 3 4; do
		start_host $i || skip "sshd does not work in a network namespace here: $(tail -n 1 "ssh/h$i.log")"
		lines+="NodeName=h$i NodeAddr=$network.$i CPUs=2 State=UNKNOWN"$'\n'
	done
	write_slurm_conf login "$network.254" "$lines" /run
	start_controller
	for i in 1 2 3 4; do
		on_host $i slurmd >>start.log 2>&1 || skip "Slurm's daemon cannot start here: $(tail -n 1 slurmd.h$i.log)"
	done
	wait_for_nodes 4
	srun --mpi=list 2>&1 | grep -qw pmix || skip "this Slurm has no PMIx plugin"
	prepare_training
	[ "$(srun -N 4 hostname | sort | tr '\n' ' ')" = "h1 h2 h3 h4 " ] || fail "srun does not reach four nodes"
	the_batch_file_for_many_nodes_trains
	mpirun_works_inside_a_job
	scaling "-N 4 -n 4" "1 2 4" "1,1,16 2,1,16 4,1,16 2,1,32 4,1,64"
}

case "${1:-}" in
nodes)
	if why=$(network_lacks); then
		skip "$why"
	fi
	enter_network bash "$here/slurm.sh" inside
	exit
	;;
inside) four_nodes ;;
*) start_munge && one_node ;;
esac
echo "Slurm: all as expected"
