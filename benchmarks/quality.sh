#!/usr/bin/env bash
# Trains what the README's table of losses shows and keeps the raw logs.
#
#   benchmarks/quality.sh [--data FOLDER] [--out FOLDER] [ROW...]
#
# FOLDER holds meditations.txt and shakespeare.txt (default ../shared/data). Rows: shakespeare, tuned, bigram, char, word,
# subword (default: all). Each row prints its losses over the whole validation part. Start it with AURELIUS set to use another
# program than build/aurelius.
set -euo pipefail

repo=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
aurelius=${AURELIUS:-$repo/build/aurelius}
data="$repo/../shared/data"
out="$repo/benchmarks/results/$(date +%F)-quality"
rows=()

while (($# > 0)); do
	case "$1" in
	--data) data=$2 && shift 2 ;;
	--out) out=$2 && shift 2 ;;
	-h | --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}" && exit 0 ;;
	*) rows+=("$1") && shift ;;
	esac
done
((${#rows[@]})) || rows=(bigram tuned shakespeare word char subword)

for text in meditations.txt shakespeare.txt; do
	[ -r "$data/$text" ] || { echo "quality.sh: $data/$text is missing (--data FOLDER)" >&2 && exit 3; }
done
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir -p "$out"

{
	date -u +%FT%TZ
	"$aurelius" --version
	git -C "$repo" rev-parse HEAD
	grep -m 1 'model name' /proc/cpuinfo || true
	nproc
} >"$out/machine.txt"

dataset() {
	local name=$1
	shift
	[ -e "$scratch/$name.h5" ] || "$aurelius" prepare "$@" --out "$scratch/$name.h5" | sed "s#$scratch/##g" >"$out/prepare-$name.txt"
}

# row NAME CONFIG DATASET [options]: the log, the curve and the losses of the best checkpoint over both whole splits.
row() {
	local name=$1 config=$2 dataset=$3
	shift 3
	echo "== $name: aurelius train --config configs/$config.yaml --data $dataset.h5 $*"
	local command=("$aurelius" train --config "$repo/configs/$config.yaml" --run "$scratch/$name" --data "$scratch/$dataset.h5" "$@")
	echo "aurelius ${command[*]:1}" | sed "s#$scratch/##g; s#$repo/##g" >"$out/$name.txt"
	# 75: the time given was up, after a checkpoint.
	"${command[@]}" >>"$out/$name.txt" 2>&1 || [ $? = 75 ]
	grep -E '"event":"(eval|end)"' "$scratch/$name/log.jsonl" >"$out/$name.jsonl"
	cp "$scratch/$name/loss.svg" "$out/$name.svg" 2>/dev/null || true
	"$aurelius" eval "$scratch/$name" | tee "$out/$name-last.txt"
	"$aurelius" eval "$scratch/$name" --best | tee "$out/$name-best.txt"
	# What is kept names no folder of this machine.
	sed -i "s#$scratch/##g; s#$repo/##g" "$out/$name"*.txt "$out/$name.jsonl"
	[ ! -e "$out/$name.svg" ] || sed -i "s#$scratch/##g" "$out/$name.svg"
}

for chosen in "${rows[@]}"; do
	case "$chosen" in
	shakespeare)
		dataset shakespeare "$data/shakespeare.txt" --val-fraction 0.1
		for seed in 1337 1338 1339; do
			row "shakespeare-char-cpu-seed$seed" shakespeare-char-cpu shakespeare --train.seed=$seed
		done
		;;
	tuned)
		dataset shakespeare "$data/shakespeare.txt" --val-fraction 0.1
		row shakespeare-char-cpu-tuned shakespeare-char-cpu-tuned shakespeare
		;;
	bigram)
		dataset meditations-char "$data/meditations.txt" --clean original
		row meditations-bigram-char meditations-bigram-char meditations-char
		;;
	char)
		dataset meditations-char "$data/meditations.txt" --clean original
		row meditations-gpt-char-cpu meditations-gpt-char-cpu meditations-char --max-minutes 10
		;;
	word)
		dataset meditations-word "$data/meditations.txt" --tokenizer word --clean original
		row meditations-gpt-word-cpu meditations-gpt-word-cpu meditations-word --max-minutes 10
		;;
	subword)
		dataset meditations-subword "$data/meditations.txt" --tokenizer bpe --vocab-size 1000 --clean basic
		row meditations-gpt-subword-cpu meditations-gpt-subword-cpu meditations-subword
		;;
	*) echo "quality.sh: no row $chosen" >&2 && exit 2 ;;
	esac
done
