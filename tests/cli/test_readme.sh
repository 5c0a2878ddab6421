# The commands of the README do what it says: its blocks fenced with ```sh are run in order, in one shell, in a scratch
# copy of the project where the built program is `aurelius` on the PATH and build/aurelius. Blocks marked ```text are not
# run. Texts it names in its own folder are those of AURELIUS_DATA, or generated ones.
source "$(dirname "$0")/lib.sh"

[ -f "$source_folder/README.md" ] || skip "there is no README.md"

# A fence is three or more back quotes, indented at will; it ends at one at least as long. Its indent is taken from its
# lines. Before each block its line is noted, for the message of a failure.
extract() {
	awk '
		function fence_of(line) { return match(line, /^ *```+/) ? substr(line, RSTART, RLENGTH) : "" }
		!inside && fence_of($0) != "" {
			opening = fence_of($0); word = $0
			sub(/^ *```+[ \t]*/, "", word); sub(/[ \t\r]+$/, "", word)
			indent = index(opening, "`") - 1; length_of = length(opening) - indent
			inside = 1; wanted = word == "sh"
			if (wanted) printf "block=%d\n", NR
			next
		}
		inside && match($0, /^ *```+[ \t\r]*$/) {
			closing = $0; gsub(/[^`]/, "", closing)
			if (length(closing) >= length_of) { inside = 0; next }
		}
		inside && wanted {
			line = $0; sub(/\r$/, "", line)
			if (substr(line, 1, indent) ~ /^ *$/) line = substr(line, indent + 1)
			print line
		}
	' "$1"
}
extract "$source_folder/README.md" >extracted.sh
grep -q '^block=' extracted.sh || skip "README.md has no block marked sh"

# What installs, builds or tests the project itself has been done to get here; it would not end in a test.
skipped='^[[:space:]]*(\$ )?(sudo |git clone |cd aurelius|apt(-get)? |cmake |ninja|(\./)?launch/(quickstart|install-deps)\.sh|(\./)?tests/run\.sh)'
grep -E "$skipped" extracted.sh | sed 's/^/not run here: /'
{
	echo 'set -eEuo pipefail'
	echo 'trap '\''echo "README.md: failed in the block at line $block: $BASH_COMMAND" >&2'\'' ERR'
	grep -vE "$skipped" extracted.sh
} >commands.sh
bash -n commands.sh || { fail "the blocks of README.md are not a shell script"; finish; }

mkdir -p project/build bin
(cd "$source_folder" && tar cf - --exclude=.git --exclude='./build*' --exclude='*.h5' .) | tar xf - -C project
ln -s "$aurelius" bin/aurelius
ln -sf "$aurelius" project/build/aurelius
for text in meditations shakespeare; do
	[ -f "project/$text.txt" ] || cp "${AURELIUS_DATA:-/nowhere}/$text.txt" "project/$text.txt" 2>/dev/null ||
		make_text 20000 >"project/$text.txt"
done
for text in book text; do
	[ -f "project/$text.txt" ] || head -c 200000 project/meditations.txt >"project/$text.txt"
done

export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_rmaps_base_oversubscribe=1
cd project || exit 1
PATH=$scratch/bin:$PATH timeout -k 5 550 bash ../commands.sh >../readme.out 2>../readme.err </dev/null
code=$?
cd "$scratch" || exit 1
checks=$((checks + $(grep -c '^block=' extracted.sh)))
[ "$code" -eq 0 ] || { tail -n 20 readme.err; fail "the commands of README.md ended with $code"; }
finish
