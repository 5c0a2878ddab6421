# The scripts of launch/: starts again after a failure, ends where it should, saves on a signal; the table of scaling.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

for tool in mpirun setsid; do
	command -v $tool >/dev/null || skip "$tool is not installed"
done
export AURELIUS=$aurelius OMPI_MCA_btl_vader_single_copy_mechanism=none
# A test inside a Slurm job must not take that job for its own.
unset SLURM_JOB_ID
launch=$source_folder/launch
limit_s=300
make_text 600 >text.txt
make_config >tiny.yaml
good "$aurelius" prepare text.txt --out data.h5
good "$launch/run.sh" -n 2 -- --config tiny.yaml --data data.h5 --run first
case $err in *"cannot be started"* | *"not allowed"*) skip "mpirun does not work here: $err" ;; esac

newest() {
	json "$1" newest step
}

restarts() {
	grep -c '^run.sh: start' err.txt
}

# As root and with several ranks run.sh needs nothing said.
a_training_ends() {
	present first/checkpoints/step-00000020.h5
	same "$(restarts)" 0 "a good training is not started again"
	good "$launch/run.sh" -- --config tiny.yaml --data data.h5 --run single
	present single/checkpoints/step-00000020.h5
}

# A program whose rank 1 is killed in the first start before training, in the second after ten steps.
a_killed_rank_is_started_again() {
	cat >killed-twice <<-SCRIPT
		#!/bin/bash
		[ "\$1" = train ] || exec "$aurelius" "\$@"
		if mkdir "first-start.\$OMPI_COMM_WORLD_RANK" 2>/dev/null; then
			[ "\$OMPI_COMM_WORLD_RANK" = 0 ] || kill -KILL \$\$
			exec sleep 300
		fi
		mkdir "second-start.\$OMPI_COMM_WORLD_RANK" 2>/dev/null || exec "$aurelius" "\$@"
		"$aurelius" "\$@" --stop-at 10
		[ "\$OMPI_COMM_WORLD_RANK" = 0 ] || kill -KILL \$\$
	SCRIPT
	chmod +x killed-twice
	good env AURELIUS="$PWD/killed-twice" "$launch/run.sh" -n 2 --pause 0 -- --config tiny.yaml --data data.h5 --run killed
	same "$(restarts)" 2 "two starts after two killed ranks"
	holds "$err" "run.sh: start 2 from the beginning in 0 s: a rank was ended by SIGKILL" "the first reason"
	holds "$err" "run.sh: start 3 from step 10 in 0 s: a rank was ended by SIGKILL" "the second reason"
	present killed/checkpoints/step-00000020.h5
	same "$(grep -c '"event":"step"' killed/log.jsonl)" 20 "steps taken, none of them twice"
}

a_hopeless_configuration_ends_at_once() {
	run "$launch/run.sh" -n 2 -- --config tiny.yaml --data data.h5 --run hopeless --train.batch_size=none
	same "$code" 2 "exit code of a wrong configuration"
	same "$(restarts)" 0 "starts after a wrong configuration"
	run "$launch/run.sh" -- --config tiny.yaml --data missing.h5 --run hopeless
	same "$code" 3 "exit code of missing data"
	wrong 2 "no options of aurelius train" "$launch/run.sh" -n 2
	wrong 2 "not a number of ranks" "$launch/run.sh" -n two -- --config tiny.yaml
}

# A file where the run folder should be: the disk's fault as far as anybody can tell.
no_progress_gives_up() {
	echo "in the way" >occupied
	run "$launch/run.sh" --pause 0 -- --config tiny.yaml --data data.h5 --run occupied
	same "$code" 6 "exit code without progress"
	same "$(restarts)" 2 "starts after the first"
	holds "$err" "run.sh: giving up" "the last line"
	run "$launch/run.sh" --once -- --config tiny.yaml --data data.h5 --run occupied
	same "$code" 4 "exit code with --once"
	same "$(restarts)" 0 "starts after the first with --once"
}

# A part of a training that stopped by itself is followed by the next; what only the first may do is not done again.
parts_follow_each_other() {
	cat >parts <<-SCRIPT
		#!/bin/bash
		[ "\$1" = train ] || exec "$aurelius" "\$@"
		echo "\$*" >>parts.log
		step=\$((5 * \$(wc -l <parts.log)))
		((step < 20)) || exec "$aurelius" "\$@"
		"$aurelius" "\$@" --stop-at \$step && exit 75
	SCRIPT
	chmod +x parts
	good env AURELIUS="$PWD/parts" "$launch/run.sh" --pause 300 -- --config tiny.yaml --data data.h5 --run parted --resume never
	same "$(restarts)" 3 "starts after three parts"
	same "$(grep -c -e '--resume never' parts.log)" 1 "starts with --resume never"
	present parted/checkpoints/step-00000020.h5
}

