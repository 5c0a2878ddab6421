# doctor, plan and sweep.
source "$(dirname "$0")/lib.sh"
make_text >text.txt
make_config >tiny.yaml
good "$aurelius" prepare text.txt --out data.h5

# ---- doctor ----
mkdir clean
cd clean || exit 1
good "$aurelius" doctor
for word in processor cores affinity instructions variant "fp32 product one thread" "memory copy" "mpi" "hdf5" \
	"thread safe" gnuplot "write and fsync" "nccl" "will be used" "missing" "GPU"; do
	holds "$out" "$word" "doctor"
done
# Nothing is left of the measurement of the disk.
same "$(find . -mindepth 1 ! -name out.txt ! -name err.txt)" "" "files left by doctor"
good "$aurelius" doctor --json
if can_read_json; then
	cp out.txt doctor.json
	[ "$(json doctor.json processor cores)" -ge 1 ] || fail "doctor --json: no cores"
	case $(json doctor.json computing fp32_product_all_threads_gflops) in
	[0-9]*) ;;
	*) fail "doctor --json: no ceiling" ;;
	esac
fi
# A folder that cannot be written is told, and no failure. /proc cannot be written by root either.
checks=$((checks + 1))
(cd /proc && "$aurelius" doctor) >../proc.txt 2>&1 || fail "doctor fails where it cannot write: $(cat ../proc.txt)"
holds "$(cat ../proc.txt)" "disk:" "doctor where it cannot write"
wrong 2 "one argument too many" "$aurelius" doctor data.h5
cd "$scratch" || exit 1

# ---- plan ----
good "$aurelius" plan --config tiny.yaml --ranks 2 --data data.h5 --link-gbs 1
for word in "weights MB" "gradient buffers MB" "optimizer state MB" "peak MB" "largest micro batch size" "step ms" \
	"computation GFLOP" "exact MB" "fast MB" "transfer ms"; do
	holds "$out" "$word" "plan"
done
good "$aurelius" plan --config tiny.yaml --ranks 1 --vocab-size 5000
holds "$out" "5000" "plan --vocab-size"
if can_read_json; then
	# What the trainer says that it takes is what was planned.
	good "$aurelius" plan --config tiny.yaml --ranks 1 --data data.h5 --json
	cp out.txt plan.json
	good "$aurelius" train --config tiny.yaml --run planned --data data.h5 --train.steps=1
	weights=$(sed -n 's/.*memory a rank .*weights \([0-9.]*\) MB.*/\1/p' out.txt)
	same "$(printf '%.1f' "$(json plan.json memory_of_a_rank weights_mb)")" "$weights" "planned weights"
	# A ring's traffic: every parameter is sent once as a gradient and once as a weight, but for the own half.
	good "$aurelius" plan --config tiny.yaml --ranks 2 --data data.h5 --json
	cp out.txt plan.json
	same "$(json plan.json network_of_a_rank exact_mb)" "$(json plan.json memory_of_a_rank weights_mb)" "bytes sent"
	# Bigger micro-batches than the batch allows for two ranks do not count.
	same "$(json plan.json this_machine largest_micro_batch_size)" 2 "largest micro-batch"
	# One chunk of 128 KiB for the training part, read by two, and one for the validation part.
	good "$aurelius" prepare text.txt --compress --out small.h5
	good "$aurelius" plan --config tiny.yaml --ranks 1 --data small.h5 --json
	same "$(json out.txt memory_of_a_rank inflated_tokens_mb)" 0.393216 "inflated tokens"
	good "$aurelius" train --config tiny.yaml --run inflated --data small.h5 --train.steps=1
	holds "$out" ", inflated tokens 0.4 MB, saving" "the plan of a training"
