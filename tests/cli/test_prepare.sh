# prepare over every kind of input, on several ranks and threads, stopped and started again, and with bad documents.
source "$(dirname "$0")/lib.sh"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
export OMPI_MCA_mpi_yield_when_idle=1 OMPI_MCA_hwloc_base_binding_policy=none OMPI_MCA_btl_vader_single_copy_mechanism=none
command -v h5diff >/dev/null || skip "h5diff (hdf5-tools) is not installed"
limit_s=$((6 * limit_s))
ranks=0
command -v mpirun >/dev/null && mpirun -np 1 true 2>/dev/null && ranks=1

# equal A B WHAT: the token datasets of two files are the same, byte for byte.
equal() {
	local name
	for name in /train/tokens /val/tokens /train/documents /val/documents; do
		checks=$((checks + 1))
		h5diff "$1" "$2" "$name" >diff.txt 2>&1 || fail "$3: $name of $1 and $2 differ: $(head -c 200 diff.txt)"
		# To h5diff, datasets of several sizes are not comparable, and so do not differ.
		same "$(h5ls "$2$name" 2>&1)" "$(h5ls "$1$name" 2>&1 | sed "s,$1,$2,")" "$3: $name"
	done
}

# kill_session PID: mpirun and its ranks, which are groups of their own in one session, all at once.
kill_session() {
	pkill -KILL -s "$1"
	wait "$1" 2>/dev/null
	while pgrep -s "$1" >/dev/null; do sleep 0.01; done
}

# ---- one text, whatever it comes in ----

make_text 3000 >part.txt
awk '{ printf "{\"id\": %d, \"text\": \"%s\\n\"}\n", NR, $0 }' part.txt >lines.jsonl
mkdir -p folder/deep
cp lines.jsonl folder/a.jsonl
make_text 50 >folder/deep/b.txt
printf 'not read' >folder/notes.md
gzip -c lines.jsonl >packed.jsonl.gz
gzip -c part.txt >packed.txt.gz
good "$aurelius" prepare part.txt --out text.h5
good "$aurelius" prepare lines.jsonl --out lines.h5
holds "$out" "documents   3000" "JSON Lines"
good "$aurelius" prepare packed.txt.gz --out other.h5 && equal text.h5 other.h5 "gzip"
good "$aurelius" prepare packed.jsonl.gz --out other.h5 && equal lines.h5 other.h5 "JSON Lines in gzip"
if command -v zstd >/dev/null; then
	zstd -q lines.jsonl -o packed.jsonl.zst
	good "$aurelius" prepare packed.jsonl.zst --out other.h5 && equal lines.h5 other.h5 "zstd"
	head -c 2000 packed.jsonl.zst >cut.jsonl.zst
	wrong 3 "cut.jsonl.zst: cut short" "$aurelius" prepare cut.jsonl.zst --out none.h5
fi
good bash -c "'$aurelius' prepare - --out other.h5 <part.txt" && equal text.h5 other.h5 "standard input"
good bash -c "'$aurelius' prepare - --format jsonl --out other.h5 <packed.jsonl.gz" && equal lines.h5 other.h5 "packed input"
[ ! -e other.h5.input ] || fail "standard input's copy is left over"
good "$aurelius" prepare folder --out folder.h5
good "$aurelius" prepare folder/a.jsonl folder/deep/b.txt --out other.h5 && equal folder.h5 other.h5 "folder"
good "$aurelius" prepare 'folder/*.jsonl' --out other.h5 && equal lines.h5 other.h5 "glob"
good "$aurelius" prepare lines.jsonl --field text --threads 3 --out other.h5 && equal lines.h5 other.h5 "threads"
good bash -c "'$aurelius' prepare - --out empty.h5 </dev/null; [ \$? -eq 3 ]"

# ---- a tokenizer used again, and token files of others ----

