#!/usr/bin/env bash
# Trains on any number of ranks and starts again after a failure, from the run's newest good checkpoint.
#
#   launch/run.sh [-n RANKS] [--hostfile FILE] [options of mpirun or srun] -- options of aurelius train
#
#   -n RANKS          ranks; default: 1, what the hostfile holds, or the tasks of the Slurm job
#   --hostfile FILE   hosts, as mpirun reads them; the run folder has to be on a file system that all of them share
#   --pause SECONDS   before the second start after a failure; doubled with each one that brought no progress (5)
#   --once            no second start: the exit code is passed on
#
# One rank without further options runs by itself, inside a Slurm job srun --mpi=pmix starts the ranks, else mpirun.
# AURELIUS names another program than build/aurelius (for every host the same path).
#
# A start ends with          and then
#   0                        done
#   2, 3, 5                  wrong options, a bad input, divergence: passed on, for the next start would end the same way
#   75                       saved at --max-minutes: started again at once; inside a Slurm job passed on
#   4, a killed rank, else   started again after a pause
# Three starts one after another without a newer checkpoint: exit code 6. Each further start is told in one line.
#
# SIGTERM, SIGINT, SIGHUP and SIGUSR1 to this script make the ranks save and end it with 75; a second one ends them at
# once.
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
aurelius=${AURELIUS:-$(dirname -- "$here")/build/aurelius}
give_up_after=3
longest_pause=300

ranks="" hostfile="" pause=5 once=0
launcher_options=() train_options=()
child="" requested=0 forwarded=0 interrupted=0 code=0

say() {
	printf 'run.sh: %s\n' "$*" >&2
}

fail() {
	say "$*"
	exit 2
}

usage() {
	sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"
}

