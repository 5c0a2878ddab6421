"""The rows of single operations, of the other commands, of memory and of files."""

import glob
import json
import math
import os
import shutil
import statistics
import sys
import time

from measuring import Missing, median_of, result
from programs import PARAMETERS_124M, case_of, doctor, ops, overrides_124m, torch_python, train_aurelius, words

BLOCK_BYTES = 4 << 20

FAMILIES = {
    "layer norm": ("residual_norm",),
    "activation": ("activation",),
    "cross-entropy": ("table_loss", "cross_entropy"),
    "AdamW": ("adamw",),
}


def memory_bound(bench):
    """Each operation's share of the copy rate that was measured beside it: the median of as many runs as there are pairs."""
    options = [word for name in ("residual_norm", "activation", "adamw", "table_loss") for word in ("--op", name)]
    reports = [
        ops(bench, "--shape-set", "gpt2-124m", *options, "--seconds", "0.3", "--no-ceilings")
        for _ in range(bench.pairs)
    ]
    rows = []
    for family, operations in FAMILIES.items():
        for number, case in enumerate(reports[0]["cases"]):
            if not case["supported"] or not case["operation"].startswith(operations):
                continue
            seen = [report["cases"][number] for report in reports]
            share, asked = median_of(seen, "of_copy"), 0.5 if "dropout" in case["case"] else 0.8
            text = f"{share:.0%} ({median_of(seen, 'gb_per_s'):.1f} GB/s)"
            rows.append(
                result(
                    f"{family}: {case['operation']} {case['case']}",
                    f"{asked:.0%} of the copy rate",
                    text,
                    share >= asked,
                    raw=seen,
                )
            )
    return rows


def attention(bench, precision):
    script = os.path.join(bench.repo, "benchmarks/pytorch/sdpa_bench.py")
    base = [torch_python(bench), script, "--precision", precision, "--seconds", "1" if bench.options.quick else "3"]

    def ours(threads):
        def call():
            report = ops(
                bench,
                "--shape-set",
                "gpt2-124m",
                "--op",
                "attention",
                "--case",
                "B=1 T=1024",
                "--precision",
                precision,
                "--threads",
                str(threads),
                "--no-ceilings",
            )
            return {
                "ms_both": sum(
                    case_of(report, "attention_" + way, "B=1 T=1024")["ms"] for way in ("forward", "backward")
                )
            }

        return call

    def theirs(threads, *how):
        return lambda: bench.run([*base, "--threads", str(threads), *how], stderr=False).json()

    results, asked = [], 1.5
    for threads in sorted({1, os.cpu_count()}, reverse=True):
        bench.run([*base, "--threads", str(threads), "--packed", "--compile"], alone=False, stderr=False)
        ways = {
            "plain": theirs(threads),
            "packed": theirs(threads, "--packed"),
            "packed compiled": theirs(threads, "--packed", "--compile"),
        }
        seen = bench.alternate({"aurelius": ours(threads), **ways})
        mine = median_of(seen["aurelius"], "ms_both")
        times = {way: median_of(seen[way], "ms_both") for way in ways}
        best = min(times.values())
        text = (
            f"{best / mine:.2f} times ({mine:.1f} ms; "
            + ", ".join(f"{way} {time:.1f}" for way, time in times.items())
            + ")"
        )
        results.append(
            result(
                f"attention forward + backward, T=1024, {precision}, {threads} thread{'s' * (threads > 1)}",
                f"{asked} times",
                text,
                best >= asked * mine,
                raw=seen,
            )
        )
    return results


def generate_rate(bench, model, prompt):
    """Tokens a second of the last 100 of 130; pieces are one token each, after the prompt's."""
    command = [bench.options.aurelius, "generate", model, "--tokens", "130", "--prompt", prompt]
    finished = bench.run(command, environment={"OMP_NUM_THREADS": "1"}, core=0, stderr=False)
    times = [when for when, _ in finished.pieces]
    if len(times) < 125:
        raise Missing(f"{len(times)} pieces of output for 130 tokens: they do not arrive one by one")
    return 100 / (times[-2] - times[-102])


