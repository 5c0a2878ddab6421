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

# Copies FILE with comments and literals blanked, so that lines keep their numbers.
strip_c() {
	awk '
	{
		line = $0; out = ""; n = length(line); i = 1
		while (i <= n) {
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
		print out
	}' "$1"
}

report() { # FILE LINE WHAT
	printf '%s:%s: %s\n' "$1" "$2" "$3"
	found=1
}

# rule PATTERN WHERE_ALLOWED MESSAGE: PATTERN (extended) in the stripped file is a sin unless its path matches.
rule() {
	local line
	[[ "$file" =~ $2 ]] && return 0
	while IFS=: read -r line _; do
		report "$file" "$line" "$3"
	done < <(grep -nE "$1" <<<"$stripped" || true)
}

check_code() {
	rule '(^|[^A-Za-z0-9_])(exit|abort|quick_exit)[[:space:]]*\(' '^(src/main\.c$|tests/)' \
		'only src/main.c ends the program: return a status'
	rule '(^|[^A-Za-z0-9_])P?MPI_[A-Za-z_]+[[:space:]]*\(' '^(src/main\.c$|comm/mpi\.c$|tests/)' \
		'MPI is called in comm/mpi.c and src/main.c alone'
	rule 'MPI_COMM_WORLD' '^(src/main\.c$|tests/)' 'MPI_COMM_WORLD belongs to src/main.c'
	rule '(^|[^A-Za-z0-9_])H5[A-Za-z][A-Za-z0-9_]*[[:space:]]*\(' '^(io/h5[a-z0-9_]*\.[ch]$|tests/)' \
		'HDF5 is called in io/h5*.c alone'
	rule '(^|[^A-Za-z0-9_])(cuda|cublas|cudnn|cu)[A-Z][A-Za-z0-9_]*[[:space:]]*\(' '^(cuda/|tests/emulator/)' \
		'CUDA is called in cuda/ alone'
	rule '(^|[^A-Za-z0-9_])nccl[A-Z][A-Za-z0-9_]*[[:space:]]*\(' '^(comm/nccl[a-z_]*\.c$|tests/emulator/)' \
		'NCCL is called in comm/nccl*.c alone'
	rule '(^|[^A-Za-z0-9_])assert[[:space:]]*\(' '^tests/' 'a check that compiles away: return a status'
	rule '(^|[^A-Za-z0-9_])(v?f?printf|f?puts|f?putc|putchar|perror)[[:space:]]*\(' \
		'^(src/main\.c$|src/commands/|tests/|benchmarks/)' 'libraries do not print: log, or return a status'
}

check_layout() {
	local line lines
	while IFS=: read -r line _; do
		report "$file" "$line" 'blanks at the end of the line'
	done < <(grep -nE '[[:blank:]]+$' "$file" || true)
	while IFS=: read -r line _; do
		report "$file" "$line" 'unfinished work belongs in the tracker'
	done < <(grep -nE '(^|[^A-Za-z])(TO''DO|FIX''ME)([^A-Za-z]|$)' "$file" || true)
	lines=$(wc -l <"$file")
	((lines <= longest)) || report "$file" "$longest" "$lines lines: more than $longest, split it"
}

check_tree() {
	cd -- "$1"
	while IFS= read -r -d '' file; do
		file=${file#./}
		check_layout
		case "$file" in
		*.c | *.h | *.cu | *.cuh)
			stripped=$(strip_c "$file")
			check_code
			;;
		esac
	done < <(find . \( -name .git -o -name 'build*' -o -name runs -o -name quickstart -o -name results \) -type d -prune -o \
		-type f \( -name '*.[ch]' -o -name '*.cu' -o -name '*.cuh' -o -name '*.sh' -o -name '*.py' -o -name '*.yaml' \
		-o -name '*.sbatch' -o -name '*.cmake' -o -name CMakeLists.txt -o -path ./.ci/run \) -print0 | sort -z)
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
src/core/c.c|int a; 
src/core/d.c|/* TO\0104O: later */
END
	rm -rf -- "${scratch:?}"/*
	mkdir -p "$scratch/src/core"
	printf '%s\n' '/* exit(1), MPI_Init() and H5Fopen() in a comment */' 'const char *a = "printf(";' \
		'	_exit(1); static_assert(1); aur_puts(); snprintf(a, 1, "");' >"$scratch/src/core/clean.c"
	if ! bash "${BASH_SOURCE[0]}" "$scratch"; then
		echo "found where nothing is: src/core/clean.c"
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
