# Cases of dist.sh over several token files: mixtures, and shards that are missing, damaged or cut.

# Thirds of one text, which have its characters in common: two shards of a corpus, and a compressed file.
make_shards() {
	local part names=(wiki-00000-of-00002 wiki-00001-of-00002 code)
	for part in 0 1 2; do
		awk -v part=$part 'NR % 3 == part' text.txt >part.txt
		"$aurelius" prepare part.txt --out "${names[$part]}.h5" $([ $part = 2 ] && echo --compress) >prepare.log 2>&1 ||
			fail "prepare of part $part"
	done
	sed -i 's/^data:.*/data: {train: [{path: "wiki-*.h5", weight: 0.3}, {path: code.h5, weight: 0.7}]}/' config.yaml
}

# Twice, and at steps in the middle of the epochs of both sources.
a_mixture_gives_equal_bits_on_other_ranks() {
	make_shards
	train 1 whole || fail "whole run"
	grep -q "70.0% of the samples from code.h5: 1 file, .* passes over it" whole.log || fail "the mixture is not told"
	grep -A 4 "  train:" whole/config.yaml | tr -d '\n' | grep -q 'path: "wiki-\*.h5" *weight: 0.3 *- path: "code.h5"' ||
		fail "the run's configuration has no mixture: $(grep -A 4 "  train:" whole/config.yaml)"
	train 4 run --stop-at 23 || fail "four ranks to step 23"
	train 2 run --stop-at 37 || fail "two ranks to step 37"
	train 1 run || fail "one rank to the end"
	same_run whole run
	train 1 run --data 'wiki-*.h5@0.5,code.h5@0.5' --train.steps=60 && fail "other weights were taken"
	[ $? = 3 ] || fail "other weights: exit code is not 3"
	grep -q "^aurelius: .*was trained on another dataset, or with other weights" run.log || fail "no message of other weights"
}

# ends_all RUN MESSAGE [options]: two ranks leave together, with exit code 3 and one line.
ends_all() {
	local run=$1 message=$2 start code
	shift 2
	start=$(date +%s)
	train 2 "$run" "$@"
	code=$?
	[ $code = 3 ] || fail "$run: exit code is $code and not 3"
	ended_within 60 "$start"
	one_message "$run" "$message"
}

damage_tokens() {
	local place
	place=$(h5dump -p -H -d /train/tokens "$1" | awk '/OFFSET/ { print $2 }')
	[ "${place:-0}" -gt 0 ] || fail "no place of the tokens in $1"
	printf '\377' | dd of="$1" bs=1 seek=$((place + 40)) conv=notrunc status=none
}

a_bad_shard_ends_all() {
	make_shards
	cp wiki-00001-of-00002.h5 good.h5
	rm wiki-00001-of-00002.h5
	ends_all absent "wiki-00001-of-00002.h5: cannot" --data wiki-00000-of-00002.h5,wiki-00001-of-00002.h5
	ends_all missing "wiki-00001-of-00002.h5: is missing, of a corpus of 2 files"
	head -c 3000 good.h5 >wiki-00001-of-00002.h5
	ends_all cut "wiki-00001-of-00002.h5: "
	cp text.txt wiki-00001-of-00002.h5
	ends_all foreign "wiki-00001-of-00002.h5: .*HDF5"
	cp good.h5 wiki-00001-of-00002.h5
	damage_tokens wiki-00001-of-00002.h5
	ends_all damaged "wiki-00001-of-00002.h5: /train/tokens: checksum mismatch"
}

# No signal, no hang, and what was saved before is there to go on from.
a_shard_cut_while_training_ends_all() {
	local start code
	make_shards
	cp wiki-00000-of-00002.h5 good.h5
	long_run 2 run
	start=$(date +%s)
	truncate -s 3000 wiki-00000-of-00002.h5
	wait "$launched"
	code=$?
	[ $code = 3 ] || fail "exit code is $code and not 3"
	ended_within 60 "$start"
	one_message run "wiki-00000-of-00002.h5: /train/tokens: the file was cut short while it was open"
	cp good.h5 wiki-00000-of-00002.h5
	train 1 run --train.steps=100000 --train.eval_interval=0 --train.checkpoint_interval=10 --max-minutes 0.02
	[ $? = 75 ] || fail "the run does not go on"
	grep -q "going on from" run.log || fail "it began anew"
}
