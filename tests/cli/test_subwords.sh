# Byte-level BPE from a vocabulary to a model that writes text.
source "$(dirname "$0")/lib.sh"
make_text >text.txt
printf 'Ein Satz mit \303\244, \346\274\242 und \360\237\230\200.\n%.0s' 1 2 3 4 5 6 7 8 >>text.txt
make_config >tiny.yaml
vocabulary="$source_folder/tests/golden/subwords-gpt4.json"

# ---- datasets hold the tokenizer ----
good "$aurelius" prepare text.txt --tokenizer "$vocabulary" --out data.h5
holds "$out" "tokenizer   bpe" "prepare with a tokenizer.json"
holds "$out" "vocabulary  1001 tokens" "prepare with a tokenizer.json"
good "$aurelius" prepare text.txt --tokenizer data.h5 --out again.h5
good "$aurelius" inspect again.h5
holds "$out" "bpe" "the tokenizer of a dataset, taken over"

# A folder of two files, by either names.
mkdir gpt2 folder
printf '{"a":0,"b":1," ":2,"\304\240":3,"ab":4,"\304\240ab":5,"<|endoftext|>":6}' >gpt2/encoder.json
printf '#version: 0.2\na b\n\304\240 ab\n' >gpt2/vocab.bpe
sed 's/," ":2//' gpt2/encoder.json >folder/vocab.json
cp gpt2/vocab.bpe folder/merges.txt
wrong 3 "stands for no byte" "$aurelius" tokenize gpt2 "ab"
good "$aurelius" tokenize folder "ab ab"
holds "$out" "2 tokens, 5 characters, 2.50 characters per token" "tokenize with a folder"
good "$aurelius" prepare text.txt --tokenizer gpt2 --vocab folder --out small.h5
holds "$out" "not in the vocabulary" "bytes without a token"

# ---- tokenize ----
good "$aurelius" tokenize data.h5 "It's  漢 123"
case $out in
*$'\033'*) fail "tokenize colours what is no terminal" ;;
esac
good "$aurelius" tokenize data.h5 --decode "$("$aurelius" tokenize data.h5 "It's  漢 123" |
	sed -n "s/^ *\([0-9]*\)  '.*/\1/p" | tr '\n' ' ')"
same "$out" "It's  漢 123" "tokens decoded"
if script -qec true /dev/null >/dev/null 2>&1; then
	checks=$((checks + 2))
	TERM=xterm script -qec "$aurelius tokenize data.h5 'the king'" /dev/null >colours.txt </dev/null
	grep -q $'\033\[30;48;5;' colours.txt || fail "tokenize shows no colours on a terminal"
	TERM=xterm NO_COLOR=1 script -qec "$aurelius tokenize data.h5 'the king'" /dev/null >plain.txt </dev/null
	! grep -q $'\033' plain.txt || fail "tokenize does not look at NO_COLOR"
fi

# ---- export as tokenizer.json ----
good "$aurelius" export data.h5 --to tokenizer --out tokenizer.json
good "$aurelius" tokenize tokenizer.json "It's  漢 123"
exported=$out
good "$aurelius" tokenize "$vocabulary" "It's  漢 123"
same "$exported" "$out" "the exported tokenizer"
good "$aurelius" prepare text.txt --tokenizer word --out words.h5
wrong 3 "has no tokenizer.json" "$aurelius" export words.h5 --to tokenizer --out words.json
wrong 2 "the model itself" "$aurelius" export data.h5 --to tokenizer --out ./data.h5

# ---- models hold it too ----
good "$aurelius" train --config tiny.yaml --run run --data data.h5 --train.steps=2
good "$aurelius" eval run
good "$aurelius" generate run --prompt "漢" --tokens 8
good "$aurelius" generate run --tokens 8
good "$aurelius" export run --to tokenizer --out model.json
checks=$((checks + 1))
cmp -s model.json tokenizer.json || fail "a model's tokenizer is not that of its data"
wrong 3 "vocabulary" "$aurelius" eval run --data words.h5

# ---- wrong calls ----
wrong 2 "needs --vocab DIR" "$aurelius" prepare text.txt --tokenizer gpt2 --out x.h5
wrong 2 "is for --tokenizer gpt2" "$aurelius" prepare text.txt --vocab folder --out x.h5
wrong 2 "is not known" "$aurelius" prepare text.txt --tokenizer subwords --out x.h5
wrong 2 "made from the texts" "$aurelius" prepare text.txt --tokenizer tokenizer.json --clean basic --out x.h5
wrong 2 "made from the texts" "$aurelius" prepare text.txt --tokenizer tokenizer.json --lowercase --out x.h5
wrong 3 "huggingface.co/openai-community/gpt2" "$aurelius" prepare text.txt --tokenizer gpt2 --vocab run --out x.h5
rm folder/merges.txt
wrong 3 "merges.txt" "$aurelius" prepare text.txt --tokenizer gpt2 --vocab folder --out x.h5
wrong 3 "missing.json" "$aurelius" prepare text.txt --tokenizer missing.json --out x.h5
printf '{"model":{"type":"Unigram"}}' >unigram.json
wrong 3 "unigram.json: model Unigram is not supported" "$aurelius" prepare text.txt --tokenizer unigram.json --out x.h5
finish
