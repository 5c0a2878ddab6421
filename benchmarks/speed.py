#!/usr/bin/env python3
"""Measures the rows that run.sh names; see there."""

import argparse
import os
import shutil
import sys
import tempfile

import command_rows
import data_rows
import measuring
import training_rows

ROWS = {
    "verify": training_rows.verify,
    "shakespeare": training_rows.step_small,
    "fp32-short": lambda bench: training_rows.step_large(bench, 4, 256, "fp32"),
    "fp32-long": lambda bench: training_rows.step_large(bench, 1, 1024, "fp32"),
    "bf16-short": lambda bench: training_rows.step_large(bench, 4, 256, "bf16"),
    "bf16-long": lambda bench: training_rows.step_large(bench, 1, 1024, "bf16"),
    "ranks": training_rows.ranks,
    "exact": training_rows.exact_large,
    "operations": command_rows.memory_bound,
    "attention": lambda bench: command_rows.attention(bench, "fp32"),
    "attention-bf16": lambda bench: command_rows.attention(bench, "bf16"),
    "generation": command_rows.generation,
    "prepare": command_rows.prepare,
    "prepare-memory": command_rows.prepare_memory,
    "checkpoint": command_rows.checkpoint,
    "data": data_rows.data,
    "memory": command_rows.memory,
    "start": command_rows.start,
}


def options_of(line, repo):
    parser = argparse.ArgumentParser(prog="run.sh", description="rows: " + ", ".join(ROWS))
    parser.add_argument("rows", nargs="*", metavar="ROW", help="default: all")
    parser.add_argument("--aurelius", default=os.path.join(repo, "build/aurelius"), metavar="PROGRAM")
    parser.add_argument("--ops", default="", metavar="PROGRAM", help="aurelius-bench-ops; default: beside aurelius")
    parser.add_argument(
        "--python", default="", metavar="PYTHON", help="that of an environment with benchmarks/pytorch/requirements.txt"
    )
    parser.add_argument(
        "--text",
        default="",
        metavar="FILE",
        help="a text of about a megabyte, tiny Shakespeare for the figures to compare",
    )
    parser.add_argument("--out", default="", metavar="FOLDER", help="default: benchmarks/results/DATE-NAME")
    parser.add_argument("--name", default="speed", metavar="NAME")
    parser.add_argument(
        "--scratch",
        default="",
        metavar="FOLDER",
        help="where runs are kept while they last; 5 GB on a disk, 30 for prepare-memory",
    )
    parser.add_argument(
        "--pairs", type=int, default=0, metavar="N", help="runs of each, in turns (default 5; 2 with --quick)"
    )
    parser.add_argument("--quick", action="store_true", help="shorter runs, and fewer of them")
    parser.add_argument(
        "--alone", default="", metavar="COMMAND", help="stands before every command that is timed, such as 'flock FILE'"
    )
    parser.add_argument("--together", default="", metavar="COMMAND", help="the same, for what is not timed")
    options = parser.parse_args(line)
    unknown = [name for name in options.rows if name not in ROWS]
    if unknown:
        parser.error(f"no row {unknown[0]}: {', '.join(ROWS)}")
    return options


def find_programs(options):
    options.aurelius = os.path.abspath(options.aurelius)
    beside = os.path.join(os.path.dirname(options.aurelius), "aurelius-bench-ops")
    options.ops = os.path.abspath(options.ops) if options.ops else beside if os.path.exists(beside) else ""
    for program in (options.aurelius, options.python, options.text):
        if program and not os.path.exists(program):
            sys.exit(f"run.sh: {program} is missing")
    options.text = os.path.abspath(options.text) if options.text else ""
    options.python = os.path.abspath(options.python) if options.python else ""


def measure(bench, name):
    """The row's results; what cannot be measured here is a result too."""
    try:
        return ROWS[name](bench)
    except measuring.Missing as missing:
        return [measuring.result(name, "", f"not measured: {missing}", None)]


def show(results):
    marks = {True: "yes", False: "no", None: "-"}
    lines = ["| what | asked | seen | met |", "|---|---|---|---|"]
    lines += [f"| {r['what']} | {r['asked']} | {r['seen']} | {marks[r['met']]} |" for r in results]
    return "\n".join(lines)


def plain(value):
    """What JSON holds; the programs' output is left out."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items() if not isinstance(item, measuring.Finished)}
    return [plain(item) for item in value] if isinstance(value, list) else value


def main():
    repo = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    options = options_of(sys.argv[1:], repo)
    find_programs(options)
    made = None
    if not options.scratch:
        options.scratch = made = tempfile.mkdtemp(prefix="aurelius-speed-")
    options.scratch = os.path.abspath(options.scratch)
    os.makedirs(options.scratch, exist_ok=True)
    bench = measuring.Bench(options, repo)
    machine = measuring.machine(bench)
    options.out = options.out or os.path.join(repo, "benchmarks/results", f"{machine['date'][:10]}-{options.name}")
    os.makedirs(options.out, exist_ok=True)
    everything = []
    for name in options.rows or ROWS:
        bench.record = []
        results = measure(bench, name)
        everything += results
        measuring.write_json(
            os.path.join(options.out, name + ".json"),
            plain({"machine": machine, "results": results, "commands": bench.record}),
        )
        print(show(results) if not everything[len(results) :] else show(results).split("\n", 2)[2], flush=True)
    head = ", ".join([machine["processor"], f"{machine['cores']} cores", machine["aurelius"], machine["commit"]])
    with open(os.path.join(options.out, "table.md"), "w", encoding="utf-8") as file:
        file.write(f"{head}, {machine['date']}\n\n{show(everything)}\n")
    if made:
        shutil.rmtree(made, ignore_errors=True)
    sys.exit(1 if any(r["met"] is False for r in everything) else 0)


if __name__ == "__main__":
    main()
