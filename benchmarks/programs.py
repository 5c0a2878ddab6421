"""The programs that the rows time, and the data they are given."""

import json
import os
import shutil
import statistics

from measuring import Missing

# ---- programs ----


def torch_python(bench):
    if not bench.options.python:
        raise Missing("PyTorch: give --python VENV/bin/python (benchmarks/pytorch/requirements.txt)")
    return bench.options.python


def train_torch(bench, config, mode, threads, steps, *more, precision="fp32", alone=True):
    script = os.path.join(bench.repo, "benchmarks/pytorch/train_bench.py")
    command = [torch_python(bench), script, "--config", bench.config(config), "--mode", mode]
    command += ["--threads", str(threads), "--steps", str(steps), "--precision", precision, *more]
    return bench.run(command, alone=alone, stderr=False).json()


def steps_of(path, warmup):
    """The median step of a run's log.jsonl after its first steps, and the other events."""
    with open(os.path.join(path, "log.jsonl"), encoding="utf-8") as file:
        events = [json.loads(line) for line in file]
    steps = [event["ms"] for event in events if event["event"] == "step"]
    counted = steps[warmup:] or steps
    return {
        "ms_step": statistics.median(step["step"] for step in counted),
        "ms_step_lowest": min(step["step"] for step in counted),
        "ms_steps": [round(step["step"], 3) for step in steps],
        "ms_reduce_wait": statistics.median(step["reduce_wait"] for step in counted),
        "saves_s": [event["seconds"] for event in events if event["event"] == "checkpoint"],
    }


def train_command(bench, config, data, steps, *overrides):
    """All but the folder of the run."""
    command = [bench.options.aurelius, "train", "--config", bench.config(config), "--data", data]
    command += ["--train.tokens=0", f"--train.steps={steps}", "--train.warmup_steps=0"]
    command += [
        "--train.log_interval=1",
        "--train.eval_interval=0",
        "--train.eval_windows=1",
        "--train.checkpoint_interval=0",
    ]
    return command + list(overrides)


def train_twice_at_once(bench, config, data, steps, *overrides, warmup=2):
    """Two runs that know nothing of each other, started together: what the machine gives to two processes."""
    runs = [bench.path("run-a"), bench.path("run-b")]
    command = train_command(bench, config, data, steps, *overrides, "--run")
    script = 'first=$1 second=$2; shift 2; "$@" "$first" & "$@" "$second" && wait $!'
    for run in runs:
        shutil.rmtree(run, ignore_errors=True)
    bench.run(["sh", "-c", script, "sh", *runs, *command])
    both = [steps_of(run, warmup) for run in runs]
    for run in runs:
        shutil.rmtree(run, ignore_errors=True)
    return {"ms_step": sum(one["ms_step"] for one in both) / 2, "runs": both}


def train_aurelius(bench, config, data, steps, *overrides, ranks=1, warmup=2, keep=False):
    run = bench.path("run")
    shutil.rmtree(run, ignore_errors=True)
    command = mpirun(ranks) + train_command(bench, config, data, steps, "--run", run, *overrides)
    finished = bench.run(command, environment=MPI if ranks > 1 else None)
    told = {**steps_of(run, warmup), "peak_mb": finished.peak_mb, "finished": finished}
    if not keep:
        shutil.rmtree(run, ignore_errors=True)
    return told


MPI = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}


def mpirun(ranks):
    return ["mpirun", "-np", str(ranks), "--oversubscribe", "--bind-to", "none"] if ranks > 1 else []


def ops(bench, *options):
    """What aurelius-bench-ops --json says."""
    if not bench.options.ops:
        raise Missing("aurelius-bench-ops is not built (or give --ops PROGRAM)")
    return bench.run([bench.options.ops, "--json", *options], stderr=False).json()


def case_of(report, operation, label):
    for case in report["cases"]:
        if case["operation"] == operation and case["case"].startswith(label) and "dropout" not in case["case"]:
            if not case["supported"]:
                break
            return case
    raise Missing(f"aurelius-bench-ops has no {operation} '{label}' in {report['precision']}")


def doctor(bench):
    return bench.run([bench.options.aurelius, "doctor", "--json"]).json()


# ---- data ----


def shakespeare(bench):
    """tiny Shakespeare by characters where the text is given, else random tokens of as large a vocabulary."""
    if not bench.options.text:
        return "synthetic:65"
    path = bench.path("shakespeare.h5")
    if not os.path.exists(path):
        options = ["--tokenizer", "char", "--val-fraction", "0.1", "--out", path]
        bench.run([bench.options.aurelius, "prepare", bench.options.text, *options], alone=False)
    return path


def write_words(path, count):
    """`count` words of four letters, each of them three times, in an order that repeats nothing soon."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    with open(path, "w", encoding="utf-8") as file:
        for turn in range(3):
            for i in range(count):
                number = (i * 7919 + turn * 104729) % count
                file.write("".join(letters[number // 26**place % 26] for place in range(4)))
                file.write("\n" if i % 12 == 11 else " ")


def words(bench, size=50257):
    """A dataset of words with GPT-2's number of tokens: unlike random tokens, its tokens are texts."""
    path, text = bench.path("words.h5"), bench.path("words.txt")
    count = size
    while not os.path.exists(path):
        write_words(text, count)
        bench.run([bench.options.aurelius, "prepare", text, "--tokenizer", "word", "--out", path], alone=False)
        seen = bench.run([bench.options.aurelius, "inspect", path, "--json"], alone=False).json()["vocab_size"]
        if seen != size:
            os.remove(path)
            count += size - seen
    return path


# ---- the model of 124 million ----

PARAMETERS_124M = 124439808


def overrides_124m(batch, positions, precision="fp32"):
    sizes = [f"--model.block_size={positions}", f"--train.batch_size={batch}", f"--train.micro_batch_size={batch}"]
    return sizes + [f"--system.precision={precision}"]
