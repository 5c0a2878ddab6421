"""The rows that time training steps: against PyTorch, against the machine, and of several ranks."""

import os

from measuring import Missing, median_of, result
from programs import (
    PARAMETERS_124M,
    doctor,
    ops,
    overrides_124m,
    shakespeare,
    torch_python,
    train_aurelius,
    train_torch,
    train_twice_at_once,
)


def verify(bench):
    """The model that PyTorch trains is the one that Aurelius trains."""
    script = os.path.join(bench.repo, "benchmarks/pytorch/verify.py")
    golden = os.path.join(bench.repo, "tests/golden")
    command = [torch_python(bench), script, "--golden", golden]
    data = shakespeare(bench)
    if os.path.exists(data):
        train_aurelius(bench, "shakespeare-char-cpu", data, 30, keep=True)
        run = bench.path("run")
        checkpoint = os.path.join(run, "checkpoints", "step-00000030.h5")
        loss = bench.run([bench.options.aurelius, "eval", run, "--split", "val", "--json"], alone=False).json()
        command += ["--checkpoint", checkpoint, "--data", data, "--loss", repr(loss["val"]["loss"])]
    told = bench.run(command, alone=False, accept=(0, 1))
    lines = told.text.strip().split("\n")
    agree = sum(line.startswith("same") for line in lines)
    text = f"{agree} of {len(lines)} checks agree"
    return [
        result("PyTorch's model is the same", "loss, gradients, AdamW, parameters", text, told.code == 0, lines=lines)
    ]


def best_settings(bench, config, precision, *more, steps=20):
    """The better number of threads for each mode, by one short run each; it fills the compiler's cache too."""
    chosen, tried = {}, {}
    for mode in ("eager", "compile"):
        for threads in sorted({1, os.cpu_count()}):
            if mode == "compile":
                train_torch(bench, config, mode, threads, 3, *more, precision=precision, alone=False)
            tried[f"{mode} {threads}"] = train_torch(bench, config, mode, threads, steps, *more, precision=precision)[
                "ms_step"
            ]
        chosen[mode] = min((1, os.cpu_count()), key=lambda threads: tried[f"{mode} {threads}"])
    return chosen, tried


def products_ms(report, layers):
    """What the matrix products of a step take, as the better matrix library does them alone."""
    total = 0.0
    for case in report["cases"]:
        if "dropout" in case["case"] or "products_ms" not in case:
            continue
        if case["operation"] == "head_loss":
            total += case["products_ms"] if case["case"].startswith("with gradients") else 0
        elif case["operation"] in ("linear_forward", "linear_backward", "attention_forward", "attention_backward"):
            total += layers * case["products_ms"]
    return total


def step_small(bench):
    config, steps = "shakespeare-char-cpu", 40 if bench.options.quick else 150
    data = shakespeare(bench)
    more = ["--data", data] if os.path.exists(data) else ["--vocab-size", "65"]
    threads, tried = best_settings(bench, config, "fp32", *more)
    candidates = {"aurelius": lambda: train_aurelius(bench, config, data, steps, warmup=10)}
    for mode in ("eager", "compile"):
        candidates[mode] = lambda mode=mode: train_torch(
            bench, config, mode, threads[mode], steps, "--warmup", "10", *more
        )
    if bench.options.ops:
        measured = [
            "--op",
            "linear",
            "--op",
            "attention",
            "--op",
            "head_loss",
            "--shape-set",
            config,
            "--seconds",
            "0.05",
        ]
        candidates["products"] = lambda: {"ms": products_ms(ops(bench, *measured), 4)}
    seen = bench.alternate(candidates)
    ours, eager, compiled = (median_of(seen[name], "ms_step") for name in ("aurelius", "eager", "compile"))
    detail = {"raw": seen, "threads": threads, "tried_ms": tried}
    rows = [
        result(
            f"{config}, against eager PyTorch",
            "1.3 times",
            f"{eager / ours:.2f} times ({ours:.1f} ms, {eager:.1f} ms)",
            eager / ours >= 1.3,
            **detail,
        ),
        result(
            f"{config}, against torch.compile",
            "faster",
            f"{compiled / ours:.2f} times ({compiled:.1f} ms)",
            compiled > ours,
        ),
    ]
    if "products" in seen:
        alone = median_of(seen["products"], "ms")
        rows.append(
            result(
                f"{config}, over its products alone",
                "1.5 times",
                f"{ours / alone:.2f} times ({alone:.1f} ms)",
                ours <= 1.5 * alone,
            )
        )
    return rows


def ceiling(bench, precision):
    """FLOPs a second of the better matrix library, on all threads."""
    if bench.options.ops:
        report = ops(
            bench,
            "--shape-set",
            "gpt2-124m",
            "--op",
            "linear_forward",
            "--case",
            "attn.proj 1024",
            "--precision",
            precision,
            "--seconds",
            "0.05",
        )
        return {"flops": report["ceiling_gflop_per_s"] * 1e9, "by": report["ceilings"]}
    told = doctor(bench)["computing"]
    key = f"{precision}_product_all_threads_gflops"
    if key not in told:
        raise Missing(f"no ceiling of products in {precision}: aurelius-bench-ops is not built")
    return {"flops": told[key] * 1e9, "by": "aurelius doctor"}


