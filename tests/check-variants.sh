#!/usr/bin/env bash
# A function of the CPU backend that is compiled once per instruction set and not named in src/cpu/variant.h would be
# linked once for all of them, in whichever copy comes first: on an older processor that is an illegal instruction.
#
#   tests/check-variants.sh LIBRARY...      names every global symbol that more than one of the libraries defines
#   tests/check-variants.sh --self-test CC  sees that one which two libraries define is found
#
# Exit code 1 when something is found.
set -euo pipefail

shared_symbols() {
	for library in "$@"; do
		nm -g --defined-only "$library" | awk 'NF == 3 { print $3; n++ } END { if (!n) exit 1 }' | sort -u ||
			echo "nothing-was-read-in-a-library nothing-was-read-in-a-library" | tr ' ' '\n'
	done | sort | uniq -d | grep -v '^_*\(asan\|ubsan\|odr_asan\)' || true
}

self_test() {
	local found
	folder=$(mktemp -d)
	trap 'rm -rf "$folder"' EXIT
	for variant in a b; do
		printf 'int both(void);\nint both(void) { return 1; }\nint only_%s(void);\nint only_%s(void) { return 2; }\n' \
			$variant $variant >"$folder/$variant.c"
		"$1" -c "$folder/$variant.c" -o "$folder/$variant.o"
		ar rc "$folder/lib$variant.a" "$folder/$variant.o"
	done
	found=$(shared_symbols "$folder/liba.a" "$folder/libb.a")
	[ "$found" = both ] || { echo "self-test: found '$found' where only 'both' is shared"; exit 1; }
	echo "self-test: found"
}

if [ "${1:-}" = --self-test ]; then
	self_test "$2"
	exit
fi
found=$(shared_symbols "$@")
[ -z "$found" ] || { printf 'src/cpu/variant.h: not named there, but in several variants: %s\n' $found; exit 1; }
echo "no symbol is shared by the $# variants"
