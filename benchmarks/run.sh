#!/usr/bin/env bash
# Measures every row of the table of speed, against PyTorch where the row says so, in alternating runs (A B A B ...),
# and takes medians.
#
#   python3 -m venv VENV && VENV/bin/pip install -r benchmarks/pytorch/requirements.txt    # once, not in the repository
#   benchmarks/run.sh --python VENV/bin/python --text shakespeare.txt [--quick] [ROW...]
#
# Writes benchmarks/results/DATE-NAME/ROW.json (machine, commit, every command with its time, every measurement) and
# table.md: what, asked, seen. Without --python the rows against PyTorch are left out and say so; without
# aurelius-bench-ops beside build/aurelius those of single operations. Exit code 1 when a row is not met.
# The machine should be idle; --help tells the rest of the options and the rows.
set -euo pipefail

exec python3 -B "$(dirname -- "${BASH_SOURCE[0]}")/speed.py" "$@"