def generation(bench):
    """Each token leaves the program as it is made: the times at which they arrive give the rate at any position."""
    data = words(bench)
    with open(bench.path("words.txt"), encoding="utf-8") as file:
        prompt = file.read(5 * 850).split()
    train_aurelius(bench, "gpt2-124m", data, 1, *overrides_124m(1, 1024), keep=True)
    model = bench.path("model.h5")
    bench.run([bench.options.aurelius, "export", bench.path("run"), "--to", "h5", "--out", model], alone=False)
    shutil.rmtree(bench.path("run"))

    def generate():
        early, late = (generate_rate(bench, model, " ".join(prompt[:count])) for count in (10, 850))
        return {"rate": 2 / (1 / early + 1 / late), "early": early, "late": late}

    def bandwidth():
        if bench.options.ops:
            return {
                "bytes_per_s": ops(
                    bench, "--op", "copy", "--shape-set", "gpt2-124m", "--threads", "1", "--no-ceilings"
                )["read_gb_per_s"]
                * 1e9
            }
        return {"bytes_per_s": doctor(bench)["computing"]["memory_copy_gb_per_s"] * 1e9}

    seen = bench.alternate({"generate": generate, "bandwidth": bandwidth})
    os.remove(model)
    weights = 4 * (PARAMETERS_124M - 1024 * 768)
    most = median_of(seen["bandwidth"], "bytes_per_s") / weights
    middle, early, late = (median_of(seen["generate"], key) for key in ("rate", "early", "late"))
    asked = "80% of the rate of reading / bytes of weights"
    return [
        result(
            "generation, 124M, one thread",
            asked,
            f"{middle / most:.0%} ({middle:.1f} of {most:.1f} tokens/s)",
            middle >= 0.8 * most,
            raw=seen,
        ),
        result(
            "generation, late against early positions",
            "within 20%",
            f"{late / early - 1:+.0%} ({early:.1f}, {late:.1f} tokens/s)",
            abs(late / early - 1) <= 0.2,
        ),
    ]