def flops_a_token(positions):
    """As llm.c counts: 6 a parameter, position embeddings too, and attention without its mask."""
    parameters = PARAMETERS_124M - (1024 - positions) * 768
    return 6 * parameters + 6 * 12 * 768 * positions


def step_large(bench, batch, positions, precision):
    config, steps = "gpt2-124m", 3 if bench.options.quick else 4
    sizes = ["--batch-size", str(batch), "--block-size", str(positions), "--warmup", "1"]
    threads = os.cpu_count()

    def ours(kind):
        return lambda: train_aurelius(
            bench, config, "synthetic", steps, *overrides_124m(batch, positions, kind), warmup=1
        )

    def theirs(mode):
        return lambda: train_torch(bench, config, mode, threads, steps, *sizes, precision=precision)

    train_torch(bench, config, "compile", threads, 2, *sizes, precision=precision, alone=False)
    candidates = {"aurelius": ours(precision), "eager": theirs("eager"), "compile": theirs("compile")}
    candidates["ceiling"] = lambda: ceiling(bench, precision)
    if precision == "bf16":
        candidates["aurelius fp32"] = ours("fp32")
    seen = bench.alternate(candidates)
    return judge_large(f"gpt2-124m, {precision}, B={batch} T={positions}", seen, batch, positions, precision)


def judge_large(what, seen, batch, positions, precision):
    times = {name: median_of(seen[name], "ms_step") for name in seen if name != "ceiling"}
    mine, mode = times["aurelius"], min(("eager", "compile"), key=times.get)
    asked = 1.2 if precision == "fp32" else 1.25
    text = f"{times[mode] / mine:.2f} times ({mine:.0f} ms, eager {times['eager']:.0f}, compile {times['compile']:.0f})"
    rows = [
        result(f"{what}, against PyTorch's better mode", f"{asked} times", text, times[mode] >= asked * mine, raw=seen)
    ]
    rate, best = batch * positions * flops_a_token(positions) / mine * 1e3, median_of(seen["ceiling"], "flops")
    text = f"{rate / best:.0%} ({rate * 1e-9:.0f} of {best * 1e-9:.0f} GFLOP/s)"
    if precision == "fp32":
        rows.append(result(f"{what}, of the products' ceiling", "80%", text, rate >= 0.8 * best))
    else:
        rows.append(result(f"{what}, of the products' ceiling", "", text, None))
        gain = times["aurelius fp32"] / mine
        rows.append(result(f"{what}, against our fp32", "1.5 times", f"{gain:.2f} times", gain >= 1.5))
    return rows


def ranks(bench):
    """Strong scaling on one machine, and the price of exact reduction."""
    config, steps = "shakespeare-char-cpu", 60 if bench.options.quick else 300
    data = shakespeare(bench)

    def run(count, reduction="exact"):
        overrides = ["--system.threads=1", f"--train.reduction={reduction}"]
        return lambda: train_aurelius(bench, config, data, steps, *overrides, ranks=count, warmup=10)

    def apart():
        return train_twice_at_once(bench, config, data, steps, "--system.threads=1", warmup=10)

    seen = bench.alternate({"one": run(1), "exact": run(2), "apart": apart, "fast": run(2, "fast")})
    one, exact, beside, fast = (median_of(seen[name], "ms_step") for name in ("one", "exact", "apart", "fast"))
    return [
        result(
            f"{config}, 2 ranks of 1 thread against 1 rank",
            "1.85 times",
            f"{one / exact:.2f} times ({one:.1f} ms, {exact:.1f} ms); "
            f"two runs beside each other that exchange nothing: {2 * one / beside:.2f} times",
            one / exact >= 1.85,
            raw=seen,
        ),
        result(
            f"{config}, exact against fast reduction, 2 ranks",
            "at most 3% slower",
            f"{exact / fast - 1:+.1%} ({fast:.1f} ms)",
            exact <= 1.03 * fast,
        ),
    ]


def exact_large(bench):
    def run(reduction):
        overrides = [
            *overrides_124m(4, 64),
            "--train.micro_batch_size=1",
            "--system.threads=1",
            f"--train.reduction={reduction}",
        ]
        return lambda: train_aurelius(bench, "gpt2-124m", "synthetic", 6, *overrides, ranks=2, warmup=1)

    seen = bench.alternate({"exact": run("exact"), "fast": run("fast")})
    exact, fast = (median_of(seen[name], "ms_step") for name in ("exact", "fast"))
    text = f"{exact / fast - 1:+.1%} ({exact:.0f} ms, {fast:.0f} ms)"
    return [
        result(
            "gpt2-124m, B=4 T=64, exact against fast reduction, 2 ranks",
            "at most 3% slower",
            text,
            exact <= 1.03 * fast,
            raw=seen,
        )
    ]