good "$aurelius" prepare part.txt --tokenizer text.h5 --out other.h5 && equal text.h5 other.h5 "the same tokenizer"
h5dump -d /train/tokens -b LE -o tokens.bin text.h5 >/dev/null
good "$aurelius" prepare tokens.bin --tokenizer text.h5 --val-fraction 0 --out numbers.h5
checks=$((checks + 1))
h5diff text.h5 numbers.h5 /train/tokens >/dev/null || fail "nanoGPT's file: the tokens differ"
holds "$out" "numbers     1 file" "nanoGPT's file"
wrong 2 "tokens.bin: holds token numbers only" "$aurelius" prepare tokens.bin --out none.h5
printf '\377\377' >>tokens.bin
wrong 3 "is number 65535, the tokenizer has" "$aurelius" prepare tokens.bin --tokenizer text.h5 --out none.h5
printf 'x' >>tokens.bin
wrong 3 "odd number of bytes" "$aurelius" prepare tokens.bin --tokenizer text.h5 --out none.h5
printf 'MMIDIDX\0\0\2' >tokens.idx
wrong 3 "tokens.idx: damaged: shorter than the header" "$aurelius" prepare tokens.bin --tokenizer text.h5 --out none.h5

# ---- documents end with the end of text, and so they come from token files ----

# le BYTES NUMBER...: little-endian.
le() {
	local bytes=$1 number i
	shift
	for number in "$@"; do
		for ((i = 0; i < bytes; i++)); do printf "\\x$(printf %02x $((number >> 8 * i & 255)))"; done
	done
}

# stored FILE NAME NUMBERS WHAT
stored() {
	h5dump -d "$2" -y -o numbers.txt "$1" >/dev/null
	same "$(tr -d ' \n' <numbers.txt)" "$3" "$4: $2"
}

mkdir gpt2 files
printf '{"a":0,"b":1,"\304\240":2,"ab":3,"\304\240ab":4,"<|endoftext|>":5}' >gpt2/vocab.json
printf '#version: 0.2\na b\n\304\240 ab\n' >gpt2/merges.txt
gpt2="--tokenizer gpt2 --vocab gpt2 --val-fraction 0"
printf '{"text": "ab"}\n{"text": "b ab"}\n{"text": ""}\n{"text": "a"}\n' >files/a.jsonl
good "$aurelius" prepare files/a.jsonl $gpt2 --out ended.h5
holds "$out" "documents   3" "GPT-2's end of text"
stored ended.h5 /train/tokens 3,5,1,4,5,0,5 "GPT-2's end of text"
stored ended.h5 /train/documents 0,2,5 "GPT-2's end of text"
printf 'ab' >files/1.txt
printf 'b ab' >files/2.txt
printf 'a' >files/3.txt
good "$aurelius" prepare 'files/*.txt' $gpt2 --out other.h5 && equal ended.h5 other.h5 "a text a document"

le 2 3 5 1 4 5 0 5 >files/n.bin
good "$aurelius" prepare files/n.bin $gpt2 --out other.h5 && equal ended.h5 other.h5 "nanoGPT's file"
le 2 3 1 4 0 >files/m.bin
{
	printf 'MMIDIDX\0\0'
	le 8 1
	le 1 8
	le 8 3 4
	le 4 1 2 1
	le 8 0 2 6
	le 8 0 1 2 3
} >files/m.idx
le 2 3 1 4 0 >files/m.and.bin
cp files/m.idx files/m.and.idx
good "$aurelius" prepare files/m.bin $gpt2 --out other.h5 && equal ended.h5 other.h5 "Megatron's files"
good "$aurelius" prepare files/m.idx files/m.bin $gpt2 --out other.h5 && equal ended.h5 other.h5 "both of Megatron's files"
good "$aurelius" prepare 'files/m*' $gpt2 --out other.h5
holds "$out" "numbers     2 files of 8 tokens" "two pairs of Megatron's files"
{
	le 4 20240520 1 7
	head -c 1012 /dev/zero
	le 2 5 3 5 1 4 5 0
} >files/l.bin
good "$aurelius" prepare files/l.bin $gpt2 --out other.h5
stored other.h5 /train/tokens 5,3,5,1,4,5,0 "llm.c's file"
stored other.h5 /train/documents 0,2,5 "llm.c's file"
printf 'x' >>files/l.bin
wrong 3 "its header tells of 7 tokens" "$aurelius" prepare files/l.bin $gpt2 --out none.h5

# ---- bad documents ----

