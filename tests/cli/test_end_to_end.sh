# From a text to a trained model and all that can be done with it.
source "$(dirname "$0")/lib.sh"
make_all
present data.h5 model.h5 run/config.yaml run/log.jsonl run/checkpoints/best.h5 run/checkpoints/step-00000020.h5

# ---- eval ----
good "$aurelius" eval run
holds "$out" "train" "eval"
holds "$out" "val" "eval"
holds "$out" "standard error" "eval"
holds "$out" "bits a character" "eval"
good "$aurelius" eval run --split val
case $out in *train\ *) fail "eval --split val shows the training part too: $out" ;; esac
good "$aurelius" eval run --best --data data.h5
holds "$out" "best.h5" "eval --best"

# An exported model is the model: the same loss to the last digit, in a fraction of the checkpoint's size.
if can_read_json; then
	good "$aurelius" eval run --json
	cp out.txt run.json
	good "$aurelius" eval model.h5 --json
	cp out.txt model.json
	same "$(json model.json val)" "$(json run.json val)" "loss of the exported model"
	same "$(json model.json train)" "$(json run.json train)" "loss of the exported model"
	same "$(json run.json step)" 20 "step of eval --json"
	# All whole windows of 16 tokens and a target: (tokens - 1) / 16.
	good "$aurelius" inspect data.h5 --json
	cp out.txt data.json
	windows=$((($(json data.json val_tokens) - 1) / 16))
	same "$(json run.json val windows)" "$windows" "windows of eval"
	same "$(json run.json val tokens)" $((16 * windows)) "tokens of eval"
	awk -v loss="$(json run.json val loss)" 'BEGIN { exit !(loss > 0.5 && loss < 3.5) }' ||
		fail "a loss after 20 steps of $(json run.json val loss)"
fi
[ $((2 * $(stat -c %s model.h5))) -lt "$(stat -c %s run/checkpoints/step-00000020.h5)" ] ||
	fail "model.h5 is not much smaller than the checkpoint"

# ---- generate ----
good "$aurelius" generate run --tokens 60 --seed 3
first=$out
same "${#first}" 60 "characters of generate without a prompt"
good "$aurelius" generate run --tokens 60 --seed 3
same "$out" "$first" "the same seed"
good "$aurelius" generate run --tokens 60 --seed 4
[ "$out" != "$first" ] || fail "another seed gave the same text"
good "$aurelius" generate model.h5 --tokens 60 --seed 3
same "$out" "$first" "the exported model's text"
good "$aurelius" generate run --tokens 40 --prompt "the mind" --temperature 0
greedy=$out
same "${greedy:0:8}" "the mind" "the prompt's place"
good "$aurelius" generate run --tokens 40 --prompt "the mind" --top-k 1 --seed 9
same "$out" "$greedy" "top-k 1 against temperature 0"
good "$aurelius" generate run --tokens 5 --prompt "the mind" --samples 3 --top-p 0.9
same "$(grep -c '^----------$' out.txt)" 2 "lines between three samples"
good "$aurelius" generate run --tokens 5 --prompt "the Xyz"
holds "$err" "3 pieces of the prompt are not in the vocabulary, the first is 'X'" "unknown pieces"
good "$aurelius" generate run --tokens 5 --prompt "the mind is calm when it bears"
holds "$err" "reads the last 16" "a long prompt"
# Whoever closes the pipe early ends the text, and nothing hangs.
checks=$((checks + 1))
timeout "$limit_s" "$aurelius" generate run --tokens 2000000 2>err.txt | head -c 10 >/dev/null
holds "$(cat err.txt)" "standard output" "a closed pipe"

# ---- a mixture ----
cp data.h5 wiki-1.h5
cp data.h5 wiki-2.h5
cp data.h5 'code,3@1.h5'
cat >mixed.yaml <<'END'
model: {kind: gpt, n_layer: 1, n_head: 2, n_embd: 16, block_size: 16, dropout: 0}
data:
  train:
    - path: wiki-*.h5
      weight: 0.7
    - path: code,3@1.h5
      weight: 0.3
train: {epochs: 0.05, batch_size: 4, learning_rate: 3e-3, log_interval: 1, eval_windows: 8}
END
good "$aurelius" train --config mixed.yaml --run mixed
holds "$out" "70.0% of the samples from wiki-*.h5: 2 files" "a mixture is told"
good "$aurelius" train --config mixed/config.yaml --run again
same "$(cat again/config.yaml)" "$(cat mixed/config.yaml)" "a run's configuration read back"
good "$aurelius" train --config tiny.yaml --run typed --train.steps=4 --data 'wiki-*.h5@0.7,code\,3@1.h5@0.3'
holds "$(cat typed/config.yaml)" 'path: "code,3@1.h5"' "a mixture on the command line"
good "$aurelius" inspect mixed/checkpoints/best.h5
holds "$out" "wiki-*.h5@0.7, code,3@1.h5@0.3" "inspect of a mixture's run"
good "$aurelius" eval mixed
good "$aurelius" eval mixed --data 'wiki-1.h5@0.5,wiki-2.h5@0.5'
good "$aurelius" prepare text.txt --out whole.h5 --val-fraction 0
good "$aurelius" train --config tiny.yaml --run unjudged --train.steps=4 --data wiki-1.h5 --data.val=whole.h5
wrong 3 "whole.h5: its validation part has 0 tokens" "$aurelius" eval unjudged --split val
good "$aurelius" plan --config mixed.yaml --ranks 1
wrong 2 "has no weight where others have one" "$aurelius" train --config tiny.yaml --run x --data wiki-1.h5@1,wiki-2.h5
wrong 2 "data.val: weights mean nothing" "$aurelius" train --config mixed.yaml --run x --data.val=wiki-1.h5@1

