#!/usr/bin/env bash
# Installs what Aurelius needs, from the distribution's own packages (Debian 12, Ubuntu 24.04; the names serve both).
#
#   launch/install-deps.sh          what building and running takes, and the unit tests
#   launch/install-deps.sh --dev    and what the whole test suite and the checks take
#   launch/install-deps.sh --list   prints the packages and installs nothing
#
# What is there already is left alone: a second run takes a moment. Without root it uses sudo; where it cannot, it
# prints the command to run and exits with 1.
set -euo pipefail

build=(
	build-essential cmake ninja-build pkg-config git # compiler and build
	libopenmpi-dev openmpi-bin                       # ranks
	libhdf5-dev hdf5-tools                           # datasets and checkpoints (the serial flavour)
	libyaml-dev libjansson-dev                       # configuration, metrics
	libutf8proc-dev libpcre2-dev                     # text; splitting it into subwords
	librandom123-dev libxxhash-dev                   # random numbers, checksums
	zlib1g-dev libzstd-dev                           # compressed texts; HDF5 links the first
	gnuplot-nox                                      # plots
	libcmocka-dev procps                             # tests
)
dev=(
	strace valgrind gcovr        # injected faults, memory errors, coverage
	locales-all                  # a decimal comma, for the log that must not have one
	clang libomp-dev clang-format # the second compiler, formatting
	gcc-aarch64-linux-gnu         # compiles for arm64 (tests/arm64.sh)
	python3                       # readers of JSON in tests
	libopenblas-dev libdnnl-dev   # what benchmarks compare matrix products with
	openssh-server iproute2       # several hosts on one machine
	slurmctld slurmd slurm-client slurm-wlm-basic-plugins munge # a Slurm that only the tests use
)

usage() {
	sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "${BASH_SOURCE[0]}"
}

fail() {
	printf 'install-deps.sh: %s\n' "$*" >&2
	exit 1
}

is_installed() {
	[[ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" == installed ]]
}

# Runs a command as root, or fails. sudo may ask for a password only where somebody can answer.
as_root() {
	if ((EUID == 0)); then
		"$@"
	elif [[ -t 0 ]]; then
		sudo "$@"
	else
		sudo -n "$@"
	fi
}

can_be_root() {
	((EUID == 0)) && return 0
	command -v sudo >/dev/null || return 1
	[[ -t 0 ]] || sudo -n true 2>/dev/null
}

packages=("${build[@]}")
list=0
for argument in "$@"; do
	case "$argument" in
	--dev) packages+=("${dev[@]}") ;;
	--list) list=1 ;;
	-h | --help) usage && exit 0 ;;
	*) fail "unknown option $argument (--dev, --list)" ;;
	esac
done

if ((list)); then
	printf '%s\n' "${packages[@]}"
	exit 0
fi

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
	printf '%s\n' "install-deps.sh: this system has no apt. Install what these Debian packages hold, then build with cmake:" \
		"  ${packages[*]}" >&2
	exit 1
fi

missing=()
for package in "${packages[@]}"; do
	is_installed "$package" || missing+=("$package")
done
if ((${#missing[@]} == 0)); then
	echo "install-deps.sh: all ${#packages[@]} packages are installed"
	exit 0
fi

install=(apt-get install -y --no-install-recommends "${missing[@]}")
if ! can_be_root; then
	printf '%s\n' "install-deps.sh: not root, and sudo cannot be used here. Missing:" "  ${missing[*]}" "Run as root:" \
		"  apt-get update && ${install[*]}" >&2
	exit 1
fi
echo "install-deps.sh: installing ${missing[*]}"
as_root apt-get -qq update || echo "install-deps.sh: apt-get update failed; trying with the lists that are there" >&2
as_root env DEBIAN_FRONTEND=noninteractive "${install[@]:0:1}" -qq "${install[@]:1}" ||
	fail "apt-get could not install them (on Ubuntu the component universe must be enabled: add-apt-repository universe)"
echo "install-deps.sh: done"