{
	head -n 2 lines.jsonl
	printf '{"text": 5}\n\n{"text": "caf\351"}\nplain\n'
	tail -n 5 lines.jsonl
} >bad.jsonl
wrong 3 "bad.jsonl: line 3: its field \"text\" is no string" "$aurelius" prepare bad.jsonl --out none.h5
wrong 3 "bad.jsonl: line 1: no field \"body\"" "$aurelius" prepare bad.jsonl --field body --out none.h5
good "$aurelius" prepare bad.jsonl --on-bad skip --out bad.h5
holds "$out" "skipped     3 bad documents" "--on-bad skip"
holds "$out" "3 lines, first: bad.jsonl line 3: its field \"text\" is no string" "--on-bad skip"
holds "$out" "documents   7" "--on-bad skip"
printf 'caf\351' >latin.txt
: >empty.txt
wrong 3 "latin.txt: not UTF-8 at byte 3" "$aurelius" prepare part.txt latin.txt --out none.h5
good "$aurelius" prepare latin.txt part.txt empty.txt --on-bad skip --out bad.h5 && equal text.h5 bad.h5 "skipped texts"
holds "$out" "1 not UTF-8, first: latin.txt at byte 3" "--on-bad skip"
holds "$out" "1 empty file, first: empty.txt" "--on-bad skip"
wrong 3 "nothing is left" "$aurelius" prepare latin.txt --on-bad skip --out none.h5
head -c 3000 packed.jsonl.gz >cut.jsonl.gz
wrong 3 "cut.jsonl.gz: cut short" "$aurelius" prepare cut.jsonl.gz --out none.h5
printf 'no gzip' >wrong.txt.gz
wrong 3 "wrong.txt.gz: damaged" "$aurelius" prepare wrong.txt.gz --out none.h5
wrong 3 "no .txt or .jsonl files" "$aurelius" prepare "$(mktemp -d -p .)" --out none.h5
wrong 3 "no file matches" "$aurelius" prepare 'none-*.txt' --out none.h5
wrong 2 "--on-bad" "$aurelius" prepare part.txt --on-bad warn --out none.h5
wrong 2 "--format" "$aurelius" prepare part.txt --format csv --out none.h5
wrong 2 "--shard-tokens" "$aurelius" prepare part.txt --shard-tokens -1 --out none.h5
wrong 2 "standard input" "$aurelius" prepare - - --out none.h5
[ ! -e none.h5 ] && [ ! -e none.h5.work ] || fail "a refused command left something behind"

# ---- shards ----