# ---- inspect ----
good "$aurelius" inspect data.h5
holds "$out" "train tokens" "inspect of a dataset"
good "$aurelius" inspect data.h5 --verify
holds "$out" "verified" "inspect --verify of a dataset"
good "$aurelius" inspect run/checkpoints/step-00000020.h5 --verify
good "$aurelius" inspect run --verify
# The last KiB of the tokens: every other check passes it by.
cp data.h5 damaged.h5
printf '\377\377' | dd of=damaged.h5 bs=1 conv=notrunc status=none \
	seek=$(($(h5dump -p -H -d /train/tokens data.h5 | awk '/OFFSET/ { print $2 }') + 2000))
good "$aurelius" inspect damaged.h5
wrong 3 "damaged.h5: /train/tokens: checksum mismatch" "$aurelius" inspect damaged.h5 --verify
good "$aurelius" inspect run
holds "$out" "finished" "inspect of a run"
holds "$out" "checkpoints/best.h5" "inspect of a run"
good "$aurelius" inspect model.h5
holds "$out" "wte.weight" "inspect of a model"
if can_read_json; then
	same "$(json data.json tokenizer)" '"char"' "tokenizer of the dataset"
	same "$(json data.json clean)" '"none"' "cleaning of the dataset"
	good "$aurelius" inspect run/checkpoints/step-00000020.h5 --json
	cp out.txt checkpoint.json
	same "$(json checkpoint.json kind)" '"checkpoint"' "kind of a checkpoint"
	same "$(json checkpoint.json step)" 20 "step of a checkpoint"
	same "$(json checkpoint.json config model n_embd)" 16 "configuration of a checkpoint"
	same "$(json checkpoint.json vocab_size)" "$(json data.json vocab_size)" "vocabulary of a checkpoint"
	good "$aurelius" inspect model.h5 --json
	cp out.txt exported.json
	same "$(json exported.json kind)" '"model"' "kind of an exported model"
	same "$(json exported.json parameters)" "$(json checkpoint.json parameters)" "parameters of an exported model"
	good "$aurelius" inspect run --json
	cp out.txt inspected.json
	same "$(json inspected.json state)" '"finished"' "state of a run"
	same "$(json inspected.json newest step)" 20 "newest checkpoint of a run"
fi

# ---- tokenize ----
good "$aurelius" tokenize data.h5 "the mind" --json
cp out.txt tokens.json
if can_read_json; then
	ids=$(json tokens.json ids | tr -d '[]' | tr ',' ' ')
	good "$aurelius" tokenize run/checkpoints/best.h5 --decode "$ids"
	same "$out" "the mind" "tokenize there and back"
fi
# The character 0 is one like any other.
printf 'ab\0cd ab\0cd ef ab\0cd' >zero.txt
good "$aurelius" prepare zero.txt --out zero.h5
good "$aurelius" tokenize zero.h5 --decode "3 1 4"
same "$(od -An -c <out.txt | tr -d ' ')" 'a\0b\n' "a text with the character 0"

# ---- plot ----
if command -v gnuplot >/dev/null; then
	good "$aurelius" plot run
	same "$out" "run/loss.svg" "the name that plot prints"
	present run/loss.svg
	holds "$(cat run/loss.svg)" "loss (nats per token)" "the plot's axis"
	holds "$(cat run/loss.svg)" "at step" "the plot's best point"
	cp -r run "it's a second_run"
	good "$aurelius" plot run "it's a second_run" --out both.svg
	holds "$(cat both.svg)" "second_run" "the legend of two runs"
	good "$aurelius" plot run/checkpoints/best.h5 --out best.png
	good "$aurelius" eval run --split val --plot eval.svg
	present best.png eval.svg
	same "$(head -c 4 best.png | tail -c 3)" PNG "the kind of best.png"
	# Names that mean something else to gnuplot, or are no text, are names of files all the same.
	good "$aurelius" plot run --out "|touch ran.svg"
	present "|touch ran.svg"
	same "$([ -e ran.svg.partial ] && echo ran)" "" "a command in the name of a picture"
	latin=$(printf 'caf\351')
	cp -r run "$latin"
	good "$aurelius" plot "$latin" --out latin.svg
	holds "$(cat latin.svg)" "caf?" "a title that is not UTF-8"
	wrong 4 "apt-get install gnuplot" env PATH=/nowhere "$aurelius" plot run --out none.svg
else
	echo "gnuplot is missing: plots were not tested"
fi

# ---- words ----
good "$aurelius" prepare text.txt --tokenizer word --out words.h5
good "$aurelius" train --config tiny.yaml --run words --data words.h5 --train.steps=4 --train.eval_interval=4
good "$aurelius" generate words --tokens 6 --prompt "the mind is"
same "$(wc -w <out.txt)" 9 "words of a text"

# ---- data that moved, and data of another vocabulary ----
mkdir elsewhere
mv data.h5 elsewhere/
wrong 3 "--data" "$aurelius" eval run
good "$aurelius" eval run --data elsewhere/data.h5 --split val
wrong 3 "vocabulary" "$aurelius" eval run --data words.h5
finish
