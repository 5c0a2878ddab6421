# Every wrong call ends at once, with the exit code of its kind and one line that says what is wrong.
source "$(dirname "$0")/lib.sh"
make_all
limit_s=$(((limit_s + 1) / 2)) # ten seconds where nothing else runs
mkfifo fifo
: >empty
mkdir folder
printf 'the \377\376 mind' >latin.txt
printf 'this is no HDF5 file, but long enough to be looked at closely\n%.0s' {1..50} >foreign.h5
head -c 3000 data.h5 >cut.h5
printf 'the mind' >short.txt
# A file that differs from another by one byte, in the middle of its data.
flip() {
	cp "$1" "$2"
	local at=$(($(stat -c %s "$1") * ${3:-50} / 100))
	local byte
	byte=$(od -An -tu1 -j "$at" -N 1 "$1")
	printf "\\x$(printf '%02x' $((byte ^ 255)))" | dd of="$2" bs=1 seek="$at" conv=notrunc status=none
}

# ---- the command itself ----
wrong 2 "no command" "$aurelius"
wrong 2 "did you mean train" "$aurelius" trian
wrong 2 "unknown command" "$aurelius" zzzzzzzz
wrong 2 "the name is empty" "$aurelius" train --config c.yaml --run ""
wrong 2 "unknown" "$aurelius" --no-such-option

# ---- options ----
for command in prepare train eval generate tokenize plot inspect export sweep plan doctor; do
	wrong 2 "unknown option --zzzz" "$aurelius" "$command" --zzzz
