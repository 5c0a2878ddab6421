#!/usr/bin/env bash
# Compiles the program and its tests for 64-bit ARM on a machine of another kind.
#
#   tests/arm64.sh [--quick] [--run] [CTest's own options]
#
#   --quick with little optimisation, in less time: to see that it compiles
#   --run   and runs unit, ops and golden tests under qemu-aarch64, where that is installed (qemu-user-static)
#
# Takes Debian's cross compiler (gcc-aarch64-linux-gnu) and apt-get. The arm64 libraries are downloaded and unpacked into
# build-arm64/sysroot; this system's own packages stay as they are. Where one of these cannot be had, it says SKIP and
# exits with 77.
set -euo pipefail

repo=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
build="$repo/build-arm64"
sysroot="$build/sysroot"
libraries="$sysroot/usr/lib/aarch64-linux-gnu"
packages=(libc6-dev libgomp1 libopenmpi-dev libhdf5-dev libopenblas-dev libyaml-dev libjansson-dev libutf8proc-dev
	libxxhash-dev zlib1g-dev libzstd-dev libpcre2-dev libcmocka-dev librandom123-dev)
configure=(-DCMAKE_BUILD_TYPE=Release)
execute=0
pass=()

skip() {
	echo "SKIP: arm64: $*"
	exit 77
}

for argument in "$@"; do
	case "$argument" in
	# At -O1 gcc takes lengths of texts that are bounded for unbounded ones.
	--quick) configure=(-DCMAKE_BUILD_TYPE=RelWithDebInfo "-DCMAKE_C_FLAGS_RELWITHDEBINFO=-O1 -Wno-format-truncation") ;;
	--run) execute=1 ;;
	-h | --help)
		sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"
		exit 0
		;;
	*) pass+=("$argument") ;;
	esac
done

# apt with lists and a state of its own, for the other architecture; nothing is installed.
apt_arm64() {
	local apt="$build/apt"
	mkdir -p "$apt/state" "$apt/lists/partial" "$apt/cache/archives/partial"
	: >"$apt/status"
	apt-get -o APT::Architecture=arm64 -o APT::Architectures::=arm64 -o APT::Sandbox::User="$(id -un)" \
		-o Dir::State="$apt/state" -o Dir::State::lists="$apt/lists" -o Dir::State::status="$apt/status" \
		-o Dir::Cache="$apt/cache" -qq "$@"
}

# What maintainer scripts would do: absolute links point into the sysroot, and the one variant of a library that is there
# gets the name that programs ask for.
settle_links() {
	local link target
	while IFS= read -r link; do
		target=$(readlink "$link")
		ln -sfn "$sysroot$target" "$link"
	done < <(find "$sysroot" -lname '/*' ! -lname "$sysroot/*")
	ln -sf openblas-pthread/libopenblas.so openblas-pthread/libopenblas.so.0 "$libraries/"
	ln -sf openblas-pthread/cblas.h openblas-pthread/openblas_config.h "$sysroot/usr/include/aarch64-linux-gnu/"
}

make_sysroot() {
	[[ -e "$sysroot/complete" ]] && return
	apt_arm64 update || skip "apt-get update failed for arm64"
	apt_arm64 install -y --no-install-recommends --download-only "${packages[@]}" >/dev/null ||
		skip "the arm64 packages cannot be downloaded"
	mkdir -p "$sysroot"
	for package in "$build"/apt/cache/archives/*.deb; do
		dpkg -x "$package" "$sysroot"
	done
	settle_links
	rm -rf "$build/apt"
	touch "$sysroot/complete"
}

command -v aarch64-linux-gnu-gcc >/dev/null || skip "no cross compiler (apt-get install gcc-aarch64-linux-gnu)"
command -v apt-get >/dev/null || skip "no apt-get to download the libraries with"
make_sysroot

configure+=(-DCMAKE_TOOLCHAIN_FILE="$repo/cmake/toolchain-aarch64.cmake" -DAURELIUS_WERROR=ON)
qemu=$(command -v qemu-aarch64-static || command -v qemu-aarch64 || true)
if [[ -n "$qemu" ]]; then
	configure+=("-DCMAKE_CROSSCOMPILING_EMULATOR=$qemu;-L;$sysroot")
fi
generator=()
[[ -e "$build/CMakeCache.txt" ]] || { command -v ninja >/dev/null && generator=(-G Ninja); }
AURELIUS_SYSROOT="$sysroot" cmake "${generator[@]}" -S "$repo" -B "$build" "${configure[@]}" >/dev/null
AURELIUS_SYSROOT="$sysroot" cmake --build "$build" --parallel "$(nproc)"
echo "arm64: compiled, $(du -h "$build/aurelius" | cut -f1) $build/aurelius"
((execute)) || exit 0

[[ -n "$qemu" ]] || skip "compiled, but no qemu to run it with (apt-get install qemu-user-static)"
cd "$build"
exec ctest --output-on-failure -L 'unit|ops|golden' "${pass[@]}"
