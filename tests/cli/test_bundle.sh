# An installed bundle trains where it was moved to, with the libraries that it brought, on two ranks of its own mpirun.
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

build=$(dirname "$aurelius")
grep -q '^AURELIUS_BUNDLE:BOOL=ON' "$build/CMakeCache.txt" 2>/dev/null || skip "this build makes no bundle (-DAURELIUS_BUNDLE=ON)"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 OMPI_MCA_btl_vader_single_copy_mechanism=none
limit_s=120

good cmake --install "$build" --prefix "$PWD/made" --strip
mkdir elsewhere && mv made "elsewhere/a tree"
tree="$PWD/elsewhere/a tree"

libraries_are_its_own() {
	local library path
	good ldd "$tree/bin/aurelius"
	for library in libhdf5 libmpi libyaml libjansson; do
		path=$(printf '%s\n' "$out" | sed -n "s|^\s*$library[^ ]* => \(.*\) (0x.*|\1|p" | head -n 1)
		case $path in "$tree"/*) ;; *) fail "$library is taken from '$path'" ;; esac
	done
}

it_trains() {
	make_text 600 >text.txt
	make_config >tiny.yaml
	good env -i PATH=/usr/bin:/bin "$tree/bin/aurelius" prepare text.txt --out data.h5
	good env -i PATH=/usr/bin:/bin "$tree/bin/aurelius" train --config tiny.yaml --data data.h5 --run one
	present one/checkpoints/step-00000020.h5
}

its_mpirun_starts_ranks() {
	good "$tree/bin/mpirun" -np 2 --oversubscribe --bind-to none "$tree/bin/aurelius" train --config tiny.yaml \
		--data data.h5 --run two
	holds "$(head -n 1 two/log.jsonl)" '"ranks":2' "the ranks found each other"
	[ "$(wc -l <err.txt)" -lt 60 ] || fail "mpirun has more to say: $(head -n 3 err.txt)"
	if command -v h5diff >/dev/null; then
		good h5diff one/checkpoints/step-00000020.h5 two/checkpoints/step-00000020.h5 /params
	else
		left_out "weights were not compared: no h5diff"
	fi
}

libraries_are_its_own
it_trains
# Of Open MPI 4 alone.
if [ -e "$build/mpirun" ]; then
	its_mpirun_starts_ranks
else
	left_out "two ranks: the bundle has no mpirun"
fi
finish
