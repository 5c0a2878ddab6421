#!/usr/bin/env bash
# Measures how a training scales with the number of ranks.
#
#   launch/scaling.sh --config FILE --data FILES [options] [-- further options of aurelius train]
#
#   --ranks "1 2 4"           rank counts; the first is what the others are compared with
#   --mode weak|strong|both   strong: the batch stays as configured; weak: it grows with the ranks, and is as configured at
#                             the first count (both)
#   --steps N                 steps measured, after three that are left out (20)
#   --threads T               threads of a rank (what the machine's or the Slurm task's cores give at the most ranks)
#   --hostfile FILE           ranks on the hosts of this file, as mpirun reads it, instead of on this machine
#   --out FOLDER              where scaling.csv and scaling.svg go, and the output of each run (scaling)
#
# Inside a Slurm job (salloc, sbatch) srun starts the ranks on the job's nodes. With several hosts the folder has to be
# on a file system they share. Figures are medians over the measured steps; efficiency is tokens per second of a rank
# over those of a rank of the first count, which both modes share: its row is there once. The batch of a row tells its
# mode. AURELIUS names another program than build/aurelius.
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
export AURELIUS=${AURELIUS:-$(dirname -- "$here")/build/aurelius}
left_out=3

config="" data="" ranks="1 2 4" mode=both steps=20 threads="" hostfile="" out=scaling first=""
further=()

fail() {
	printf 'scaling.sh: %s\n' "$2" >&2
	exit "$1"
}

usage() {
	sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"
}

read_options() {
	while (($# > 0)); do
		case "$1" in
		--config | --data | --ranks | --mode | --steps | --threads | --hostfile | --out)
			(($# > 1)) || fail 2 "$1 needs a value"
			printf -v "${1#--}" '%s' "$2"
			shift 2
			;;
		-h | --help) usage && exit 0 ;;
		--) shift && further=("$@") && break ;;
		*) fail 2 "unknown option $1 (--help)" ;;
		esac
	done
}

check_options() {
	local count
	[[ -n $config && -n $data ]] || fail 2 "--config and --data are needed (--help)"
	[[ $ranks =~ ^[1-9][0-9]*( +[1-9][0-9]*)*$ ]] || fail 2 "--ranks \"$ranks\" is not a list of rank counts"
	[[ $steps =~ ^[1-9][0-9]*$ ]] || fail 2 "--steps $steps is not a number of steps"
	case "$mode" in
	both) modes=(strong weak) ;;
	weak | strong) modes=("$mode") ;;
	*) fail 2 "--mode $mode is not weak, strong or both" ;;
	esac
	[[ -n $threads ]] || threads=$(threads_of_a_rank)
	[[ $threads =~ ^[1-9][0-9]*$ ]] || fail 2 "--threads $threads is not a number of threads"
	read -ra counts <<<"$ranks"
	for count in "${counts[@]}"; do
		[[ $mode == strong || $((count % counts[0])) == 0 ]] ||
			fail 2 "--ranks \"$ranks\": for weak scaling $count has to be a multiple of ${counts[0]}, as the batch grows with it"
	done
}

# The same for every count, or threads would be measured and not ranks.
threads_of_a_rank() {
	local most=1 count
	if [[ -n ${SLURM_JOB_ID:-} ]]; then
		echo "${SLURM_CPUS_PER_TASK:-1}"
		return
	fi
	[[ -z $hostfile ]] || fail 2 "with --hostfile say --threads: other hosts' cores are not known here"
	for count in $ranks; do
		most=$((count > most ? count : most))
	done
	echo $(($(nproc) > most ? $(nproc) / most : 1))
}

# train RANKS NAME [options]: in the folder NAME of the scratch folder, its output in NAME.log.
train() {
	local count=$1 name=$2 code=0
	shift 2
	"$here/run.sh" --once -n "$count" "${hosts[@]}" -- --config "$config" --data "$data" --run "$scratch/$name" \
		--system.threads="$threads" --train.log_interval=1 --train.eval_interval=0 --train.checkpoint_interval=0 \
		--train.sample_interval=0 "${further[@]}" "$@" >"$out/$name.log" 2>&1 || code=$?
	((code == 0)) || fail "$code" "$name: $(grep -m 1 -E '^(aurelius|run\.sh): ' "$out/$name.log" || tail -n 1 "$out/$name.log")"
}

# key NAME: a whole number of the resolved configuration.
key() {
	"$AURELIUS" inspect "$scratch/probe" --json | sed -n "s/^ *\"$1\": *\([0-9]*\),*\$/\1/p"
}

# One step tells the batch and its micro-batches. The latter keep their size when the batch grows.
probe() {
	train "${counts[0]}" probe --stop-at 1
	batch=$(key batch_size)
	micro_batch=$(key micro_batch_size)
	rm -rf "$scratch/probe"
}

