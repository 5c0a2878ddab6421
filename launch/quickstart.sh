#!/usr/bin/env bash
# From nothing to a trained model: installs what is missing, builds, prepares a text, trains on two ranks, evaluates,
# generates and plots.
#
#   launch/quickstart.sh            on a text from the net or from a package; says which
#   launch/quickstart.sh TEXT       on a text file of yours, or a folder of .txt files
#
# Everything it makes is in quickstart/ in the repository. Stopped and started again it goes on; with another text or
# another configuration it starts anew.
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
repo=$(dirname -- "$here")
out="$repo/quickstart"
config="$repo/configs/quickstart.yaml"
aurelius="$repo/build/aurelius"
gutenberg=https://www.gutenberg.org/cache/epub/2680/pg2680.txt

say() {
	printf '\n== %s\n' "$*"
}

fail() {
	printf 'quickstart.sh: %s\n' "$*" >&2
	exit 1
}

usage() {
	sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"
}

# Writes the text of Meditations without Project Gutenberg's header and footer; fails when there is no answer in 10 s.
fetch_meditations() {
	local raw="$out/download.partial"
	if command -v curl >/dev/null; then
		curl -fsSL --max-time 10 -o "$raw" "$gutenberg" 2>/dev/null || return 1
	elif command -v wget >/dev/null; then
		timeout 10 wget -q -O "$raw" "$gutenberg" 2>/dev/null || return 1
	else
		return 1
	fi
	sed '1,/^\*\*\* *START OF/d;/^\*\*\* *END OF/,$d' "$raw" >"$1"
	rm -f "$raw"
	# A page that says "no" is no book.
	(($(wc -c <"$1") > 100000))
}

# The King James Bible, from a package of the distribution.
print_bible() {
	if ! command -v bible >/dev/null; then
		install_bible || return 1
	fi
	bible -f gen1:1-rev22:21 >"$1" && (($(wc -c <"$1") > 100000))
}

install_bible() {
	local root=()
	((EUID == 0)) || root=(sudo)
	local install=(env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends bible-kjv)
	"${root[@]}" "${install[@]}" >/dev/null 2>&1 ||
		{ "${root[@]}" apt-get -qq update && "${root[@]}" "${install[@]}" >/dev/null; }
}

# Sets `text` and says where it is from. A text of an earlier run is used again, so that the run can go on.
choose_text() {
	if (($# > 0)); then
		text=$(realpath -- "$1")
		echo "text: $text"
		return
	fi
	text="$out/text.txt"
	if [[ -s "$text" && -s "$out/source" ]]; then
		echo "text: $(<"$out/source") (from the last time: $text)"
		return
	fi
	local source="Meditations by Marcus Aurelius, from Project Gutenberg"
	if ! fetch_meditations "$text.partial"; then
		source="the King James Bible, from the package bible-kjv (Project Gutenberg gave no answer within 10 s)"
		print_bible "$text.partial" ||
			fail "no text: Project Gutenberg gives no answer and the package bible-kjv cannot be installed; name one: launch/quickstart.sh TEXT"
	fi
	mv -- "$text.partial" "$text"
	echo "$source" >"$out/source"
	echo "text: $source"
}

# What the run depends on: another text or configuration is another run.
fingerprint() {
	{
		find "$text" -type f -print0 | sort -z | xargs -0 cksum
		cksum <"$config"
	} | cksum
}

# mpirun takes no root and no more ranks than cores unless it is told to.
setup_mpi() {
	if ((EUID == 0)); then
		export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 # in a container root is the usual user
	fi
	# Containers often forbid one process to read another's memory; Open MPI warns and copies instead.
	export OMPI_MCA_btl_vader_single_copy_mechanism=none
}

build_program() {
	local log="$out/build.log"
	local generator=()
	echo "building in $repo/build (the first time takes a minute)"
	[[ -e "$repo/build/CMakeCache.txt" ]] || generator=(-G Ninja)
	if ! { cmake "${generator[@]}" -S "$repo" -B "$repo/build" -DCMAKE_BUILD_TYPE=Release &&
		cmake --build "$repo/build" --target aurelius; } >"$log" 2>&1; then
		tail -n 20 "$log" >&2
		fail "the build failed; all of it is in $log"
	fi
	"$aurelius" --version
}

case "${1:-}" in
-h | --help) usage && exit 0 ;;
-*) fail "unknown option $1 (launch/quickstart.sh [TEXT])" ;;
esac
(($# <= 1)) || fail "one text at most: a file, or a folder of .txt files"
(($# == 0)) || [[ -r "$1" ]] || fail "$1: no such file or folder, or it may not be read"
mkdir -p -- "$out"
run="$out/run"
data="$out/data.h5"

say "Packages"
"$here/install-deps.sh"

say "Build"
build_program

say "Text"
choose_text "$@"

if [[ "$(cat "$out/fingerprint" 2>/dev/null)" != "$(fingerprint)" ]]; then
	rm -rf -- "$run" "$data" "$out/fingerprint"
fi

say "Prepare: text to tokens"
if [[ -s "$data" ]]; then
	echo "the dataset is there: $data"
else
	"$aurelius" prepare "$text" --out "$data" --tokenizer char --clean basic >"$out/prepare.log" ||
		fail "the text could not be prepared"
	sed '/^most frequent/,$d' "$out/prepare.log"
fi
fingerprint >"$out/fingerprint"

say "Train: 2 ranks"
setup_mpi
options=(--config "$config" --run "$run" --data "$data")
# So small a model gains nothing from more than a few threads.
(($(nproc) <= 8)) || options+=(--system.threads=4)
mpirun -np 2 --oversubscribe --bind-to none "$aurelius" train "${options[@]}" || {
	status=$?
	((status == 75)) && fail "stopped after a checkpoint; the same command goes on"
	fail "training ended with exit code $status (rm -r $out to start anew)"
}

say "Evaluate: every window"
split=()
# Half a minute is enough: of a long text the validation part alone. A token is two bytes.
(($(stat -c %s "$data") < 3000000)) || split=(--split val)
"$aurelius" eval "$run" --best "${split[@]}" --plot "$run/loss.svg"

say "Generate: a sample"
"$aurelius" generate "$run" --best --tokens 600 --temperature 0.7 --seed 1

say "Done"
sed -n 's/.*"event": *"eval".*"train_loss": *\([0-9.]*\).*"val_loss": *\([0-9.]*\).*/\1 \2/p' "$run/log.jsonl" | tail -n 1 |
	awk '{ printf "losses:     training %.4f, validation %.4f (nats a character, at the last step)\n", $1, $2 }'
printf 'loss curve: %s\n' "$run/loss.svg"
cat <<END

Try next:
  build/aurelius generate quickstart/run --prompt "The " --tokens 400 --temperature 0.9
  build/aurelius inspect quickstart/run
  mpirun -np 2 --oversubscribe --bind-to none build/aurelius train --run quickstart/run --train.steps=4000
END
