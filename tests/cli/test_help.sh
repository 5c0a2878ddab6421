# --help and --version of everything.
source "$(dirname "$0")/lib.sh"

good "$aurelius" --version
holds "$out" "aurelius " "--version"
holds "$out" "commit" "--version"
holds "$out" "backends: " "--version"
good "$aurelius" --help
help=$out
for command in prepare train eval generate tokenize plot inspect export sweep plan doctor; do
	holds "$help" "$command" "--help"
	good "$aurelius" "$command" --help
	holds "$out" "usage: aurelius $command" "$command --help"
	holds "$out" "--help" "$command --help"
	same "$err" "" "$command --help on stderr"
done
# Help is asked for, whatever else is wrong.
good "$aurelius" eval --help --no-such-option nothing.h5
finish