done
wrong 2 "did you mean --json" "$aurelius" eval run --jsn
wrong 2 "did you mean --tokens" "$aurelius" generate run --token 5
wrong 2 "needs --tokens" "$aurelius" generate run
wrong 2 "needs a value" "$aurelius" generate run --tokens
wrong 2 "not a whole number" "$aurelius" generate run --tokens many
wrong 2 "not a whole number" "$aurelius" generate run --tokens 1.5
wrong 2 "out of range" "$aurelius" generate run --tokens -1
wrong 2 "out of range" "$aurelius" generate run --tokens 0
wrong 2 "out of range" "$aurelius" generate run --tokens 5 --temperature -0.5
wrong 2 "not a number" "$aurelius" generate run --tokens 5 --temperature nan
wrong 2 "out of range" "$aurelius" generate run --tokens 5 --top-p 1.5
wrong 2 "out of range" "$aurelius" generate run --tokens 5 --top-k -3
wrong 2 "out of range" "$aurelius" generate run --tokens 5 --samples 0
wrong 2 "takes no value" "$aurelius" eval run --json=yes
wrong 2 "one argument too many" "$aurelius" eval run run
wrong 2 "needs a MODEL" "$aurelius" eval
wrong 2 "needs a RUN" "$aurelius" plot
wrong 2 "not one of train, val" "$aurelius" eval run --split test
wrong 2 ".svg or .png" "$aurelius" eval run --plot curve.gif
wrong 2 ".svg or .png" "$aurelius" plot run --out curve.pdf
wrong 2 "h5 and tokenizer are" "$aurelius" export run --to gguf --out x.gguf
wrong 2 "h5 and tokenizer are" "$aurelius" export run --to hf --out x
wrong 2 "needs --out" "$aurelius" export run --to h5
wrong 2 "the model itself" "$aurelius" export model.h5 --to h5 --out ./model.h5
wrong 2 "folder" "$aurelius" export run --to h5 --out folder
wrong 2 "the name is empty" "$aurelius" export run --to h5 --out ""
for command in "generate --tokens 1" eval inspect plot "export --to h5 --out x.h5" tokenize "prepare --out x.h5"; do
	wrong 2 "the name given is empty" "$aurelius" ${command%% *} "" ${command#"${command%% *}"}
done
# Options are checked before files are opened.
wrong 2 "out of range" "$aurelius" generate missing.h5 --tokens 0
wrong 2 "not one of" "$aurelius" eval missing.h5 --split all

# ---- files that are no model ----
for command in eval "generate --tokens 5" inspect "export --to h5 --out x.h5" plot; do
	set -- $command
	name=$1
	shift
	wrong 3 "missing.h5" "$aurelius" "$name" missing.h5 "$@"
	wrong 3 "fifo" "$aurelius" "$name" fifo "$@"
	wrong 3 "empty" "$aurelius" "$name" empty "$@"
	wrong 3 "foreign.h5" "$aurelius" "$name" foreign.h5 "$@"
	wrong 3 "cut.h5" "$aurelius" "$name" cut.h5 "$@"
	wrong 3 "folder" "$aurelius" "$name" folder "$@"
done
wrong 3 "data.h5" "$aurelius" eval data.h5
wrong 3 "data.h5" "$aurelius" generate data.h5 --tokens 5
wrong 3 "missing.h5" "$aurelius" eval run --data missing.h5
wrong 3 "foreign.h5" "$aurelius" eval run --data foreign.h5
wrong 3 "model.h5" "$aurelius" eval run --data model.h5
wrong 3 "missing.h5" "$aurelius" tokenize missing.h5 "the mind"

# ---- texts and prompts ----
wrong 3 "missing.txt" "$aurelius" prepare missing.txt --out x.h5
wrong 3 "fifo" "$aurelius" prepare fifo --out x.h5
wrong 3 "empty" "$aurelius" prepare empty --out x.h5
wrong 3 "UTF-8" "$aurelius" prepare latin.txt --out x.h5
wrong 2 "needs --out" "$aurelius" prepare text.txt
wrong 2 "syllable" "$aurelius" prepare text.txt --tokenizer syllable --out x.h5
wrong 2 "out of range" "$aurelius" prepare text.txt --val-fraction 1.5 --out x.h5
wrong 3 "UTF-8" "$aurelius" generate run --tokens 5 --prompt "$(cat latin.txt)"
wrong 3 "nothing is left" "$aurelius" generate run --tokens 5 --prompt ""

# ---- data too short for a window ----
good "$aurelius" prepare text.txt --out full.h5 --val-fraction 0
wrong 3 "0 tokens" "$aurelius" eval run --data full.h5 --split val

# ---- configurations ----
wrong 2 "needs --run" "$aurelius" train --config tiny.yaml --data data.h5
wrong 2 "missing.yaml" "$aurelius" train --config missing.yaml --run new --data data.h5
wrong 2 "train.learning_rate" "$aurelius" train --config tiny.yaml --run new --data data.h5 --train.learningrate=1
wrong 2 "train.batch_size" "$aurelius" train --config tiny.yaml --run new --data data.h5 --train.batch_size=many
wrong 2 "train.batch_size" "$aurelius" train --config tiny.yaml --run new --data data.h5 --train.batch_size=-4
wrong 2 "n_head" "$aurelius" train --config tiny.yaml --run new --data data.h5 --model.n_head=3
wrong 3 "missing.h5" "$aurelius" train --config tiny.yaml --run new --data missing.h5
wrong 3 "foreign.h5" "$aurelius" train --config tiny.yaml --run new --data foreign.h5
wrong 3 "block_size" "$aurelius" train --config tiny.yaml --run new --data data.h5 --model.block_size=100000
printf 'train: {learning_rat: 1}\n' >key.yaml
wrong 2 "did you mean" "$aurelius" train --config key.yaml --run new --data data.h5
printf 'train: [1, 2\n' >broken.yaml
wrong 2 "broken.yaml" "$aurelius" train --config broken.yaml --run new --data data.h5

# ---- what does not fit the rest ----
printf 'Other letters: QWXZ 0123456789' | awk '{ for (i = 0; i < 200; i++) print }' >other.txt
good "$aurelius" prepare other.txt --out other.h5
wrong 3 "vocabulary" "$aurelius" eval run --data other.h5
wrong 3 "vocabulary" "$aurelius" train --config tiny.yaml --run run --data other.h5 --train.steps=40
wrong 2 "block_size" "$aurelius" train --config tiny.yaml --run run --data data.h5 --train.steps=40 --model.block_size=32
wrong 3 "block_size" "$aurelius" train --config tiny.yaml --run new --data data.h5 --from model.h5 --model.block_size=32
wrong 2 "micro_batch_size" "$aurelius" train --config tiny.yaml --run new --data data.h5 --train.micro_batch_size=3

# ---- damaged files ----
flip data.h5 flipped.h5
wrong 3 "flipped.h5" "$aurelius" train --config tiny.yaml --run new --data flipped.h5
flip model.h5 flipped-model.h5
wrong 3 "flipped-model.h5" "$aurelius" eval flipped-model.h5 --data data.h5
wrong 3 "flipped-model.h5" "$aurelius" generate flipped-model.h5 --tokens 5
head -c $(($(stat -c %s model.h5) / 2)) model.h5 >cut-model.h5
wrong 3 "cut-model.h5" "$aurelius" eval cut-model.h5 --data data.h5

# ---- places that cannot be written ----
if [ -w /dev/full ]; then
	checks=$((checks + 1))
	"$aurelius" generate run --tokens 5 >/dev/full 2>err.txt
	same "$?" 4 "the exit code where standard output is full"
	holds "$(cat err.txt)" "standard output" "a full standard output"
fi
# What is put in place by renaming must not replace a pipe.
mkfifo pipe.svg
mkdir folder.svg
for target in pipe.svg folder.svg; do
	wrong 4 "$target" "$aurelius" plot run --out $target
	wrong 4 "$target" "$aurelius" eval run --plot $target
	wrong 4 "$target" "$aurelius" prepare text.txt --out x.h5 --report $target
done
checks=$((checks + 1))
[ -p pipe.svg ] || fail "a pipe was replaced by a picture"
wrong 4 "fifo" "$aurelius" prepare text.txt --out fifo
wrong 4 "text.txt" "$aurelius" export run --to h5 --out text.txt/model.h5
# As root every folder can be written: a mount that cannot be is another matter. Both are tried in a namespace of their
# own, which ends with the command.
mkdir mount
namespace=(unshare --mount bash -c 'mount -t tmpfs -o size=64k tmpfs mount && eval "$0" && exec "$@"')
if "${namespace[@]}" true true 2>/dev/null; then
	readonly_mount='mount -o remount,ro mount'
	full_mount='head -c 60K /dev/zero >mount/filler'
	for state in "$readonly_mount" "$full_mount"; do
		wrong 4 "mount/x.h5" "${namespace[@]}" "$state" "$aurelius" prepare text.txt --out mount/x.h5
		wrong 4 "mount/x.h5" "${namespace[@]}" "$state" "$aurelius" export run --to h5 --out mount/x.h5
		wrong 4 "mount/new" "${namespace[@]}" "$state" "$aurelius" train --config tiny.yaml --run mount/new --data data.h5
	done
else
	left_out "read-only and full targets: no mount namespaces here"
fi

# ---- a second run in the same folder ----
"$aurelius" train --config tiny.yaml --run busy --data data.h5 --train.steps=10000000 >/dev/null 2>&1 &
first=$!
for _ in {1..100}; do
	[ -s busy/log.jsonl ] && break
	sleep 0.1
done
wrong 4 "busy" "$aurelius" train --config tiny.yaml --run busy --data data.h5
checks=$((checks + 1))
kill -0 "$first" || fail "the first run in a folder did not outlive the second"
kill -KILL "$first"
wait "$first" 2>/dev/null

# ---- nothing is destroyed ----
good "$aurelius" eval run --data data.h5
good "$aurelius" inspect model.h5
[ ! -e x.h5 ] || fail "a wrong call left x.h5 behind"

# ---- several ranks for the work of one ----
if command -v mpirun >/dev/null; then
	export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
	limit_s=30
	run mpirun --oversubscribe -np 2 "$aurelius" eval run
	same "$code" 2 "the exit code of eval on two ranks"
	holds "$err" "eval runs on one rank: start it without mpirun" "eval on two ranks"
	same "$(grep -c 'runs on one rank' err.txt)" 1 "how often it is said"
	# Four sequences over three ranks: neither way of adding up can do that; both say what can be done.
	for reduction in exact fast; do
		run mpirun --oversubscribe -np 3 "$aurelius" train --config tiny.yaml --run three --data data.h5 \
			--train.reduction=$reduction
		same "$code" 2 "the exit code of three ranks with reduction $reduction"
		holds "$err" "use 1, 2, 4 ranks" "three ranks with reduction $reduction"
		run mpirun --oversubscribe -np 2 "$aurelius" train --config tiny.yaml --run two --data data.h5 \
			--train.reduction=$reduction --train.batch_size=1 --train.micro_batch_size=1
		holds "$err" "use 1 rank" "two ranks for one sequence with reduction $reduction"
		case $err in *"1 ranks"*) fail "one rank is not one: $err" ;; esac
	done
fi
finish