wrong 4 "No such file or directory" "$aurelius" prepare part.txt --shard-tokens 30000 --out shards/s.h5
mkdir -p shards
good "$aurelius" prepare part.txt --shard-tokens 30000 --out shards/s.h5
count=$(ls shards/*.h5 | wc -l)
present "shards/s-00000-of-0000$count.h5" "shards/s-0000$((count - 1))-of-0000$count.h5"
good "$aurelius" prepare part.txt --shard-tokens 50000 --out shards/s.h5
[ "$(ls shards/*.h5 | wc -l)" -lt "$count" ] || fail "shards of an older number are left: $(ls shards)"
good "$aurelius" prepare part.txt --shard-tokens 9223372036854775807 --out most.h5
equal text.h5 most-00000-of-00001.h5 "shards larger than the text"
make_config >tiny.yaml
good "$aurelius" train --config tiny.yaml --run run --data 'shards/*.h5'

# ---- ranks and kills ----

# Three kinds of files, several units each.
mkdir -p corpus
for i in 1 2 3 4 5 6 7 8 9 10 11 12; do cat part.txt; done >block.txt
for i in 1 2 3 4 5 6; do cat block.txt; done >corpus/a.txt
for i in 1 2 3 4 5 6; do cat lines.jsonl lines.jsonl lines.jsonl; done >corpus/b.jsonl
gzip -1 -c corpus/b.jsonl >corpus/c.jsonl.gz
prepare="$aurelius prepare corpus --tokenizer word"
good $prepare --out one.h5
if [ "$ranks" -eq 1 ]; then
	for n in 1 2 4; do
		good mpirun -np "$n" $prepare --out "ranks.h5" && equal one.h5 ranks.h5 "$n ranks"
		[ ! -e ranks.h5.work ] || fail "$n ranks: the work folder is left over"
		good mpirun -np "$n" $prepare --shard-tokens 700000 --out "n$n.h5"
	done
	for shard in n1-*.h5; do
		equal "$shard" "n2${shard#n1}" "shards of 2 ranks"
		equal "$shard" "n4${shard#n1}" "shards of 4 ranks"
	done
	# Each rank sees words of its own, of which rank 0 makes the vocabulary. More of them than are sent at once.
	mkdir -p shares
	for i in 1 2 3 4 5; do
		awk -v i=$i 'BEGIN { for (n = 0; n < 60000; n++) printf "%s%d%c ", substr("klmno", i, 1), n * n % 999983, 97 + n % 13 }' | tr 0-9 p-y >shares/$i.txt
		echo "only $(echo ABCDE | cut -c $i)" >>shares/$i.txt
	done
	for kind in "char" "word" "bpe --vocab-size 600"; do
		good "$aurelius" prepare shares --tokenizer $kind --out one-kind.h5
		for n in 2 3; do
			good mpirun -np $n "$aurelius" prepare shares --tokenizer $kind --out ranks-kind.h5
			equal one-kind.h5 ranks-kind.h5 "$kind by $n ranks"
			h5diff one-kind.h5 ranks-kind.h5 /tokenizer >diff.txt 2>&1 || fail "$kind by $n ranks: $(head -c 200 diff.txt)"
		done
	done
	mpirun -np 2 "$aurelius" prepare corpus latin.txt --out none.h5 >out.txt 2>err.txt
	same $? 3 "two ranks and a bad text"
	holds "$(cat err.txt)" "latin.txt: not UTF-8 at byte 3" "two ranks and a bad text"

	# Killed at any instant it goes on, on whatever number of ranks, and ends the same.
	for delay in 0.1 0.25 0.4 0.6 0.8; do
		setsid mpirun -np 2 $prepare --shard-tokens 700000 --out k.h5 >/dev/null 2>&1 &
		sleep "$delay"
		kill_session $!
	done
	good $prepare --shard-tokens 700000 --out k.h5
	for shard in n1-*.h5; do equal "$shard" "k${shard#n1}" "killed and started again"; done
	[ ! -e k.h5.work ] || fail "killed and started again: the work folder is left over"

	# What was begun is not mixed with what another command asks for.
	mkdir w.h5.work
	setsid mpirun -np 2 $prepare --out w.h5 >/dev/null 2>&1 &
	for i in $(seq 200); do
		ls w.h5.work | grep -q '^unit-.*[0-9]$' && break
		sleep 0.05
	done
	kill_session $!
	if [ -e w.h5.work/command ]; then
		wrong 2 "holds the unfinished work of another command" $prepare --lowercase --out w.h5
		wrong 2 "--anew" $prepare --lowercase --out w.h5
		touch corpus/a.txt
		wrong 2 "corpus/a.txt" $prepare --out w.h5
		good $prepare --anew --out w.h5 && equal one.h5 w.h5 "--anew"
	fi
fi

# ---- a pattern of which nothing is known ----

# GPT-4's in other words: the tokens are the same, but the text is only cut by splitting it from its beginning.
known=$source_folder/tests/golden/subwords-gpt4.json
sed "s/'t|'re/'re|'t/" "$known" >foreign.json
cmp -s "$known" foreign.json && fail "the pattern is the known one"
for i in 1 2 3 4 5 6 7 8 9; do cat block.txt; done | tr -d '\n' | tr a-d '  \n7' >foreign.txt
[ "$(stat -c %s foreign.txt)" -gt 10000000 ] || fail "foreign.txt is too short to be cut: $(stat -c %s foreign.txt)"
good "$aurelius" prepare foreign.txt --tokenizer "$known" --out known.h5
for threads in 1 3; do
	good "$aurelius" prepare foreign.txt --tokenizer foreign.json --threads $threads --out foreign.h5
	equal known.h5 foreign.h5 "a foreign pattern on $threads threads"
done
# One piece over several places where units end: what was read beyond it is more than a unit.
{ head -c 3000000 foreign.txt; echo; cat foreign.txt foreign.txt | tr -cd a-z | head -c 6000000; cat foreign.txt; } >long.txt
[ "$(stat -c %s long.txt)" -gt 19000000 ] || fail "long.txt is too short: $(stat -c %s long.txt)"
good "$aurelius" prepare long.txt --tokenizer "$known" --out known-long.h5
good "$aurelius" prepare long.txt --tokenizer foreign.json --threads 2 --out long.h5
equal known-long.h5 long.h5 "a piece of 6 MB under a foreign pattern"
if [ "$ranks" -eq 1 ]; then
	for delay in 0.4 0.8 1.2; do
		setsid mpirun -np 2 "$aurelius" prepare foreign.txt --tokenizer foreign.json --out killed.h5 >/dev/null 2>&1 &
		sleep $delay
		kill_session $!
	done
	good mpirun -np 2 "$aurelius" prepare foreign.txt --tokenizer foreign.json --out killed.h5
	equal known.h5 killed.h5 "a foreign pattern, killed and started again"
fi

# A signal ends it with 75, and the next start goes on.
for i in 1 2 3 4; do cat corpus/a.txt corpus/a.txt; done >large.txt
"$aurelius" prepare large.txt --out s.h5 >stopped.txt 2>&1 &
until [ -e s.h5.work ] || ! kill -0 $! 2>/dev/null; do sleep 0.01; done
kill -TERM $! 2>/dev/null
wait $!
code=$?
checks=$((checks + 1))
case $code in
0) ;; # it was quicker than the signal
75) holds "$(cat stopped.txt)" "give the same command again" "stopped by a signal" ;;
*) fail "stopped by a signal: exit code $code: $(cat stopped.txt)" ;;
esac
good "$aurelius" prepare large.txt --out s.h5
[ ! -e s.h5.work ] || fail "stopped and started again: the work folder is left over"

# What was done is not kept because nobody reads the report.
"$aurelius" prepare large.txt --out u.h5 2>err.txt | true
same "${PIPESTATUS[0]}" 4 "nobody reads the report"
equal s.h5 u.h5 "nobody reads the report"
[ ! -e u.h5.work ] || fail "nobody reads the report: the work folder is left over"

# It does not wait for standard input.
mkfifo pipe
exec 3<>pipe
timeout -k 1 "$limit_s" "$aurelius" prepare - --out none.h5 <pipe >stopped.txt 2>&1 &
until [ -e none.h5.input ]; do sleep 0.05; done
started=$SECONDS
kill -TERM $!
wait $!
same $? 75 "stopped while it waits for standard input"
exec 3>&-
[ $((SECONDS - started)) -lt "$limit_s" ] || fail "a signal waits for standard input"
[ ! -e none.h5.input ] || fail "standard input's copy is left over after a signal"

# Two at once must not write into one copy of standard input.
exec 3<>pipe
timeout -k 1 "$limit_s" "$aurelius" prepare - --out both.h5 <pipe >first.txt 2>&1 &
first=$!
until [ -s both.h5.input ]; do
	echo "one line of the first" >&3
	sleep 0.05
done
timeout -k 1 "$limit_s" "$aurelius" prepare - --out both.h5 <large.txt >out.txt 2>err.txt
same $? 4 "two that read standard input for one dataset"
holds "$(cat err.txt)" "both.h5.input: another process" "two that read standard input for one dataset"
[ "$(head -n 1 both.h5.input)" = "one line of the first" ] || fail "the second has overwritten the first's input"
kill -TERM "$first"
wait "$first"
same $? 75 "the first of two"
exec 3>&-
[ ! -e both.h5.input ] || fail "standard input's copy is left over after the first of two"
good bash -c "'$aurelius' prepare - --out both.h5 <corpus/a.txt"

# One that a single rank gets stops them all.
if [ "$ranks" -eq 1 ]; then
	setsid timeout -k 1 60 mpirun -np 2 "$aurelius" prepare large.txt --out r.h5 >stopped.txt 2>&1 &
	until ls r.h5.work 2>/dev/null | grep -q '^unit-.*[0-9]$' || ! kill -0 $! 2>/dev/null; do
		sleep 0.02
	done
	kill -TERM "$(pgrep -s $! -f "^$aurelius" | tail -n 1)" 2>/dev/null
	wait $!
	code=$?
	checks=$((checks + 1))
	case $code in
	0) ;; # it was quicker than the signal
	75) holds "$(cat stopped.txt)" "give the same command again" "one rank stopped by a signal" ;;
	*) fail "one rank stopped by a signal: exit code $code: $(cat stopped.txt)" ;;
	esac
	good mpirun -np 2 "$aurelius" prepare large.txt --out r.h5 && equal s.h5 r.h5 "one rank stopped by a signal"
fi

# ---- a full disk ----

full='mount -t tmpfs -o size=24m tmpfs disk || exit 98
	cp old.h5 disk/d.h5
	'"'$aurelius'"' prepare large.txt --out disk/d.h5
	code=$?
	cmp old.h5 disk/d.h5 || exit 99
	exit $code'
mkdir disk
cp text.h5 old.h5
if ! unshare -m mount -t tmpfs -o size=1m tmpfs disk 2>/dev/null; then
	left_out "a tmpfs of its own is not permitted here; run as root"
else
	run unshare -m bash -c "$full"
	same "$code" 4 "a full disk"
	holds "$err" "No space left on device" "a full disk"
fi
finish