def prepare(bench):
    """The whole command on one core: reading, tokens, checksums, writing and verifying."""
    if not bench.options.text:
        raise Missing("prepare needs --text FILE")
    big, wanted = bench.path("big.txt"), (50 if bench.options.quick else 300) * 1000 * 1000
    with open(bench.options.text, "rb") as file:
        text = file.read()
    with open(big, "wb") as file:
        for _ in range(max(1, wanted // len(text))):
            file.write(text)
    size, path = os.path.getsize(big), bench.path("big.h5")

    def once():
        command = [bench.options.aurelius, "prepare", big, "--tokenizer", "char", "--out", path]
        finished = bench.run(command, core=0)
        os.remove(path)
        return {"mb_per_s": size * 1e-6 / finished.seconds, "seconds": finished.seconds}

    seen = bench.alternate({"prepare": once})
    os.remove(big)
    rate = median_of(seen["prepare"], "mb_per_s")
    return [
        result(
            "prepare, characters, one core",
            "100 MB/s",
            f"{rate:.0f} MB/s ({size * 1e-6:.0f} MB)",
            rate >= 100,
            raw=seen,
        )
    ]


def prepare_memory(bench):
    """The most memory of one process with all its threads, over a text larger than that by far: a vocabulary of
    subwords of the text's words, everything encoded and written in shards."""
    if not bench.options.text:
        raise Missing("prepare-memory needs --text FILE")
    size, base, large = 10**9 if bench.options.quick else 10**10, bench.path("base.txt"), bench.path("large.txt")
    free = shutil.disk_usage(bench.scratch).free
    # The text, its tokens as they are made and in the shards: two bytes for three characters and more.
    if free < 3 * size:
        raise Missing(f"{free * 1e-9:.0f} GB are free, {3 * size * 1e-9:.0f} are needed")

    def script(name, *more):
        bench.run([sys.executable, os.path.join(bench.repo, "benchmarks", name), *more], alone=False, timeout=7200)

    # Some hundred thousand distinct words. A text that --scratch holds from an earlier run is used again.
    if not os.path.exists(base):
        script("bpe/make_text.py", "--bytes", str(10**8), "--out", base, bench.options.text)
    if not os.path.exists(large) or os.path.getsize(large) != size:
        script("text/large.py", "--bytes", str(size), "--out", large, base)
    command = [bench.options.aurelius, "prepare"]
    bench.run([*command, base, "--tokenizer", "bpe", "--vocab-size", "32000", "--out", "base.h5"], alone=False)
    finished = bench.run(
        [*command, large, "--tokenizer", "base.h5", "--shard-tokens", "250000000", "--out", "large.h5"], timeout=7200
    )
    for shard in glob.glob(bench.path("large-*.h5")):
        os.remove(shard)
    return [
        result(
            f"prepare, subwords, {size * 1e-9:.0f} GB of generated text: peak memory",
            "512 MB",
            f"{finished.peak_mb:.0f} MB ({finished.seconds:.0f} s)",
            finished.peak_mb <= 512,
            output=finished.text.splitlines(),
        )
    ]


def write_synced(path, size):
    """As many bytes, as fast as the disk takes them: big writes, one fsync."""
    block, start = os.urandom(BLOCK_BYTES), time.monotonic()
    with open(path, "wb", buffering=0) as file:
        for done in range(0, size, len(block)):
            file.write(block[: min(len(block), size - done)])
        os.fsync(file.fileno())
    return time.monotonic() - start


def tell_write(path, size):
    """Twice, right after one another, as the run saves: disks take a first gigabyte faster than a second."""
    paths = [path + "-1", path + "-2"]
    times = [write_synced(each, size) for each in paths]
    for each in paths:
        os.remove(each)
    print(json.dumps({"seconds": statistics.median(times), "all": times}))


def checkpoint(bench):
    sizes = []

    def save():
        overrides = [*overrides_124m(1, 64), "--train.checkpoint_interval=1", "--train.keep_checkpoints=1"]
        told = train_aurelius(bench, "gpt2-124m", "synthetic", 2, *overrides, keep=True)
        folder = bench.path("run/checkpoints")
        sizes.append(max(os.path.getsize(os.path.join(folder, name)) for name in os.listdir(folder)))
        shutil.rmtree(bench.path("run"))
        return {"seconds": statistics.median(told["saves_s"]), "all": told["saves_s"]}

    def write():
        script = "import sys, command_rows; command_rows.tell_write(sys.argv[1], int(sys.argv[2]))"
        environment = {"PYTHONPATH": os.path.join(bench.repo, "benchmarks")}
        command = ["python3", "-c", script, bench.path("written"), str(sizes[-1])]
        return bench.run(command, environment=environment).json()

    seen = bench.alternate({"checkpoint": save, "write": write})
    ours, plain = median_of(seen["checkpoint"], "seconds"), median_of(seen["write"], "seconds")
    text = f"{ours / plain:.2f} times ({ours:.2f} s, {plain:.2f} s for {sizes[-1] * 1e-6:.0f} MB)"
    return [
        result(
            "checkpoint of 124M, written and verified", "2 times a write with fsync", text, ours <= 2 * plain, raw=seen
        )
    ]


def memory(bench):
    rows = []
    for batch, micro, positions in ((4, 4, 256), (1, 1, 1024), (4, 1, 256)):
        sizes = [*overrides_124m(batch, positions), f"--train.micro_batch_size={micro}"]
        command = [
            bench.options.aurelius,
            "plan",
            "--config",
            bench.config("gpt2-124m"),
            "--ranks",
            "1",
            "--vocab-size",
            "50257",
            "--json",
        ]
        plan = bench.run(
            [*command, "--train.tokens=0", "--train.steps=2", "--train.warmup_steps=0", *sizes], stderr=False
        ).json()["memory_of_a_rank"]
        told = train_aurelius(bench, "gpt2-124m", "synthetic", 2, *sizes)
        planned, peak, leaves = plan["peak_mb"], told["peak_mb"], batch // micro
        what = f"memory, 124M fp32, one rank, B={batch} T={positions}, micro-batch {micro}"
        rows.append(
            result(
                what,
                "plan within 5% of the peak",
                f"{planned / peak - 1:+.1%} ({planned:.0f} MB, {peak:.0f} MB)",
                abs(planned / peak - 1) <= 0.05,
                plan=plan,
            )
        )
        state = sum(
            value for key, value in plan.items() if key in ("weights_mb", "gradient_buffers_mb", "optimizer_state_mb")
        )
        a_parameter = state * 1e6 / (PARAMETERS_124M - (1024 - positions) * 768)
        asked = 16 + 4 * math.log2(leaves)
        rows.append(
            result(
                f"{what}: weights, gradients, m, v",
                f"{asked:.0f} bytes a parameter",
                f"{a_parameter:.2f}",
                a_parameter <= 1.01 * asked,
            )
        )
    return rows


def start(bench):
    """Random tokens have no evaluation before the first step: timed are the program, its memory and its weights."""

    def once():
        told = train_aurelius(bench, "gpt2-124m", "synthetic", 1, *overrides_124m(1, 1024))
        finished = told["finished"]
        ready, first = finished.line_time("1 rank of "), finished.line_time("step 1/")
        return {"ready": ready, "first": first - told["ms_steps"][0] * 1e-3}

    seen = bench.alternate({"start": once})
    ready, first = (median_of(seen["start"], key) for key in ("ready", "first"))
    text = f"{first:.2f} s (weights and memory after {ready:.2f} s)"
    return [result("start of train to its first step, 124M", "under 3 s", text, first < 3, raw=seen)]
