#!/usr/bin/env bash
# Greps for what the project's code may not hold and names each place as file:line.
#
#   tests/check-rules.sh [FOLDER]      checks the repository, or the tree in FOLDER
#   tests/check-rules.sh --self-test   plants every sin in a scratch tree and sees that each is found
#
# Exit code 1 when something is found. In C files comments and texts in quotes are left out, but for the rules on
# layout.
set -euo pipefail

repo=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
longest=700
found=0

# Prints the C files as FILE:LINE:TEXT, comments and literals blanked.
strip_c() {
	awk '
	FNR == 1 { state = "" }
	{
		line = $0; out = ""; n = length(line); i = 1
		while (i <= n) {
			if (state == "" && !match(substr(line, i), /["\047\/]/)) { out = out substr(line, i); break }
			if (state == "" && RSTART > 1) { out = out substr(line, i, RSTART - 1); i += RSTART - 1 }
			c = substr(line, i, 1); two = substr(line, i, 2)
			if (state == "comment") {
				if (two == "*/") { state = ""; i++ }
			} else if (state != "") {
				if (c == "\\") i++
				else if (c == state) state = ""
			} else if (two == "/*") { state = "comment"; i++ }
			else if (two == "//") break
			else if (c == "\"" || c == "\047") state = c
			else out = out c
			i++
		}
		if (state != "comment" && substr(line, n, 1) != "\\") state = ""
		if (out ~ /[^ \t]/) print FILENAME ":" FNR ":" out
	}' "$@"
}

# Prints the places of `grep -n`'s lines, given on standard input, with what is wrong with them.
report() {
	local file line
	while IFS=: read -r file line _; do
		printf '%s:%s: %s\n' "$file" "$line" "$1"
		found=1
	done
}

# rule PATTERN ALLOWED MESSAGE: a word that matches PATTERN is a sin in files whose path does not match ALLOWED.
rule() {
	report "$3" < <(grep -E "^[^:]*:[0-9]+:(.*[^A-Za-z0-9_])?($1)" <<<"$code" | grep -vE "^($2)" || true)
}

check_code() {
	local call='[A-Za-z0-9_]*[[:space:]]*\('
	rule '(exit|abort|quick_exit)[[:space:]]*\(' 'src/main\.c:|tests/' 'only src/main.c ends the program: return a status'
	rule "P?MPI_$call" 'src/main\.c:|benchmarks/comm/main\.c:|comm/mpi\.c:|tests/' \
		'MPI is called in comm/mpi.c and in the main files alone'
	rule 'MPI_COMM_WORLD' 'src/main\.c:|benchmarks/comm/main\.c:|tests/' 'MPI_COMM_WORLD belongs to src/main.c'
	rule "H5[A-Za-z]$call" 'io/h5[a-z0-9_]*\.[ch]:|tests/' 'HDF5 is called in io/h5*.c alone'
	rule "(cuda|cublas|cudnn|cu)[A-Z]$call" 'cuda/|tests/(emulator|comm)/' 'CUDA is called in cuda/ alone'
	rule "nccl[A-Z]$call" 'comm/nccl[a-z_]*\.c:|tests/emulator/' 'NCCL is called in comm/nccl*.c alone'
	rule 'assert[[:space:]]*\(' 'tests/' 'a check that compiles away: return a status'
	rule '(v?printf|puts|putchar|perror)[[:space:]]*\(|stdout|stderr' 'src/main\.c:|src/commands/|tests/|benchmarks/' \
		'libraries do not print: log, or return a status'
}

check_layout() {
	report 'blanks at the end of the line' < <(grep -nHE '[[:blank:]]+$' "$@" || true)
	report 'unfinished work belongs in the tracker' < <(grep -nHE '(^|[^A-Za-z])(TO''DO|FIX''ME)([^A-Za-z]|$)' "$@" || true)
	report "more than $longest lines: split it" < <(awk -v most="$longest" 'FNR == most + 1 { print FILENAME ":" FNR }' "$@")
}

# Every text of the tree, but for what is built, run or measured.
list_files() {
	find . \( -name .git -o -name 'build*' -o -name runs -o -name quickstart -o -name results \) -type d -prune -o \
		-type f \( -name '*.[ch]' -o -name '*.cu' -o -name '*.cuh' -o -name '*.sh' -o -name '*.py' -o -name '*.yaml' \
		-o -name '*.sbatch' -o -name '*.cmake' -o -name CMakeLists.txt -o -path ./.ci/run \) -print | sed 's|^\./||' | sort
}

check_tree() {
	local files sources=() file code
	cd -- "$1"
	mapfile -t files < <(list_files)
	for file in "${files[@]}"; do
		[[ "$file" != *.[ch] && "$file" != *.cu && "$file" != *.cuh ]] || sources+=("$file")
	done
	((${#sources[@]} > 0)) || {
		echo "check-rules.sh: $1 holds no C files" >&2
		exit 2
	}
	code=$(strip_c "${sources[@]}")
	check_layout "${files[@]}"
	check_code
}

# Each line: a file of the scratch tree, and what is written into it.
self_test() {
	local scratch path text missed=0 n=0
	scratch=$(mktemp -d)
	# shellcheck disable=SC2064
	trap "rm -rf '$scratch'" EXIT
	while IFS='|' read -r path text; do
		rm -rf -- "${scratch:?}"/*
		mkdir -p -- "$scratch/$(dirname -- "$path")"
		printf '%b\n' "$text" >"$scratch/$path"
		n=$((n + 1))
		if bash "${BASH_SOURCE[0]}" "$scratch" >/dev/null; then
			echo "not found: $path: $text"
			missed=1
		fi
	done <<'END'
src/core/a.c|	exit(1);
io/a.c|	abort();
src/train/a.c|	MPI_Barrier(group);
comm/exact.c|	group = MPI_COMM_WORLD;
io/tokens.c|	H5Fopen(path, 0, 0);
src/model/a.c|	cudaMalloc(&p, n);
comm/mpi.c|	ncclAllReduce(a, b);
src/cpu/a.c|	assert(n > 0);
src/text/a.c|	printf("x");
io/b.c|	int a; /* a comment */ fprintf(stderr, "x");
src/core/b.h|	char *s = "/*"; puts("x"); /* ends */
src/core/c.c|int a;\0040
src/core/d.c|/* TO\0104O: later */
END
	rm -rf -- "${scratch:?}"/*
	mkdir -p "$scratch/src/core"
	printf '%s\n' '/* exit(1), MPI_Init() and H5Fopen() in a comment */' 'const char *a = "printf(";' \
		'	_exit(1); static_assert(1); aur_puts(); snprintf(a, 1, "");' >"$scratch/src/core/clean.c"
	if ! text=$(bash "${BASH_SOURCE[0]}" "$scratch"); then
		echo "found where nothing is: $text"
		missed=1
	fi
	((missed == 0)) && echo "check-rules.sh: all $n planted sins are found, and nothing else"
	return "$missed"
}

if [[ "${1:-}" == --self-test ]]; then
	self_test
	exit
fi
check_tree "${1:-$repo}"
((found == 0)) && echo "check-rules.sh: nothing found"
exit "$found"