# An srun whose first call starts nothing and says that all went well; srun of Slurm 22.05 did that.
an_end_without_a_training_is_not_believed() {
	mkdir bin
	cat >bin/srun <<-'SCRIPT'
		#!/bin/bash
		echo called >>"$PWD/srun.calls"
		(($(wc -l <"$PWD/srun.calls") > 1)) || exit 0
		until [[ $1 == "$AURELIUS" ]]; do shift; done
		exec "$@"
	SCRIPT
	chmod +x bin/srun
	local job=(env SLURM_JOB_ID=1 SLURM_NTASKS=1 PATH="$PWD/bin:$PATH" "$launch/run.sh" --pause 0 --)
	good "${job[@]}" --config tiny.yaml --data data.h5 --run believed --stop-at 10
	same "$(wc -l <srun.calls)" 2 "calls of srun, the first of which started nothing"
	holds "$err" "srun ended with 0, but" "why it is not believed"
	holds "$err" "run.sh: start 2 from the beginning" "the second start"
	present believed/checkpoints/step-00000010.h5
	good "${job[@]}" --config tiny.yaml --data data.h5 --run believed --stop-at 10
	same "$(restarts)" 0 "starts after the first where --stop-at is reached already"
	good "${job[@]}" --config tiny.yaml --data data.h5 --run believed
	present believed/checkpoints/step-00000020.h5
	good "${job[@]}" --config tiny.yaml --data data.h5 --run believed
	same "$(restarts)" 0 "starts after the first of a finished run"
	rm srun.calls
	printf '#!/bin/bash\n' >bin/srun
	run "${job[@]}" --config tiny.yaml --data data.h5 --run nothing
	same "$code" 6 "exit code where srun never starts anything"
}

# signal_saves SIGNAL RANKS. Not INT: the shell starts what runs in the background with it ignored.
signal_saves() {
	local name=signal-$1-$2 launched
	"$launch/run.sh" -n "$2" -- --config tiny.yaml --data data.h5 --run "$name" --train.steps=100000000 --train.eval_interval=0 \
		--train.checkpoint_interval=0 >out.txt 2>err.txt </dev/null &
	launched=$!
	for _ in $(seq 3000); do
		grep -qs '"step":3,' "$name/log.jsonl" && break
		kill -0 $launched 2>/dev/null || break
		sleep 0.1
	done
	kill -"$1" $launched
	# A second signal ends the ranks at once: nothing is left behind where the first was lost.
	timeout 200 tail --pid=$launched -s 0.1 -f /dev/null || kill -TERM $launched
	wait $launched
	same $? 75 "exit code after SIG$1 on $2 ranks: $(cat err.txt)"
	same "$(restarts)" 0 "starts after SIG$1"
	"$aurelius" inspect "$name" --json >inspected.json
	[ "$(newest inspected.json)" -ge 3 ] || fail "SIG$1 on $2 ranks: no checkpoint"
}

scaling_is_measured() {
	good "$launch/scaling.sh" --config tiny.yaml --data data.h5 --ranks "1 2" --steps 5 --threads 1 --out measured
	same "$(head -n 1 measured/scaling.csv)" ranks,threads,batch,tokens_per_s,step_ms,reduce_wait_ms,efficiency "the header"
	# The first count is the same measurement for strong and weak scaling.
	same "$(sed 1d measured/scaling.csv | cut -d, -f1-3 | tr '\n' ' ')" "1,1,4 2,1,4 2,1,8 " "the rows"
	same "$(awk -F, 'NR > 1 && !($4 > 0 && $5 > 0 && $6 >= 0 && $7 > 0)' measured/scaling.csv)" "" "rows without figures"
	same "$(awk -F, '$1 == 1 { print $7 }' measured/scaling.csv)" 1.0000 "efficiency of the first count"
	holds "$(cat measured/scaling.svg)" ">ideal<" "the plot's ideal line"
	holds "$(cat measured/scaling.svg)" ">strong<" "strong scaling in the plot"
	holds "$(cat measured/scaling.svg)" ">weak<" "weak scaling in the plot"
	holds "$(cat measured/scaling.svg)" "</svg>" "the plot's end"
	same "$(find measured -mindepth 1 -type d)" "" "folders left behind"
	run "$launch/scaling.sh" --config tiny.yaml --data data.h5 --ranks "3" --mode strong --steps 5 --threads 1 --out refused
	same "$code" 2 "exit code of a count that does not fit"
	holds "$err" "3 ranks do not divide" "the reason"
	wrong 2 "has to be a multiple of 2" "$launch/scaling.sh" --config tiny.yaml --data data.h5 --ranks "2 3" --threads 1
	wrong 2 "--mode sideways" "$launch/scaling.sh" --config tiny.yaml --data data.h5 --mode sideways
}

a_training_ends
a_killed_rank_is_started_again
a_hopeless_configuration_ends_at_once
no_progress_gives_up
parts_follow_each_other
an_end_without_a_training_is_not_believed
if can_read_json; then
	signal_saves TERM 2
	signal_saves USR1 1
else
	left_out "signals: no jq and no python3"
fi
if command -v gnuplot >/dev/null; then
	scaling_is_measured
else
	left_out "scaling.sh: no gnuplot"
fi
finish