# field NAME FILE: the value in every measured step.
field() {
	grep '"event":"step"' "$2" | tail -n +$((left_out + 1)) | sed -n "s/.*\"$1\":\([-+.0-9eE]*\).*/\1/p"
}

median() {
	sort -g | awk '{ v[NR] = $1 } END { if (NR) printf "%.6g", NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

# measure NAME RANKS BATCH: one row of the table.
measure() {
	local name=$1 log="$scratch/$1/log.jsonl" speed
	train "$2" "$name" --train.batch_size="$3" --train.micro_batch_size="$micro_batch" --stop-at $((left_out + steps))
	speed=$(field tokens_per_s "$log" | median)
	[[ -n $speed ]] || fail 2 "$name: the training ends before step $((left_out + 1)); nothing is left to measure"
	first=${first:-$speed}
	printf '%s,%s,%s,%s,%s,%s,%s\n' "$2" "$threads" "$3" "$speed" "$(field step "$log" | median)" \
		"$(field reduce_wait "$log" | median)" \
		"$(awk -v a="$speed" -v n="$2" -v b="$first" -v m="${counts[0]}" 'BEGIN { printf "%.4f", a * m / (b * n) }')" |
		tee -a "$out/scaling.csv"
	rm -rf "${scratch:?}/$name"
}

# batch_of MODE RANKS
batch_of() {
	if [[ $1 == weak ]]; then
		echo $((batch * $2 / counts[0]))
	else
		echo "$batch"
	fi
}

measure_all() {
	local each count
	measure "first-${counts[0]}" "${counts[0]}" "$batch"
	for each in "${modes[@]}"; do
		for count in "${counts[@]:1}"; do
			measure "$each-$count" "$count" "$(batch_of "$each" "$count")"
		done
	done
}

# points MODE: ranks, tokens per second, and what they would be if nothing were lost.
points() {
	local count
	for count in "${counts[@]}"; do
		awk -F, -v n="$count" -v batch="$(batch_of "$1" "$count")" -v m="${counts[0]}" \
			'NR == 2 { first = $4 } $1 == n && $3 == batch { print n, $4, first * n / m; exit }' "$out/scaling.csv"
	done | sort -n
}

# A little more than what is drawn, with a mark at 1, 2 and 5 of every power of ten.
vertical_axis() {
	cat "${modes[@]/#/$scratch/}" | awk '
		{ for (i = 2; i <= 3; i++) { if (!low || $i < low) low = $i; if ($i > high) high = $i } }
		END {
			low /= 1.3; high *= 1.6
			printf "set yrange [%g:%g]\nset ytics (", low, high
			for (ten = 1e-3; ten <= high; ten *= 10)
				for (i = 1; i <= 5; i += i == 1 ? 1 : 3)
					if (ten * i >= low && ten * i <= high) printf "%s%.10g", count++ ? ", " : "", ten * i
			print ")"
		}'
}

# Both axes logarithmic: ideal scaling is a straight line, and what is lost is its distance at every count. The ideal is
# the same for both modes.
draw() {
	local plots="'$scratch/${modes[0]}' using 1:3 with lines dashtype 2 linecolor 'gray50' title 'ideal'" one colour=1
	for one in "${modes[@]}"; do
		points "$one" >"$scratch/$one"
		plots+=", '$scratch/$one' using 1:2 with linespoints pointtype 7 linecolor $colour title '$one'"
		colour=$((colour + 1))
	done
	gnuplot <<-PLOT
		set terminal svg size 720,480 background 'white'
		set output '$out/scaling.svg'
		set title 'Scaling, $threads $( ((threads == 1)) && echo thread || echo threads) a rank'
		set xlabel 'ranks'
		set ylabel 'tokens per second'
		set logscale x 2
		set logscale y
		set xtics (${ranks// /,})
		$(vertical_axis)
		set grid
		set offsets graph 0.05, graph 0.05, 0, 0
		set key left top
		plot $plots
	PLOT
}

read_options "$@"
check_options
hosts=()
[[ -z $hostfile ]] || hosts=(--hostfile "$hostfile")
ranks="${counts[*]}"
mkdir -p "$out"
# Beside the results: several hosts have to see it.
scratch=$(mktemp -d "$out/runs.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM

probe
echo ranks,threads,batch,tokens_per_s,step_ms,reduce_wait_ms,efficiency | tee "$out/scaling.csv"
measure_all
command -v gnuplot >/dev/null || fail 4 "$out/scaling.csv is written; the plot needs gnuplot (launch/install-deps.sh)"
draw
echo "wrote $out/scaling.csv and $out/scaling.svg"