read_options() {
	while (($# > 0)); do
		case "$1" in
		-n | -np | --hostfile | --pause) (($# > 1)) || fail "$1 needs a value" ;;&
		-n | -np) ranks=$2 && shift 2 ;;
		--hostfile) hostfile=$2 && shift 2 ;;
		--pause) pause=$2 && shift 2 ;;
		--once) once=1 && shift ;;
		-h | --help) usage && exit 0 ;;
		--) shift && train_options=("$@") && break ;;
		*) launcher_options+=("$1") && shift ;;
		esac
	done
	((${#train_options[@]})) || fail "no options of aurelius train after -- (launch/run.sh --help)"
	[[ -z $ranks || $ranks =~ ^[1-9][0-9]*$ ]] || fail "-n $ranks is not a number of ranks"
	[[ $pause =~ ^[0-9]{1,4}$ ]] || fail "--pause $pause is not a number of seconds"
	[[ -z $hostfile || -r $hostfile ]] || fail "--hostfile $hostfile cannot be read"
	[[ -x $aurelius ]] || fail "$aurelius is not there: build it (README.md), or name it with AURELIUS"
}

# option_of NAME: the last value of a training option, given as --NAME VALUE or --NAME=VALUE.
option_of() {
	local i value=""
	for ((i = 0; i < ${#train_options[@]}; i++)); do
		case "${train_options[i]}" in
		"$1") value=${train_options[i + 1]:-} ;;
		"$1="*) value=${train_options[i]#*=} ;;
		esac
	done
	printf '%s' "$value"
}

# What only the first start may do: --resume and --from would throw away what the starts before have reached.
go_on_from_newest() {
	local kept=() i
	for ((i = 0; i < ${#train_options[@]}; i++)); do
		case "${train_options[i]}" in
		--resume | --from) i=$((i + 1)) ;;
		--resume=* | --from=*) ;;
		*) kept+=("${train_options[i]}") ;;
		esac
	done
	train_options=("${kept[@]}")
}

is_given() {
	[[ " ${launcher_options[*]-} " == *" $1 "* || " ${launcher_options[*]-} " == *" $1="* ]]
}

use_srun() {
	launcher=(srun --mpi=pmix --kill-on-bad-exit=1 -n "${ranks:-${SLURM_NTASKS:-1}}")
	# srun does not take it over from the job by itself.
	if [[ -n ${SLURM_CPUS_PER_TASK:-} ]] && ! is_given -c && ! is_given --cpus-per-task; then
		launcher+=(--cpus-per-task="$SLURM_CPUS_PER_TASK")
	fi
	launcher+=("${launcher_options[@]}")
}

use_mpirun() {
	local ranks_here=${ranks:-1}
	command -v mpirun >/dev/null || fail "mpirun is not installed (launch/install-deps.sh)"
	launcher=(mpirun)
	if [[ -n $hostfile ]]; then
		launcher+=(--hostfile "$hostfile")
		# A host that is gone without a word is noticed within a minute; by Open MPI's own settings it takes eight.
		export OMPI_MCA_oob_tcp_keepalive_time=${OMPI_MCA_oob_tcp_keepalive_time:-20}
		export OMPI_MCA_oob_tcp_keepalive_intvl=${OMPI_MCA_oob_tcp_keepalive_intvl:-10}
		export OMPI_MCA_oob_tcp_keepalive_probes=${OMPI_MCA_oob_tcp_keepalive_probes:-3}
		[[ -z $ranks ]] || launcher+=(-np "$ranks")
	else
		launcher+=(-np "$ranks_here")
		if ((ranks_here > $(nproc))); then
			export OMPI_MCA_rmaps_base_oversubscribe=${OMPI_MCA_rmaps_base_oversubscribe:-1}
			export OMPI_MCA_mpi_yield_when_idle=${OMPI_MCA_mpi_yield_when_idle:-1}
		elif ! is_given --map-by; then
			# A slot is a core to mpirun, while nproc counts threads of the processor.
			export OMPI_MCA_rmaps_base_oversubscribe=${OMPI_MCA_rmaps_base_oversubscribe:-1}
		fi
	fi
	# mpirun ties each of one or two ranks to a single core.
	is_given --bind-to || export OMPI_MCA_hwloc_base_binding_policy=${OMPI_MCA_hwloc_base_binding_policy:-none}
	((EUID != 0)) || export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
	launcher+=("${launcher_options[@]}")
}

choose_launcher() {
	if [[ -n ${SLURM_JOB_ID:-} && -z $hostfile ]]; then
		use_srun
	elif [[ ${ranks:-1} == 1 && -z $hostfile && ${#launcher_options[@]} == 0 ]]; then
		launcher=()
	else
		use_mpirun
	fi
}

# The step of the newest good checkpoint; -1 where there is none.
newest_step() {
	local step=""
	if [[ -n $run ]]; then
		step=$("$aurelius" inspect "$run" --json 2>/dev/null | tr -d ' \t\n' | sed -n 's/.*"newest":{[^}]*"step":\([0-9]*\).*/\1/p') || true
	fi
	printf '%s' "${step:--1}"
}

# Signals that came before there was anybody to hand them to are handed on after the start.
forward() {
	[[ -n $child ]] || return 0
	while ((forwarded < requested)); do
		forwarded=$((forwarded + 1))
		kill -USR1 "$child" 2>/dev/null || true
	done
}

# mpirun leaves its ranks one second after SIGTERM or SIGINT, too little to save; SIGUSR1 it hands on and stays.
on_signal() {
	requested=$((requested + 1))
	interrupted=1
	forward
}

# Waits for the child, through signals that arrive meanwhile, and sets code.
wait_for_child() {
	local status
	code=127
	while :; do
		interrupted=0
		status=0
		wait "$child" || status=$?
		# 127: waited for already, when the signal came just after its end.
		((status == 127)) || code=$status
		((interrupted)) || break
	done
	child=""
}

# In a session of its own: Ctrl-C goes to a terminal's whole group, and mpirun must not see it.
start_once() {
	setsid "${launcher[@]}" "$aurelius" train "${train_options[@]}" </dev/null &
	child=$!
	forward
	wait_for_child
}

pause_for() {
	((requested == 0 && $1 > 0)) || return 0
	sleep "$1" &
	local sleeper=$!
	wait "$sleeper" || true
	kill "$sleeper" 2>/dev/null || true
}

reason_of() {
	case "$1" in
	4) echo "the machine failed or a rank was lost (exit code 4)" ;;
	75) echo "saved and stopped before its end (exit code 75)" ;;
	*) local signal=""
	(($1 <= 128)) || signal=$(kill -l $(($1 - 128)) 2>/dev/null) || true
	if [[ -n $signal ]]; then
		echo "a rank was ended by SIG$signal"
	else
		echo "${launcher[0]:-the program} ended with exit code $1"
	fi ;;
	esac
}

# srun may return 0 although no rank was started. What it says is believed when the run itself says that it is finished,
# has reached --stop-at, or has a newer checkpoint than before; otherwise it counts as a machine that failed.
confirm_end() {
	[[ $code == 0 && ${launcher[0]:-} == srun && -n $run ]] || return 0
	local reached stop_at
	reached=$(newest_step)
	stop_at=$(option_of --stop-at)
	((reached <= step)) || return 0
	[[ ! $stop_at =~ ^[0-9]{1,18}$ ]] || ((reached < 10#$stop_at)) || return 0
	if ! "$aurelius" inspect "$run" --json 2>/dev/null | grep -q '"state": "finished"'; then
		say "srun ended with 0, but the run is not finished and has no newer checkpoint"
		code=4
	fi
}

# Ends this script where a further start would be wrong or of no use.
end_if_final() {
	case "$code" in
	0 | 2 | 3 | 5) exit "$code" ;;
	esac
	if ((requested)); then
		# Ended by the signal handed on: it came before training had begun.
		((code != 128 + $(kill -l USR1))) || exit 75
		exit "$code"
	fi
	((!once)) || exit "$code"
	# The job's end or its user asked for it; who asked goes on.
	[[ $code != 75 || -z ${SLURM_JOB_ID:-} ]] || exit 75
}

read_options "$@"
run=$(option_of --run)
choose_launcher
trap on_signal TERM INT HUP USR1

without_progress=0
step=$(newest_step)
for ((start = 1; ; start++)); do
	start_once
	confirm_end
	end_if_final
	before=$step
	step=$(newest_step)
	without_progress=$((step > before ? 0 : without_progress + 1))
	((step == before)) || go_on_from_newest
	if ((without_progress >= give_up_after)); then
		say "giving up: $(reason_of "$code"), and $give_up_after starts brought no newer checkpoint"
		exit 6
	fi
	seconds=$((code == 75 ? 0 : pause << (without_progress > 0 ? without_progress - 1 : 0)))
	seconds=$((seconds < longest_pause ? seconds : longest_pause))
	from="step $step"
	((step >= 0)) || from="the beginning"
	say "start $((start + 1)) from $from in $seconds s: $(reason_of "$code")"
	pause_for "$seconds"
	((requested == 0)) || exit 75
done