fi
wrong 2 "give --data FILE.h5 or --vocab-size" "$aurelius" plan --config tiny.yaml --ranks 1
wrong 2 "needs --ranks" "$aurelius" plan --config tiny.yaml
wrong 2 "out of range" "$aurelius" plan --config tiny.yaml --ranks 0 --vocab-size 10
wrong 2 "out of range" "$aurelius" plan --config tiny.yaml --ranks 1 --vocab-size -1
wrong 2 "out of range" "$aurelius" plan --config tiny.yaml --ranks 1 --vocab-size 10 --link-gbs -1
wrong 2 "out of range" "$aurelius" plan --config tiny.yaml --ranks 2 --ranks-per-node 3 --vocab-size 10
wrong 2 "use 1, 2, 4 ranks" "$aurelius" plan --config tiny.yaml --ranks 3 --vocab-size 10
wrong 3 "missing.h5" "$aurelius" plan --config tiny.yaml --ranks 1 --data missing.h5
wrong 2 "missing.yaml" "$aurelius" plan --config missing.yaml --ranks 1 --vocab-size 10

# ---- memory that is not there ----
# Most of a terabyte of activations: refused before it is taken, with the micro-batch that would fit.
run "$aurelius" train --config tiny.yaml --run large --data data.h5 --system.backend=cpu --train.batch_size=65536 \
	--train.micro_batch_size=65536 --model.n_embd=256 --model.n_layer=100
same "$code" 4 "exit code of a training that is too large"
holds "$err" "of train.micro_batch_size, which is 65536, " "a training that is too large"
holds "$err" "attention " "a training that is too large"
holds "$err" "is the largest that fits" "a training that is too large"

# ---- sweep ----
sweep() {
	echo "$aurelius" sweep --config tiny.yaml --run sweep --data data.h5 --train.learning_rate=1e30,1e-2,1e-3 \
		--model.block_size=4,8 "$@"
}
good $(sweep)
holds "$out" "[6/6]" "sweep"
holds "$out" "diverged" "sweep: a learning rate of 1e30"
present sweep/sweep.csv sweep/sweep.json sweep/learning_rate-1e-2_block_size-8/log.jsonl
command -v gnuplot >/dev/null && present sweep/sweep.svg
same "$(wc -l <sweep/sweep.csv)" 7 "lines of sweep.csv"
# The best comes last, what diverged first.
losses=$(tail -n 4 sweep/sweep.csv | cut -d, -f7)
same "$losses" "$(sort -gr <<<"$losses")" "losses in falling order"
holds "$(sed -n 2p sweep/sweep.csv)" "1e30" "the first line of the table"
same "$(grep -c '"best_val_loss"' sweep/sweep.json)" 6 "points in sweep.json"

# What is done is not done again, and the table is the same.
cp sweep/sweep.csv first.csv
before=$(stat -c %Y.%s sweep/*/log.jsonl)
good $(sweep)
same "$(grep -c 'done before' out.txt)" 6 "points skipped"
same "$(stat -c %Y.%s sweep/*/log.jsonl)" "$before" "logs after a sweep that had nothing to do"
cmp -s first.csv sweep/sweep.csv || fail "the table has changed"

# A signal stops it between two steps with 75; the same command goes on, the half-done point from its checkpoint. The
# result is that of a sweep without interruption.
slow=(--train.steps=120 --train.log_interval=120 --train.eval_interval=60 --train.checkpoint_interval=40)
command=("$aurelius" sweep --config tiny.yaml --data data.h5 --train.learning_rate=1e-2,3e-3 --train.batch_size=4,8
	--model.n_embd=32 "${slow[@]}")
good "${command[@]}" --run whole
"${command[@]}" --run halves >stopped.txt 2>&1 &
pid=$!
until [ -f halves/learning_rate-1e-2_batch_size-8/log.jsonl ] || ! kill -0 $pid 2>/dev/null; do sleep 0.02; done
kill -TERM $pid 2>/dev/null
wait $pid
code=$?
checks=$((checks + 1))
[ "$code" -eq 75 ] || fail "a sweep that got SIGTERM ended with $code: $(cat stopped.txt)"
holds "$(cat stopped.txt)" "goes on from here" "a stopped sweep"
good "${command[@]}" --run halves
holds "$out" "done before" "the sweep that went on"
cmp -s whole/sweep.csv halves/sweep.csv || fail "a sweep that was stopped and went on differs: $(diff whole/sweep.csv halves/sweep.csv)"

