#!/usr/bin/env bash
# Builds the program and its tests, warnings as errors, and runs them all.
#
#   tests/run.sh [options] [CTest's own options, such as -R NAME, -L unit, -j 2]
#
#   --asan       built with AddressSanitizer, in build-asan/
#   --ubsan      built with UndefinedBehaviorSanitizer, in build-ubsan/
#   --sanitizers built with both, with little optimisation and for this processor alone, in build-sanitizers/
#   --valgrind   the unit tests but two under valgrind's memcheck, in build/; with few rounds where a test has many
#   --coverage   built for gcov, in build-coverage/; ends with the share of lines that ran, by folder, and fails under 85%
#
# Tests run beside each other, one more of them than there are cores; -j 1 runs one at a time. A test that lacks what it
# needs says so and is shown as skipped. The last lines are CTest's own count.
set -euo pipefail

repo=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
build="$repo/build"
configure=(-DCMAKE_BUILD_TYPE=Release)
targets=(all)
pass=()
least_coverage=85
coverage=0

fail() {
	printf 'tests/run.sh: %s\n' "$*" >&2
	exit 1
}

# The instruction sets of the CPU backend that this processor lacks, as AURELIUS_CPU_WITHOUT wants them: no test can run
# what is compiled for them.
list_lacking() {
	local flags
	flags=" $(sed -n '/^flags/{s/.*://p;q}' /proc/cpuinfo 2>/dev/null) "
	[[ "$flags" == *" avx512vl "* ]] || printf 'avx512;'
	[[ "$flags" == *" avx512vl "*" avx512_bf16 "* ]] || printf 'avx512bf16;'
}

for argument in "$@"; do
	case "$argument" in
	--asan)
		build="$repo/build-asan"
		configure=(-DCMAKE_BUILD_TYPE=RelWithDebInfo -DAURELIUS_SANITIZE=address)
		;;
	--ubsan)
		build="$repo/build-ubsan"
		configure=(-DCMAKE_BUILD_TYPE=RelWithDebInfo -DAURELIUS_SANITIZE=undefined -DAURELIUS_EMULATOR=OFF)
		;;
	--sanitizers)
		build="$repo/build-sanitizers"
		# At -O2 the kernels for AVX-512 take five times as long to build, the rest half as long again. At -O1 gcc takes
		# lengths of texts that are bounded for unbounded ones.
		quick="-O1 -g1 -Wno-format-truncation"
		configure=(-DCMAKE_BUILD_TYPE=RelWithDebInfo -DAURELIUS_SANITIZE=address,undefined
			"-DCMAKE_C_FLAGS_RELWITHDEBINFO=$quick" "-DCMAKE_CXX_FLAGS_RELWITHDEBINFO=$quick"
			"-DAURELIUS_CPU_WITHOUT=$(list_lacking)" -DAURELIUS_EMULATOR=ON)
		;;
	--valgrind)
		targets=(unit_tests aurelius-bench-bpe)
		pass+=(-C valgrind -L '^valgrind$' --no-tests=error)
		command -v valgrind >/dev/null || fail "valgrind is missing (launch/install-deps.sh --dev installs it)"
		;;
	--coverage)
		build="$repo/build-coverage"
		coverage=1
		# Counted atomically: operations run in several threads.
		configure=(-DCMAKE_BUILD_TYPE=Debug "-DCMAKE_C_FLAGS=-O1 --coverage -fprofile-update=atomic" -DCMAKE_C_COMPILER=gcc -DAURELIUS_CUDA=OFF -DAURELIUS_EMULATOR=OFF)
		command -v gcovr >/dev/null || fail "gcovr is missing (launch/install-deps.sh --dev installs it)"
		;;
	-h | --help)
		sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"
		exit 0
		;;
	*) pass+=("$argument") ;;
	esac
done

# Lines that ran, by folder. A process that is killed takes its counts with it.
print_coverage() {
	gcovr --root "$repo" --filter "$repo/src/" --filter "$repo/comm/" --filter "$repo/io/" --csv - "$build" |
		awk -F, -v least="$least_coverage" '
			NR > 1 {
				folder = $1
				sub(/\/[^\/]*$/, "", folder)
				all[folder] += $2; ran[folder] += $3; lines += $2; covered += $3
			}
			END {
				if (!lines) { print "coverage: no line was counted"; exit 1 }
				for (folder in all)
					printf "%-24s %6d of %6d lines  %5.1f%%\n", folder, ran[folder], all[folder], 100 * ran[folder] / all[folder] | "sort"
				close("sort")
				percent = 100 * covered / lines
				printf "%-24s %6d of %6d lines  %5.1f%%, at least %d%% wanted\n", "all", covered, lines, percent, least
				exit percent < least
			}'
}

# Tests start ranks as they come: as root in a container, and more of them than there are cores.
if ((EUID == 0)); then
	export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi
export OMPI_MCA_rmaps_base_oversubscribe=1           # more ranks than cores
export OMPI_MCA_hwloc_base_binding_policy=none       # and none of them tied to one
export OMPI_MCA_btl_vader_single_copy_mechanism=none # forbidden in many containers, where it only warns
export ASAN_OPTIONS="detect_leaks=0:${ASAN_OPTIONS:-}" # Open MPI leaks by itself
export UBSAN_OPTIONS="print_stacktrace=1:${UBSAN_OPTIONS:-}"

generator=()
[[ -e "$build/CMakeCache.txt" ]] || { command -v ninja >/dev/null && generator=(-G Ninja); }
cmake "${generator[@]}" -S "$repo" -B "$build" -DAURELIUS_WERROR=ON -DAURELIUS_TESTS=ON "${configure[@]}" >/dev/null
cmake --build "$build" --parallel "$(nproc)" --target "${targets[@]}"

cd "$build"
# The last of two --parallel holds. One more than cores: ranks that wait for each other leave some of theirs.
run_tests=(ctest --output-on-failure --parallel $(($(nproc) + 1)) "${pass[@]}")
((coverage)) || exec "${run_tests[@]}"

find . -name '*.gcda' -delete
status=0
"${run_tests[@]}" || status=$?
print_coverage || status=1
exit "$status"
