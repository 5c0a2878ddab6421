# What the tests of the command line share. Usage: bash test_NAME.sh PROGRAM SOURCE_FOLDER
# Each test works in a scratch folder of its own, removed at the end.

set -u
aurelius=$(realpath "$1")
source_folder=$(realpath "$2")
scratch=$(mktemp -d "${TMPDIR:-/tmp}/aurelius-cli.XXXXXX")
trap 'chmod -R u+rwX "$scratch"; rm -rf "$scratch"' EXIT
cd "$scratch" || exit 1
checks=0
failures=0
omitted=0
# No command of these tests may take longer, wrong ones above all; more on a machine that others load.
limit_s=${AURELIUS_CLI_LIMIT_S:-$((20 * (1 + $(cut -d. -f1 /proc/loadavg) / $(nproc))))}

# fail TEXT...: notes a failed check and goes on, so that one run shows all of them.
fail() {
	failures=$((failures + 1))
	printf 'FAILED: %s\n' "$*"
}

# run COMMAND...: into $out, $err and $code.
run() {
	checks=$((checks + 1))
	timeout -k 1 "$limit_s" "$@" >out.txt 2>err.txt </dev/null
	code=$?
	out=$(tr -d '\0' <out.txt)
	err=$(tr -d '\0' <err.txt)
}

# good COMMAND...: must exit with 0.
good() {
	run "$@"
	[ "$code" -eq 0 ] || fail "$* exited with $code: $err"
}

# wrong CODE FRAGMENT COMMAND...: must exit with CODE and say so in one line on stderr that holds FRAGMENT.
wrong() {
	local expected=$1 fragment=$2
	shift 2
	run "$@"
	[ "$code" -eq "$expected" ] || fail "$* exited with $code instead of $expected: $err"
	[ "$(wc -l <err.txt)" -eq 1 ] || fail "$* wrote not one line on stderr but: $err"
	case $err in *"$fragment"*) ;; *) fail "$*: no '$fragment' in: $err" ;; esac
}

# holds TEXT FRAGMENT WHAT
holds() {
	checks=$((checks + 1))
	case $1 in *"$2"*) ;; *) fail "$3: no '$2' in: $1" ;; esac
}

# same A B WHAT
same() {
	checks=$((checks + 1))
	[ "$1" = "$2" ] || fail "$3: '$1' instead of '$2'"
}

# present FILE...: must be there and not be empty.
present() {
	local file
	for file in "$@"; do
		checks=$((checks + 1))
		[ -s "$file" ] || fail "$file is missing or empty"
	done
}

# json FILE KEY...: the value below nested keys, by python3 or jq, whichever there is.
json() {
	local file=$1
	shift
	if command -v jq >/dev/null; then
		jq -c "$(printf '.["%s"]' "$@" | sed 's/\]\.\[/][/g')" "$file"
	else
		python3 -c 'import json, sys
value = json.load(open(sys.argv[1]))
for key in sys.argv[2:]:
    value = value[key]
print(json.dumps(value))' "$file" "$@"
	fi
}

can_read_json() {
	command -v jq >/dev/null || command -v python3 >/dev/null
}

skip() {
	printf 'SKIP: %s\n' "$*"
	exit 77
}

# left_out TEXT...: a part cannot run here; the test goes on, and is shown as skipped at its end unless it fails.
left_out() {
	omitted=$((omitted + 1))
	printf 'SKIP: %s\n' "$*"
}

# A text that can be learned from: sentences of a few words, always the same.
make_text() {
	awk -v lines="${1:-600}" 'BEGIN {
		split("the mind is calm when it bears what comes and keeps to its own nature", word, " ")
		state = 7
		for (i = 0; i < lines; i++) {
			line = ""
			for (j = 0; j < 8; j++) {
				state = (state * 69069 + 1) % 4294967296
				line = line (j ? " " : "") word[1 + int(state / 4294967296 * 14)]
			}
			print line "."
		}
	}'
}

make_config() {
	cat <<'END'
model: {kind: gpt, n_layer: 1, n_head: 2, n_embd: 16, block_size: 16, dropout: 0}
train: {steps: 20, batch_size: 4, learning_rate: 3e-3, log_interval: 1, eval_interval: 10, eval_windows: 8,
  checkpoint_interval: 10}
END
}

# text.txt, data.h5, tiny.yaml, a trained run in run/, an exported model.h5.
make_all() {
	make_text >text.txt
	make_config >tiny.yaml
	good "$aurelius" prepare text.txt --out data.h5
	good "$aurelius" train --config tiny.yaml --run run --data data.h5
	good "$aurelius" export run --to h5 --out model.h5
}

finish() {
	printf '%d checks, %d failed\n' "$checks" "$failures"
	[ "$failures" -eq 0 ] || exit 1
	[ "$omitted" -eq 0 ] || exit 77
	exit 0
}