# Several ranks: equal bits.
if command -v mpirun >/dev/null; then
	export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
	good mpirun -np 2 --oversubscribe --bind-to none $(sweep --run=pair)
	cmp -s first.csv pair/sweep.csv || fail "two ranks have another table: $(diff first.csv pair/sweep.csv)"
fi

# A grid of the configuration, of which the command line says something else of one key. Nothing but sweep looks at it.
{ make_config; printf 'sweep:\n  train.seed: [1, 2]\n  train.learning_rate: [1e-2, 1e-3]\n  model.block_size: [4]\n'; } >grid.yaml
good "$aurelius" sweep --config grid.yaml --run grid --data data.h5 --train.seed=3,4,5
holds "$out" "[6/6] learning_rate-1e-3_seed-5" "a sweep over the grid of a file"
grep -q 'block_size: 4$' grid/*/config.yaml || fail "the grid's only block_size was not taken"
good "$aurelius" plan --config grid.yaml --ranks 1 --data data.h5
# A length on the command line holds against another of the file. What is over needs its data no more.
{ make_config; printf 'sweep:\n  train.steps: [2, 3]\n  train.seed: [1, 2]\n'; } >long.yaml
good "$aurelius" sweep --config long.yaml --run long --data data.h5 --train.epochs=0 --train.steps=1
holds "$out" "[2/2] seed-2" "a sweep whose length is the command line's"
mv data.h5 away.h5
good "$aurelius" sweep --config long.yaml --run long --data data.h5 --train.epochs=0 --train.steps=1
mv away.h5 data.h5
good "$aurelius" sweep --config long.yaml --run tokens --data data.h5 --train.tokens=64
grep -q '"tokens": *64\|tokens: 64$' tokens/*/config.yaml || fail "the command line's tokens were not taken"
printf 'sweep:\n  train.seed: [1, x]\n' >wrong.yaml
wrong 2 "wrong.yaml:2: sweep: train.seed" "$aurelius" sweep --config wrong.yaml --run x --data data.h5
wrong 2 "missing.yaml" "$aurelius" sweep --config missing.yaml --run x --data data.h5 --train.seed=1,2

wrong 2 "no key has several values" "$aurelius" sweep --config tiny.yaml --run x --data data.h5 --train.seed=1
wrong 2 "comes twice" "$aurelius" sweep --config tiny.yaml --run x --data data.h5 --train.seed=1,1
wrong 2 "is empty" "$aurelius" sweep --config tiny.yaml --run x --data data.h5 --train.seed=1,,2
wrong 2 "did you mean train.learning_rate" "$aurelius" sweep --config tiny.yaml --run x --data data.h5 \
	--train.learning_rat=1,2
# One bad value among good ones is found before anything is trained.
wrong 2 "n_head" "$aurelius" sweep --config tiny.yaml --run x --data data.h5 --model.n_head=2,3
wrong 2 "the name is empty" "$aurelius" sweep --config tiny.yaml --run "" --data data.h5 --train.seed=1,2
wrong 3 "missing.h5" "$aurelius" sweep --config tiny.yaml --run x --data missing.h5 --train.seed=1,2
wrong 3 "validation part" "$aurelius" sweep --config tiny.yaml --run x --data data.h5 --model.block_size=8,10000
wrong 3 "training part" "$aurelius" sweep --config tiny.yaml --run x --data data.h5 --model.block_size=8,100000
if command -v mpirun >/dev/null; then
	run mpirun -np 2 --oversubscribe "$aurelius" sweep --config tiny.yaml --run x --data data.h5 --train.batch_size=4,5
	same "$code" 2 "the exit code of a sweep with a batch that two ranks cannot share"
	holds "$err" "2 ranks do not divide the 1 leaves" "a batch that two ranks cannot share"
fi
checks=$((checks + 1))
[ ! -e x ] || fail "a sweep that was refused left a folder"
finish
